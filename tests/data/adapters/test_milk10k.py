"""The MILK10k adapter, on a tiny copy of the official layout and on the real set."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from data.adapters.fake_milk10k import write_milk10k
from data.adapters.layouts import deeper_in_capitals
from dermapair.data.adapters import import_cases
from dermapair.data.adapters.milk10k import DIAGNOSES
from dermapair.data.cases import read_cases, write_cases
from dermapair.errors import MissingFilesError, TableError, UsageError

TRAINING, TRUTH = "MILK10k_Training_Metadata.csv", "MILK10k_Training_GroundTruth.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_milk10k(tmp_path / "milk10k")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_each_image_is_a_row_with_its_views_truth_and_facts(root: Path) -> None:
    frame = import_cases("milk10k", root).frame.filter(lesion_id="IL_0000001")
    assert frame["view"].to_list() == ["clinical", "dermoscopic"]
    assert frame["image_id"].to_list() == ["ISIC_9000001", "ISIC_8000001"]
    assert frame["path"][0] == "MILK10k_Training_Input/IL_0000001/ISIC_9000001.jpg"
    facts = frame.select("diagnosis", "age", "sex", "skin_tone", "site", "license", "source").row(0)
    assert facts == ("BCC", 70.0, "male", "1", "head_neck_face", "CC-BY-NC", "MILK10k")
    assert frame["MONET_hair"].to_list() == ["0.25", "0.25"]


def test_unknown_is_null_and_never_zero_or_empty(root: Path) -> None:
    frame = import_cases("milk10k", root).frame
    unknown = frame.filter(lesion_id="IL_0000002").row(0, named=True)
    assert (unknown["age"], unknown["site"], unknown["patient_id"]) == (None, None, None)
    assert unknown["skin_tone"] == "0", "0 is a value of the set's own scale"
    assert frame.filter(lesion_id="IL_0000003")["sex"].to_list() == [None, None]
    text = frame.select(pl.col(pl.String))
    assert not text.select(pl.any_horizontal((pl.all() == "").fill_null(False).any())).item()
    assert frame.schema["age"] == pl.Float64


def test_training_has_no_split_and_the_test_part_has_no_truth(root: Path) -> None:
    table = import_cases("milk10k", root)
    by_split = table.frame.group_by("split").agg(pl.col("diagnosis").drop_nulls().unique().sort())
    assert dict(by_split.iter_rows()) == {None: ["BCC", "MEL", "NV"], "test": []}
    assert table.diagnoses == DIAGNOSES
    assert table.frame["official_split"].to_list() == table.frame["split"].to_list()


def test_tables_may_lie_among_the_images_and_these_a_folder_deeper_in_capitals(root: Path) -> None:
    expected = import_cases("milk10k", root).frame
    for table in [*root.glob("MILK10k_Training_*.csv")]:
        table.rename(root / "MILK10k_Training_Input" / table.name)
    deeper_in_capitals(root / "MILK10k_Training_Input")
    frame = import_cases("milk10k", root).frame
    assert frame.drop("path").equals(expected.drop("path"))
    assert frame["path"][0] == "MILK10k_Training_Input/MILK10k_Training_Input/IL_0000001/ISIC_9000001.JPG"
    assert frame["path"][-1] == expected["path"][-1]


def test_the_supplement_is_joined_by_image(root: Path) -> None:
    frame = import_cases("milk10k", root).frame.filter(pl.col("split").is_null())
    assert frame["diagnosis_full"].to_list() == [f"Nevus, {image}" for image in frame["image_id"]]
    assert frame["invasion_thickness_interval"].to_list() == [None] * 6


def test_each_part_may_be_there_alone(root: Path) -> None:
    for name in (TRAINING, TRUTH, "MILK10k_Training_Supplement.csv"):
        (root / name).unlink()
    frame = import_cases("milk10k", root).frame
    assert frame["split"].to_list() == ["test", "test"]
    assert frame["diagnosis"].to_list() == [None, None]


def test_a_written_table_is_read_back_equal(root: Path, tmp_path: Path) -> None:
    table = import_cases("milk10k", root)
    again = read_cases(write_cases(table, tmp_path / "cases").folder or "")
    assert again.frame.equals(table.frame)
    assert again.diagnoses == DIAGNOSES
    assert again.path(0).is_file()


def test_all_missing_files_are_listed_and_nothing_is_imported(root: Path) -> None:
    shutil.rmtree(root / "MILK10k_Test_Input")
    (root / "MILK10k_Training_Input" / "IL_0000001" / "ISIC_8000001.jpg").unlink()
    with pytest.raises(MissingFilesError, match="3 files that the tables name are missing") as caught:
        import_cases("milk10k", root)
    assert caught.value.paths == (
        "MILK10k_Training_Input/IL_0000001/ISIC_8000001.jpg",
        "MILK10k_Test_Input/IL_0000004/ISIC_9000004.jpg",
        "MILK10k_Test_Input/IL_0000004/ISIC_8000004.jpg",
    )
    assert all(path in str(caught.value) for path in caught.value.paths)


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        (TRUTH, "IL_0000002,0.0", "IL_0000002,1.0", r"row 2 \(IL_0000002\).* exactly one 1, got 1.0, 0.0"),
        (TRUTH, "IL_0000003,0.0", "IL_0000003,maybe", r"row 3 \(IL_0000003\).*got maybe"),
        (TRUTH, "IL_0000003,0.0", "IL_0000003,", r"row 3 \(IL_0000003\): expected 0 or 1"),
        (TRUTH, "IL_0000003,0.0", "IL_0000003,0.5", r"row 3 .*got 0.5"),
        (TRUTH, "IL_0000003", "IL_0000002", "lesion 'IL_0000002' occurs twice"),
        (TRUTH, "IL_0000003", "IL_0000009", "lesion 'IL_0000009' is not in both"),
        (TRUTH, "VASC", "VAS", "lacks the columns VASC"),
        (TRAINING, "IL_0000002,dermoscopic", "IL_0000002,histology", r"row 4: .*got 'histology'"),
        (TRAINING, "IL_0000002,dermoscopic", "IL_0000002,", r"row 4: expected image_type .*got None"),
        (TRAINING, ",70,", ",old,", r"row 1: expected a number in age_approx, got 'old'"),
        (TRAINING, "copyright_license", "licence", "lacks the columns copyright_license"),
        (TRAINING, "ISIC_8000002", "ISIC_9000002", r"row 3 \(image 'ISIC_9000002'\).*occurs twice"),
        (TRAINING, "ISIC_8000002", "", r"row 4 \(image None\): image_id is empty"),
        (TRAINING, "ISIC_8000002", "../../ISIC_8000002", r"row 4 .*leads outside the root folder"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(root: Path, file: str, old: str, new: str, match: str) -> None:
    edit(root / file, old, new)
    with pytest.raises(TableError, match=match):
        import_cases("milk10k", root)


def test_a_lesion_without_truth_in_a_part_that_has_one_is_refused(root: Path) -> None:
    lines = (root / TRUTH).read_text().splitlines()
    (root / TRUTH).write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(TableError, match="lesion 'IL_0000003' is not in both"):
        import_cases("milk10k", root)


def test_another_folder_and_another_adapter_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"expected MILK10k_Training_Metadata.csv or MILK10k_Test_Meta"):
        import_cases("milk10k", tmp_path)
    with pytest.raises(
        UsageError,
        match="unknown adapter 'milk'; known: csv, .*milk10k, .*phantom",
    ):
        import_cases("milk", tmp_path)


def test_the_real_set_has_its_images_lesions_and_classes(shared: Path) -> None:
    table = import_cases("milk10k", shared / "data" / "milk10k")
    assert len(table.frame) == 8384
    assert table.frame["view"].value_counts().sort("view").rows() == [
        ("clinical", 4192),
        ("dermoscopic", 4192),
    ]
    assert table.frame["split"].null_count() == 8384
    lesions = dict(table.frame.group_by("diagnosis").agg(pl.col("lesion_id").n_unique()).iter_rows())
    assert lesions == {
        "AKIEC": 242, "BCC": 2018, "BEN_OTH": 35, "BKL": 435, "DF": 42, "INF": 40,
        "MAL_OTH": 7, "MEL": 360, "NV": 597, "SCCKA": 378, "VASC": 38,
    }  # fmt: skip
    assert sum(lesions.values()) == 4192
    assert table.frame["age"].null_count() == 26
    assert table.frame["skin_tone"].unique().sort().to_list() == ["0", "1", "2", "3", "4", "5"]
    assert table.frame["diagnosis_full"].null_count() == 0
