"""The PH2 adapter, on a tiny copy of the official layout."""

from __future__ import annotations

import sys
from pathlib import Path

import openpyxl
import pytest
from polars.testing import assert_frame_equal

from data.adapters.fake_ph2 import write_ph2
from dermapair.data.adapters import import_cases
from dermapair.data.masks import read_mask
from dermapair.errors import MissingExtraError, MissingFilesError, TableError

TEXT, SHEET = "PH2_dataset.txt", "PH2_dataset.xlsx"
IMAGES = "PH2 Dataset images"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_ph2(tmp_path / "ph2")


def test_rows_have_diagnosis_mask_and_criteria(root: Path) -> None:
    table = import_cases("ph2", root)
    assert table.frame.select("image_id", "lesion_id", "view", "diagnosis", "source").rows() == [
        ("IMD003", "IMD003", "dermoscopic", "common_nevus", "PH2"),
        ("IMD020", "IMD020", "dermoscopic", "atypical_nevus", "PH2"),
        ("IMD061", "IMD061", "dermoscopic", "melanoma", "PH2"),
    ]
    assert table.frame["path"][0] == f"{IMAGES}/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp"
    assert table.frame["mask"][0] == f"{IMAGES}/IMD003/IMD003_lesion/IMD003_lesion.bmp"
    assert table.frame["histological_diagnosis"].to_list() == [None, None, "Melanoma"]
    assert table.frame["asymmetry"].to_list() == ["0", "1", "2"]
    assert table.frame["dots_globules"].to_list() == ["A", "AT", "AT"]
    assert table.frame["colors"].to_list() == ["4", "3 4", "1 4 5 6"]
    assert table.diagnoses == ("common_nevus", "atypical_nevus", "melanoma")
    assert table.manifest["lesion_ids"] == "image"
    assert read_mask(table, 0).sum() == 10 * 16


def test_text_and_workbook_give_the_same_table(root: Path) -> None:
    text = import_cases("ph2", root).frame
    (root / TEXT).unlink()
    assert_frame_equal(import_cases("ph2", root).frame, text)


def test_all_of_it_may_lie_in_the_folder_of_the_archive(tmp_path: Path) -> None:
    write_ph2(tmp_path / "PH2Dataset")
    table = import_cases("ph2", tmp_path)
    assert table.path(2).is_file()
    assert table.root == tmp_path / "PH2Dataset"


def test_all_missing_images_and_masks_are_listed(root: Path) -> None:
    missing = (
        f"{IMAGES}/IMD061/IMD061_Dermoscopic_Image/IMD061.bmp",
        f"{IMAGES}/IMD003/IMD003_lesion/IMD003_lesion.bmp",
    )
    for path in missing:
        (root / path).unlink()
    with pytest.raises(MissingFilesError, match="2 files that the tables name are missing") as caught:
        import_cases("ph2", root)
    assert caught.value.paths == missing


def test_a_workbook_without_openpyxl_says_what_to_install(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert len(import_cases("ph2", root).frame) == 3, "the text needs no further package"
    (root / TEXT).unlink()
    with pytest.raises(MissingExtraError, match=r"xlsx: .*openpyxl.*`pip install 'dermapair\[sets\]'`"):
        import_cases("ph2", root)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("|| IMD020", "|| IMD20a", "row 2: expected the name of an image, such as IMD002, got 'IMD20a'"),
        ("|| IMD020", "|| ", "row 2: expected the name of an image, such as IMD002, got None"),
        ("|| IMD020", "|| IMD003", r"row 2 \(image 'IMD003'\).*occurs twice|row 1 .*occurs twice"),
        ("  2 ||", "  3 ||", r"row 3 \(IMD061\): expected one of 0, 1, 2 in clinical_diagnosis, got '3'"),
        ("  2 ||", "    ||", r"row 3 \(IMD061\): expected one of 0, 1, 2 in clinical_diagnosis, got None"),
        ("T |", "T ", r"row 1 \(IMD003\): expected 10 cells as in the header, got 9"),
        ("Streaks", "Streak", "lacks the columns streaks"),
        ("||", "", "lacks the columns name, clinical_diagnosis"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(root: Path, old: str, new: str, match: str) -> None:
    text = (root / TEXT).read_text("utf-8")
    assert old in text
    (root / TEXT).write_text(text.replace(old, new, -1 if new == "" else 1), "utf-8")
    with pytest.raises(TableError, match=match):
        import_cases("ph2", root)


@pytest.mark.parametrize(
    ("cell", "value", "match"),
    [
        ("A14", "IMD", "row 1: expected the name of an image, such as IMD002, got 'IMD'"),
        ("C15", "X", r"row 2 \(IMD020\): expected X or nothing .* got X, X, nothing"),
        ("D15", None, r"row 2 \(IMD020\): .* one X in the first three, got nothing, nothing, nothing"),
        ("E16", "yes", r"row 3 \(IMD061\): expected X or nothing .* got nothing, nothing, YES"),
        ("Q16", 1, r"row 3 \(IMD061\): expected X or nothing .*, 1; correct"),
        ("A13", "Picture", "lacks the columns image_name, common_nevus"),
        ("Q13", "Dark", "lacks the columns black"),
    ],
)
def test_a_bad_cell_is_refused_by_its_row(root: Path, cell: str, value: object, match: str) -> None:
    (root / TEXT).unlink()
    book = openpyxl.load_workbook(root / SHEET)
    book.worksheets[0][cell] = value
    book.save(root / SHEET)
    with pytest.raises(TableError, match=match):
        import_cases("ph2", root)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"<html></html>"])
def test_a_file_that_is_no_workbook_is_refused(root: Path, content: bytes) -> None:
    (root / TEXT).unlink()
    (root / SHEET).write_bytes(content)
    with pytest.raises(TableError, match="PH2_dataset.xlsx: expected an Excel workbook, but"):
        import_cases("ph2", root)


def test_a_table_that_is_no_text_and_another_folder_are_refused(root: Path, tmp_path: Path) -> None:
    (root / TEXT).write_bytes(b"|| Name\xff ||\n")
    with pytest.raises(TableError, match="expected a table in UTF-8, but"):
        import_cases("ph2", root)
    with pytest.raises(TableError, match="expected PH2_dataset.txt or PH2_dataset.xlsx there"):
        import_cases("ph2", tmp_path)
