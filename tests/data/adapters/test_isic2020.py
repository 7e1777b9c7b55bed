"""The ISIC 2020 adapter, on tiny copies of its layouts and on the first rows of the official tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.adapters.fake_isic2020 import PEOPLE, write_isic2020
from dermapair.data.adapters import import_cases
from dermapair.errors import TableError

TRUTH = "ISIC_2020_Training_GroundTruth_v2.csv"


def test_unknown_is_a_diagnosis_and_elsewhere_null(tmp_path: Path) -> None:
    table = import_cases("isic2020", write_isic2020(tmp_path))
    columns = (
        "image_id",
        "patient_id",
        "diagnosis",
        "split",
        "age",
        "sex",
        "site",
        "benign_malignant",
        "target",
    )
    rows = table.frame.select(columns).rows()
    assert rows[0] == ("ISIC_2637011", "IP_7279968", "unknown", None, 45.0, "male", "head/neck", "benign", 0)
    assert rows[2][2:4] + rows[2][7:] == ("melanoma", None, "malignant", 1)
    assert rows[4] == ("ISIC_0074268", "IP_8723313", "unknown", None, None, None, None, "benign", 0)
    assert rows[5] == ("ISIC_0052060", "IP_3579794", None, "test", 70.0, "male", None, None, None)
    assert len(rows) == 7
    assert table.diagnoses[-1] == "unknown" and len(table.diagnoses) == 9


@pytest.mark.parametrize("version", [1, 2])
def test_official_duplicates_are_one_lesion(tmp_path: Path, version: int) -> None:
    table = import_cases("isic2020", write_isic2020(tmp_path, version=version))
    lesions = dict(table.frame.select("image_id", "lesion_id").rows())
    both = "IL_6540984" if version == 2 else "ISIC_0149568"
    assert lesions["ISIC_0149568"] == lesions["ISIC_9022005"] == both
    assert table.frame["lesion_id"].n_unique() == 6
    duplicates = dict(table.frame.select("image_id", "official_duplicate").drop_nulls().rows())
    assert duplicates == {"ISIC_0149568": "ISIC_9022005", "ISIC_9022005": "ISIC_0149568"}
    assert table.manifest["lesion_ids"] == ("lesion" if version == 2 else "image")


def test_duplicates_hold_together_through_others_and_through_lesions(tmp_path: Path) -> None:
    root = write_isic2020(tmp_path)
    (root / "ISIC_2020_Training_Duplicates.csv").write_text(
        "image_name_1,image_name_2\nISIC_0149568,ISIC_9022005\nISIC_9022005,ISIC_0052212\n"
    )
    path = root / TRUTH
    path.write_text(path.read_text().replace("IL_6898037", "IL_9087444"))  # a nevus's lesion, not a duplicate
    table = import_cases("isic2020", root)
    assert table.frame["lesion_id"].to_list()[:5] == ["IL_7972535", *["IL_9087444"] * 4]
    assert table.frame["diagnosis"].to_list()[:5] == ["unknown", None, None, None, None]
    assert table.frame["official_diagnosis"].to_list()[1:5] == ["nevus", "melanoma", "melanoma", "unknown"]
    assert table.frame["official_duplicate"][3] == "ISIC_0052212 ISIC_0149568"


@pytest.mark.parametrize(
    ("folder", "kaggle"),
    [
        ("ISIC_2020_Training_JPEG/train", False),
        ("ISIC_2020_Training_JPEG", False),
        ("train", False),
        ("jpeg/train", True),
    ],
)
def test_each_place_of_the_images_is_found(tmp_path: Path, folder: str, kaggle: bool) -> None:
    frame = import_cases("isic2020", write_isic2020(tmp_path, train=folder, kaggle=kaggle)).frame
    assert frame["path"][0] == f"{folder}/ISIC_2637011.jpg"
    assert frame["patient_id"].null_count() == 0 and frame["site"].null_count() == 2
    test = "jpeg/test" if kaggle else "ISIC_2020_Test_Input"
    assert frame["path"][5] == f"{test}/ISIC_0052060.jpg"


def test_dicom_is_taken_where_there_is_no_jpeg(tmp_path: Path) -> None:
    root = write_isic2020(tmp_path)
    dicom = root / "ISIC_2020_Training_Dicom" / "train"
    dicom.mkdir(parents=True)
    for image in PEOPLE:
        (dicom / f"{image}.dcm").touch()
    (root / "ISIC_2020_Training_JPEG" / "train" / "ISIC_0052212.jpg").unlink()
    assert import_cases("isic2020", root).frame["path"].to_list()[:2] == [
        "ISIC_2020_Training_JPEG/train/ISIC_2637011.jpg",
        "ISIC_2020_Training_Dicom/train/ISIC_0052212.dcm",
    ]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("nevus", "naevus", r"row 2 \(ISIC_0052212\): expected a diagnosis of nevus, .* got 'naevus'"),
        (",nevus,", ",,", r"row 2 \(ISIC_0052212\): expected a diagnosis .* got None"),
        (
            "nevus,benign,0",
            "nevus,benign,1",
            r"row 2 \(ISIC_0052212\): expected target 1 where .* got 1 and 'benign'",
        ),
        ("nevus,benign,0", "nevus,benign,2", r"row 2 \(ISIC_0052212\): expected a target of 0, 1, got '2'"),
        (",45,", ",x,", "row 1: expected a number in age_approx, got 'x'"),
        ("benign_malignant", "kind", "lacks the columns benign_malignant"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(tmp_path: Path, old: str, new: str, match: str) -> None:
    path = write_isic2020(tmp_path) / TRUTH
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("isic2020", tmp_path)


def test_test_metadata_without_patients_are_refused(tmp_path: Path) -> None:
    path = write_isic2020(tmp_path) / "ISIC_2020_Test_Metadata.csv"
    path.write_text(path.read_text().replace("patient", "person"))
    with pytest.raises(TableError, match="expected a column patient or patient_id, got image, person"):
        import_cases("isic2020", tmp_path)


@pytest.mark.parametrize("name", ["ISIC_2020_Training_GroundTruth.csv", TRUTH])
def test_the_first_rows_of_the_official_tables_are_read(shared: Path, tmp_path: Path, name: str) -> None:
    official = shared / "data" / "formats" / "isic2020"
    for table in (name, "ISIC_2020_Training_Duplicates.csv"):
        (tmp_path / table).write_text((official / table).read_text())
    folder = tmp_path / "train"
    folder.mkdir()
    for line in (official / name).read_text().splitlines()[1:]:
        (folder / f"{line.split(',')[0]}.dcm").touch()
    frame = import_cases("isic2020", tmp_path).frame
    assert dict(frame.group_by("diagnosis").len().rows()) == {
        "nevus": 39, "melanoma": 1, "seborrheic keratosis": 1, "unknown": 159,
    }  # fmt: skip
    assert frame["official_duplicate"].count() == 7
    assert frame["lesion_id"].n_unique() == 200
