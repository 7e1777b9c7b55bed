"""One's own CSV: a row per image or per lesion, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.tables import save, smooth_picture
from dermapair.data.adapters import import_cases
from dermapair.data.cases import CaseTable
from dermapair.errors import LeakError, MissingFilesError, TableError

PER_IMAGE = "image_id,lesion_id,patient_id,view,path,diagnosis,split,age"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcd":
        save(tmp_path / "img" / f"{name}.jpg", smooth_picture(ord(name)))
    return tmp_path


def read(folder: Path, *lines: str, encoding: str = "utf-8") -> CaseTable:
    path = folder / "cases.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return import_cases("csv", path)


def test_a_row_per_image_keeps_its_values_and_extra_columns(folder: Path) -> None:
    table = read(
        folder,
        f"{PER_IMAGE},site,row,ward",
        "A,L1,P1,clinical,img/a.jpg,MEL,train,61.5,arm,9,x",
        "B,L1,P1,dermoscopic,img/b.jpg,MEL,train,61.5,arm,8,",
        "C,L2,,dermoscopic,img/c.jpg,,test,,unknown,7,NA",
    )
    assert table.frame["image_id"].to_list() == ["A", "B", "C"]
    assert table.frame["lesion_id"].to_list() == ["L1", "L1", "L2"]
    assert table.frame["age"].to_list() == [61.5, 61.5, None]
    assert table.frame["diagnosis"].to_list() == ["MEL", "MEL", None]
    assert table.frame["site"].to_list() == ["arm", "arm", None]
    assert table.frame["row"].to_list() == ["9", "8", "7"]
    assert table.frame["ward"].to_list() == ["x", None, None]
    assert table.frame["official_split"].to_list() == ["train", "train", "test"]
    assert table.diagnoses == ("MEL",)
    assert table.path(0) == folder / "img" / "a.jpg"


def test_ids_come_from_file_stems_where_they_are_not_given(folder: Path) -> None:
    table = read(folder, "view,path", "clinical,img/a.jpg", "dermoscopic,img/b.jpg")
    assert table.frame["image_id"].to_list() == table.frame["lesion_id"].to_list() == ["a", "b"]
    assert table.manifest["lesion_ids"] == "image"
    assert table.frame["split"].to_list() == table.frame["official_split"].to_list() == [None, None]


def test_a_row_per_lesion_gives_a_row_per_view_and_an_empty_cell_is_a_missing_view(folder: Path) -> None:
    table = read(
        folder,
        "lesion_id,clinical,dermoscopic,diagnosis",
        "L1,img/a.jpg,img/b.jpg,NV",
        "L2,,img/c.jpg,MEL",
        "L3,img/d.jpg,,NV",
    )
    assert table.frame.select("image_id", "lesion_id", "view", "path", "diagnosis").rows() == [
        ("L1_clinical", "L1", "clinical", "img/a.jpg", "NV"),
        ("L1_dermoscopic", "L1", "dermoscopic", "img/b.jpg", "NV"),
        ("L2_dermoscopic", "L2", "dermoscopic", "img/c.jpg", "MEL"),
        ("L3_clinical", "L3", "clinical", "img/d.jpg", "NV"),
    ]
    assert table.manifest["lesion_ids"] == "lesion"


def test_a_row_per_lesion_may_have_one_view_only_and_no_ids(folder: Path) -> None:
    table = read(folder, "clinical", "img/a.jpg", "img/b.jpg")
    assert table.frame["lesion_id"].to_list() == ["a", "b"]


def test_a_byte_order_mark_and_spaces_in_the_header_are_no_part_of_a_name(folder: Path) -> None:
    table = read(folder, "clinical, dermoscopic", "img/a.jpg,img/b.jpg", encoding="utf-8-sig")
    assert table.frame["view"].to_list() == ["clinical", "dermoscopic"]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("A,L9,P9,clinical,img/c.jpg,NV,,", r"row 1 \(image 'A'\).*occurs twice.*\(2 such rows\)"),
        ("C,L9,P9,Clinical,img/c.jpg,NV,,", r"row 3 \(image 'C'\) view='Clinical': view must be one of clin"),
        ("C,L9,P9,,img/c.jpg,NV,,", r"row 3 \(image 'C'\): view is empty"),
        ("C,L9,P9,clinical,,NV,,", r"row 3 \(image 'C'\): path is empty"),
        ("C,L9,P9,clinical,img/c.jpg,NV,training,", r"row 3 .*split='training'.*train, val, test"),
        ("C,L9,P9,clinical,img/c.jpg,NV,,NaN", r"row 3: got 'NaN' in age; leave the cell empty"),
        ("C,L9,P9,clinical,img/c.jpg,nan,,", r"row 3: got 'nan' in diagnosis"),
        ("C,L9,P9,clinical,img/c.jpg,NV,,inf", r"row 3: expected a number in age, got 'inf'"),
        ("C,L9,P9,clinical,img/c.jpg,NV,,sixty", r"row 3: expected a number in age, got 'sixty'"),
        ("C,L9,P9,clinical,../c.jpg,NV,,", r"row 3 .*path='../c.jpg': path leads outside the root"),
        ("C,L9,P9,clinical,img/../../c.jpg,NV,,", r"row 3 .*leads outside the root"),
        ("C,L9,P9,clinical,/etc/c.jpg,NV,,", r"row 3 .*path='/etc/c.jpg': path leads outside the root"),
        ("C,L9,P9,clinical,D:/c.jpg,NV,,", r"row 3 .*leads outside the root"),
        (r"C,L9,P9,clinical,..\c.jpg,NV,,", r"row 3 .*leads outside the root"),
        ("C,L1,P1,clinical,img/c.jpg,NV,,", r"lesion 'L1' has the diagnoses MEL, NV"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(folder: Path, line: str, match: str) -> None:
    good = ("A,L1,P1,clinical,img/a.jpg,MEL,train,61", "B,L2,P2,dermoscopic,img/b.jpg,NV,test,40")
    with pytest.raises(TableError, match=match):
        read(folder, PER_IMAGE, *good, line)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("C,L1,P3,clinical,img/c.jpg,MEL,test,", "lesion_id 'L1' lies in the splits test and train"),
        ("C,L3,P1,clinical,img/c.jpg,NV,val,", "patient_id 'P1' lies in the splits train and val"),
    ],
)
def test_a_lesion_or_patient_in_two_splits_is_a_leak_that_is_named(
    folder: Path, line: str, match: str
) -> None:
    with pytest.raises(LeakError, match=match):
        read(folder, PER_IMAGE, "A,L1,P1,clinical,img/a.jpg,MEL,train,61", line)


def test_a_bad_row_per_lesion_is_refused_by_the_row_of_the_file(folder: Path) -> None:
    header = "lesion_id,clinical,dermoscopic"
    with pytest.raises(TableError, match="row 2: expected a file in clinical or dermoscopic, both are empty"):
        read(folder, header, "L1,img/a.jpg,img/b.jpg", "L2,,")
    with pytest.raises(TableError, match=r"row 2 \(image 'L2_clinical'\).*leads outside"):
        read(folder, header, "L1,img/a.jpg,img/b.jpg", "L2,../c.jpg,img/c.jpg")


def test_all_missing_files_are_listed(folder: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"2 files.*\n  img/x.jpg\n  img/y.jpg") as caught:
        read(folder, "clinical,dermoscopic", "img/x.jpg,img/a.jpg", ",img/y.jpg")
    assert caught.value.paths == ("img/x.jpg", "img/y.jpg")
    with pytest.raises(MissingFilesError, match="1 files"):
        read(folder, "clinical", "x" * 5000)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"name,file\n1,a.jpg\n", "expected the columns view and path .* got name, file"),
        (b"view,path\n", "the case table has no rows"),
        (b"", "expected a CSV table in UTF-8, but"),
        (b"clinical,site\nimg/a.jpg,\xe9paule\n", "expected a CSV table in UTF-8, but"),
        (b"clinical,site\nimg/a.jpg,arm,left\n", "expected a CSV table in UTF-8, but"),
        (b"clinical,site, site\nimg/a.jpg,arm,left\n", "expected each column once, got 'site' twice"),
        (b"clinical,site,site\nimg/a.jpg,arm,left\n", "expected each column once, got 'site' twice"),
        (b"clinical,site ,site \nimg/a.jpg,arm,left\n", "expected each column once, got 'site' twice"),
        (b'"a\nb",c\n1,2\n', r"expected the columns view and path .* got 'a\\nb', c"),
    ],
    ids=[
        "columns",
        "rows",
        "empty",
        "latin-1",
        "ragged",
        "doubled column",
        "doubled exactly",
        "doubled with spaces",
        "line in a name",
    ],
)
def test_a_file_that_is_no_case_table_is_refused(folder: Path, text: bytes, match: str) -> None:
    path = folder / "cases.csv"
    path.write_bytes(text)
    with pytest.raises(TableError, match=match):
        import_cases("csv", path)


def test_a_folder_or_a_missing_file_is_refused(folder: Path) -> None:
    with pytest.raises(TableError, match="expected a CSV file, got a folder"):
        import_cases("csv", folder)
    with pytest.raises(TableError, match="expected this table, but it is not there"):
        import_cases("csv", folder / "none.csv")
