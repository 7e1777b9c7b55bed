"""`boxes.parquet`: written, checked, and cut from the originals by stores and files alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.tables import folder_of_pictures, save, smooth_picture
from dermapair.config import CropSettings, DataSettings
from dermapair.data.boxes import check_rule, read_boxes, write_boxes
from dermapair.data.cases import CaseTable, write_cases
from dermapair.data.store import FileSource, open_pixels, prepare, store_key, unreadable
from dermapair.errors import ImageError, TableError
from dermapair.imaging.read import read_image
from dermapair.imaging.square import make_square

SETTINGS = DataSettings(size=24, input=20)


@pytest.fixture
def cases(tmp_path: Path) -> CaseTable:
    return write_cases(folder_of_pictures(tmp_path / "images", 3), tmp_path / "cases")


def box(image: str, **change: Any) -> dict[str, Any]:
    values = {"image_id": image, "x0": 4.0, "y0": 2.0, "x1": 34.0, "y1": 32.0, "class": "NV"}
    return values | {"fold": None, "run": "first:0123"} | change


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    write_boxes(rows, folder / "boxes.parquet", CropSettings())
    return folder / "boxes.parquet"


def test_parts_are_cut_from_the_originals(cases: CaseTable, tmp_path: Path) -> None:
    file = written(tmp_path, *(box(f"i{i}") for i in range(3)))
    settings = SETTINGS.model_copy(update={"boxes": str(file)})
    files = open_pixels(cases, settings)
    assert isinstance(files, FileSource)
    made = prepare(cases, settings)
    for i in range(3):
        expected = make_square(read_image(cases.path(i))[2:32, 4:34], side=24, fit="crop")
        np.testing.assert_array_equal(made.square(i), expected)
        np.testing.assert_array_equal(files.square(i), expected)
        for source in (made, files):
            assert source.square_map(i).box_to_source((0, 0, 24, 24)) == pytest.approx((4, 2, 34, 32))


def test_other_boxes_make_another_store_under_any_name(cases: CaseTable, tmp_path: Path) -> None:
    keys = [store_key(cases, SETTINGS)]
    for name, change in (("a", {}), ("b", {}), ("c", {"x0": 5.0})):
        (tmp_path / name).mkdir()
        file = written(tmp_path / name, box("i0", **change))
        keys.append(store_key(cases, SETTINGS.model_copy(update={"boxes": str(file)})))
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_an_image_without_a_box_or_with_one_outside_costs_that_image(
    cases: CaseTable, tmp_path: Path
) -> None:
    file = written(tmp_path, box("i0"), box("i1", x1=4000.0))
    settings = SETTINGS.model_copy(update={"boxes": str(file)})
    bad = dict(unreadable(prepare(cases, settings)))
    assert set(bad) == {"i1", "i2"}
    assert "expected a box inside 48 x 38 pixels, got one to x = 4000" in bad["i1"]
    assert "expected a box for this image, got none" in bad["i2"]
    with pytest.raises(ImageError, match="expected a box for this image"):
        open_pixels(cases, settings).square(2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([box("i0"), box("i0")], "'i0' has two boxes"),
        ([box("i0", x1=4.0)], "the box of 'i0' has no area"),
        ([box("i0", y0=float("nan"))], "the box of 'i0' has no area"),
        ([box("i0", x0=-1.0)], "the box of 'i0' has no area"),
        ([box("i0", x0=None)], "the box of 'i0' has no area"),
    ],
)
def test_bad_boxes_are_refused_by_name(
    cases: CaseTable, tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        read_boxes(written(tmp_path, *rows), cases)


def test_a_file_that_holds_no_boxes_is_refused(cases: CaseTable, tmp_path: Path) -> None:
    pl.DataFrame({"image_id": ["i0"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(TableError, match="expected the columns image_id, x0"):
        read_boxes(tmp_path / "other.parquet", cases)
    save(tmp_path / "image.png", smooth_picture(0))
    for name in ("image.png", "missing.parquet"):
        with pytest.raises(TableError, match="expected boxes as `dermapair boxes` writes them"):
            read_boxes(tmp_path / name, cases)


def test_boxes_cut_by_other_keys_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, box("i0"))
    check_rule(file, CropSettings(run="runs/first"))
    with pytest.raises(TableError, match=r"margin.:0.2.*the same keys of \[crop\]"):
        check_rule(file, CropSettings(margin=0.2))
