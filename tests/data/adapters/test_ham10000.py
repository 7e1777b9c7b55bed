"""The HAM10000 adapter, on a tiny copy of the official layout and on the real set."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.adapters.fake_ham10000 import write_ham10000
from data.adapters.layouts import deeper_in_capitals
from dermapair.data.adapters import import_cases
from dermapair.errors import MissingFilesError, TableError


@pytest.mark.parametrize(("parts", "ending"), [(True, ".csv"), (True, ""), (False, ".csv")])
def test_images_lie_in_two_folders_or_in_one(parts: bool, ending: str, tmp_path: Path) -> None:
    table = import_cases("ham10000", write_ham10000(tmp_path, parts=parts, ending=ending))
    folder = "HAM10000_images_part_1" if parts else "HAM10000_images"
    assert table.frame["path"][0] == f"{folder}/ISIC_0027419.jpg"
    assert table.frame.select("image_id", "lesion_id", "diagnosis", "view").rows()[:2] == [
        ("ISIC_0027419", "HAM_0000118", "bkl", "dermoscopic"),
        ("ISIC_0025030", "HAM_0000118", "bkl", "dermoscopic"),
    ]
    assert table.diagnoses == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert table.frame["patient_id"].to_list() == [None] * 4


@pytest.mark.parametrize("name", ["HAM10000_metadata.tab", "HAM10000_images_part_1/HAM10000_metadata.csv"])
def test_the_table_may_be_the_dataverses_or_among_the_images_and_these_a_folder_deeper_in_capitals(
    name: str, tmp_path: Path
) -> None:
    root = write_ham10000(tmp_path / "set")
    expected = import_cases("ham10000", root).frame
    table = (root / "HAM10000_metadata.csv").rename(root / name)
    if table.suffix == ".tab":
        table.write_text(table.read_text().replace(",", "\t").replace("scalp", '"scalp"'))
    deeper_in_capitals(root / "HAM10000_images_part_1")
    frame = import_cases("ham10000", root).frame
    assert frame.drop("path").equals(expected.drop("path"))
    assert frame["path"][0] == "HAM10000_images_part_1/HAM10000_images_part_1/ISIC_0027419.JPG"
    assert frame["path"][1] == "HAM10000_images_part_2/ISIC_0025030.jpg"


def test_unknown_values_are_null_and_how_a_diagnosis_was_confirmed_is_kept(tmp_path: Path) -> None:
    frame = import_cases("ham10000", write_ham10000(tmp_path)).frame
    assert frame.select("age", "sex", "site", "dx_type").rows()[2:] == [
        (None, None, None, "follow_up"),
        (75.0, "female", "ear", "histo"),
    ]


def test_missing_images_are_listed(tmp_path: Path) -> None:
    root = write_ham10000(tmp_path)
    (root / "HAM10000_images_part_2" / "ISIC_0025030.jpg").unlink()
    with pytest.raises(MissingFilesError, match="1 files that the tables name are missing") as caught:
        import_cases("ham10000", root)
    assert caught.value.paths == ("HAM10000_images/ISIC_0025030.jpg",)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("mel,", "melanoma,", r"row 4 \(ISIC_0031633\): expected a dx of akiec.* got 'melanoma'"),
        ("nv,", ",", r"row 3 \(ISIC_0026769\): expected a dx of .* got None"),
        ("75.0", "old", "row 4: expected a number in age, got 'old'"),
        ("HAM_0000118,ISIC_0025030,bkl", "HAM_0000118,ISIC_0025030,nv", "has the diagnoses bkl, nv"),
        ("dx_type", "kind", "lacks the columns dx_type"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(old: str, new: str, match: str, tmp_path: Path) -> None:
    path = write_ham10000(tmp_path) / "HAM10000_metadata.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("ham10000", tmp_path)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"HAM10000_metadata\.csv: expected this table"):
        import_cases("ham10000", tmp_path)


def test_the_real_set_has_its_lesions_and_classes(shared: Path) -> None:
    frame = import_cases("ham10000", shared / "data" / "ham10000").frame
    assert (len(frame), frame["lesion_id"].n_unique()) == (10_015, 7_470)
    counts = dict(frame.group_by("diagnosis").len().rows())
    assert counts == {
        "akiec": 327, "bcc": 514, "bkl": 1099, "df": 115, "mel": 1113, "nv": 6705, "vasc": 142,
    }  # fmt: skip
