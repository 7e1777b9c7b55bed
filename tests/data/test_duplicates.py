"""Near duplicates: the same picture in other clothes is found, another picture is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data.tables import row, save, smooth_picture, table
from dermapair.data import duplicates
from dermapair.data.adapters import import_cases
from dermapair.data.cases import CaseTable
from dermapair.data.duplicates import correlated_pairs, near_duplicates


def pictures(folder: Path, files: dict[str, np.ndarray]) -> CaseTable:
    for name, pixels in files.items():
        save(folder / name, pixels)
    return table([row(name, path=name) for name in files], folder)


def test_a_copy_that_was_compressed_resized_or_lightened_is_found(tmp_path: Path) -> None:
    one = smooth_picture(1, (160, 120))
    small = np.asarray(Image.fromarray(one).resize((75, 56)))
    cases = pictures(
        tmp_path,
        {
            "one.png": one,
            "other.png": smooth_picture(2, (160, 120)),
            "jpeg.jpg": one,
            "small.png": small,
            "light.png": (40 + one * 0.8).astype(np.uint8),
            "third.png": smooth_picture(3, (160, 120)),
        },
    )
    assert near_duplicates(cases) == [(0, 2), (0, 3), (0, 4), (2, 3), (2, 4), (3, 4)]


def test_different_pictures_are_no_duplicates(tmp_path: Path) -> None:
    cases = pictures(tmp_path, {f"{i}.png": smooth_picture(i) for i in range(12)})
    assert near_duplicates(cases) == []


def test_unreadable_and_blank_pictures_are_in_no_pair(tmp_path: Path) -> None:
    blank = np.full((40, 50, 3), 90, dtype=np.uint8)
    cases = pictures(tmp_path, {"a.png": blank, "b.png": blank, "c.png": blank, "d.png": blank})
    (tmp_path / "c.png").write_bytes(b"no picture")
    (tmp_path / "d.png").unlink()
    assert near_duplicates(cases) == []


def test_pairs_are_the_same_for_any_size_of_the_chunks(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = rng.normal(size=(20, 8)).astype(np.float32)
    units[[3, 11, 19]] = units[[0, 0, 12]]
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    want = [(0, 3), (0, 11), (3, 11), (12, 19)]
    for chunk in (1, 3, 7, 20, 64):
        monkeypatch.setattr(duplicates, "CHUNK", chunk)
        assert sorted(correlated_pairs(units)) == want


def test_the_known_pair_across_the_parts_of_isic_2017_is_found(shared: Path) -> None:
    cases = import_cases("isic2017", shared / "data" / "isic2017")
    known = pl.col("image_id").is_in(["ISIC_0012970", "ISIC_0012127"])
    frame = pl.concat([cases.frame.filter(known), cases.frame.filter(~known)[::37]])
    assert len(frame) == 61
    subset = CaseTable(frame, cases.root, cases.diagnoses, cases.manifest)
    assert sorted(frame["split"][:2]) == ["train", "val"]
    assert near_duplicates(subset) == [(0, 1)]
