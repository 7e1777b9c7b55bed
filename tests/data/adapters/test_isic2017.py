"""The ISIC 2017 adapter, on a tiny copy of the official layout and on the real set."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from data.adapters.fake_isic2017 import write_isic2017
from dermapair.data.adapters import import_cases
from dermapair.errors import MissingFilesError, TableError

TRUTH = "ISIC-2017_Training_Part3_GroundTruth.csv"
METADATA = "ISIC-2017_Training_Data_metadata.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_isic2017(tmp_path / "isic2017")


def test_official_splits_are_kept_and_the_test_part_has_no_truth(root: Path) -> None:
    frame = import_cases("isic2017", root).frame
    assert frame.select("image_id", "diagnosis", "split").rows() == [
        ("ISIC_0000000", "nevus", "train"),
        ("ISIC_0000002", "melanoma", "train"),
        ("ISIC_0000003", "seborrheic_keratosis", "train"),
        ("ISIC_0001769", "nevus", "val"),
        ("ISIC_0012086", None, "test"),
        ("ISIC_0012092", None, "test"),
    ]
    assert frame["official_split"].to_list() == frame["split"].to_list()


def test_each_image_is_its_own_lesion_and_the_manifest_says_so(root: Path) -> None:
    table = import_cases("isic2017", root)
    assert table.frame["lesion_id"].to_list() == table.frame["image_id"].to_list()
    assert table.manifest["lesion_ids"] == "image"
    assert table.frame["view"].unique().to_list() == ["dermoscopic"]
    assert table.diagnoses == ("nevus", "melanoma", "seborrheic_keratosis")
    assert table.frame["path"][0] == "ISIC-2017_Training_Data/ISIC_0000000.jpg"


@pytest.mark.parametrize("inside", [False, True], ids=["beside", "inside"])
def test_age_and_sex_are_joined_from_beside_or_inside_the_image_folder(tmp_path: Path, inside: bool) -> None:
    frame = import_cases("isic2017", write_isic2017(tmp_path, metadata_inside=inside)).frame
    assert frame["age"].to_list() == [55.0, None, None, 15.0, None, None]
    assert frame["sex"].to_list() == ["female", None, None, "male", None, None]


def test_a_set_without_metadata_has_unknown_ages(root: Path) -> None:
    for path in root.glob("*metadata.csv"):
        path.unlink()
    frame = import_cases("isic2017", root).frame
    assert frame["age"].to_list() == [None] * 6
    assert frame.schema["age"] == pl.Float64


def test_all_missing_images_are_listed_also_of_a_part_without_a_folder(root: Path) -> None:
    (root / "ISIC-2017_Training_Data" / "ISIC_0000002.jpg").unlink()
    shutil.rmtree(root / "ISIC-2017_Validation_Data")
    with pytest.raises(MissingFilesError, match="2 files that the tables name are missing") as caught:
        import_cases("isic2017", root)
    assert caught.value.paths == (
        "ISIC-2017_Training_Data/ISIC_0000002.jpg",
        "ISIC-2017_Validation_Data/ISIC_0001769.jpg",
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        (TRUTH, "2,1.0,0.0", "2,1.0,1.0", r"row 2 \(ISIC_0000002\).* at most one 1, got 1.0, 1.0"),
        (TRUTH, "2,1.0,0.0", "2,1.0,", r"row 2 \(ISIC_0000002\): expected 0 or 1"),
        (TRUTH, "ISIC_0000003", "ISIC_0000002", r"row 2 \(image 'ISIC_0000002'\).*occurs twice"),
        (TRUTH, "melanoma", "mel", "lacks the columns melanoma"),
        (METADATA, ",55,", ",fifty,", r"row 1: expected a number in age_approximate, got 'fifty'"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(root: Path, file: str, old: str, new: str, match: str) -> None:
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("isic2017", root)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="expected a folder ISIC-2017_Training_Data"):
        import_cases("isic2017", tmp_path)


def test_the_real_set_has_its_parts_and_classes(shared: Path) -> None:
    frame = import_cases("isic2017", shared / "data" / "isic2017").frame
    counts = frame.group_by("split", "diagnosis").len().sort("split", "diagnosis").rows()
    assert counts == [
        ("train", "melanoma", 374),
        ("train", "nevus", 1372),
        ("train", "seborrheic_keratosis", 254),
        ("val", "melanoma", 30),
        ("val", "nevus", 78),
        ("val", "seborrheic_keratosis", 42),
    ]
