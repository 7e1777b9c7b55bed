"""The adapter of ISIC 2017 images with masks, on a tiny copy of the layout and on the real set."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data.adapters.fake_isic2017_masks import write_isic2017_masks
from dermapair.data.adapters import import_cases
from dermapair.data.masks import read_mask
from dermapair.errors import MissingFilesError, TableError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_isic2017_masks(tmp_path / "set")


def test_rows_have_split_diagnosis_and_mask(root: Path) -> None:
    table = import_cases("isic2017-masks", root)
    assert table.frame.select("lesion_id", "view", "path", "diagnosis", "split", "mask").rows() == [
        (name, "dermoscopic", f"images/{name}.jpg", diagnosis, split, f"masks/{name}_segmentation.png")
        for name, diagnosis, split in (
            ("ISIC_0000000", "nevus", "train"),
            ("ISIC_0000013", "melanoma", "train"),
            ("ISIC_0001769", "seborrheic_keratosis", "val"),
        )
    ]
    assert table.frame["official_split"].to_list() == table.frame["split"].to_list()
    assert table.diagnoses == ("nevus", "melanoma", "seborrheic_keratosis")
    assert table.manifest["lesion_ids"] == "image"
    assert read_mask(table, 0).sum() == 20 * 16


def test_all_missing_images_and_masks_are_listed(root: Path) -> None:
    missing = ("images/ISIC_0000013.jpg", "masks/ISIC_0000000_segmentation.png")
    for path in missing:
        (root / path).unlink()
    with pytest.raises(MissingFilesError, match="2 files that the tables name are missing") as caught:
        import_cases("isic2017-masks", root)
    assert caught.value.paths == missing


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("melanoma", "mel", r"row 2 \(image 'ISIC_0000013'\) diagnosis='mel': unknown diagnosis"),
        ("val", "dev", r"row 3 .*split='dev': split must be empty or one of train"),
        ("isic2017_label", "label", "lacks the columns isic2017_label"),
    ],
)
def test_a_bad_table_is_refused(root: Path, old: str, new: str, match: str) -> None:
    path = root / "labels.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("isic2017-masks", root)


def test_the_real_set_has_its_parts_and_its_masks_fit(shared: Path) -> None:
    table = import_cases("isic2017-masks", shared / "data" / "isic2017_lesion_masks")
    counts = table.frame.group_by("split").len().sort("split").rows()
    assert counts == [("train", 1800), ("val", 121)]
    assert dict(table.frame.group_by("diagnosis").len().rows()) == {
        "nevus": 1379,
        "melanoma": 382,
        "seborrheic_keratosis": 160,
    }
    assert table.frame.select(pl.col("image_id").n_unique()).item() == 1921
    for row in range(0, 1921, 640):
        assert 0.01 < read_mask(table, row).mean() < 1.0
