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
    ("name", "right"),
    [
        ("Patient_ID", "patient_id"),
        ("lesion id", "lesion_id"),
        ("Lesion-Id", "lesion_id"),
        ("patientid", "patient_id"),
        ("Diagnosis", "diagnosis"),
        ("SPLIT", "split"),
        ("Dermoscopic", "dermoscopic"),
        ("Mask", "mask"),
        ("diagnosis common", "diagnosis_common"),
    ],
)
def test_a_known_column_in_another_writing_is_refused_with_the_right_name(
    folder: Path, name: str, right: str
) -> None:
    with pytest.raises(
        TableError, match=f"expected column names as written .*, {right} for '{name}'; rename"
    ):
        read(folder, f"view,path,{name}", "clinical,img/a.jpg,x")


def test_all_columns_in_another_writing_are_named_at_once(folder: Path) -> None:
    with pytest.raises(TableError, match="view for 'View' and path for 'Path'; rename"):
        read(folder, "View,Path", "clinical,img/a.jpg")


def test_notes_name_the_columns_that_are_kept_and_close_misses(folder: Path) -> None:
    table = read(folder, "clinical,dermoscopy,ward,sex,image_id", "img/a.jpg,img/b.jpg,3,male,X")
    assert table.frame["dermoscopy"].to_list() == ["img/b.jpg"]
    assert table.manifest["notes"] == [
        "columns kept as they are: 'dermoscopy', 'ward'",
        "column 'dermoscopy' looks like dermoscopic; rename it if that is meant",
        "columns that are made anew, so that yours do not count: 'image_id'",
    ]
    many = read(folder, ",".join(["clinical", *(f"x{i}" for i in range(22))]), "img/a.jpg" + "," * 22)
    assert many.manifest["notes"][0].endswith("'x18', 'x19' and 2 more")
    known = "view,path,mask,skin_tone_scale,diagnosis_common,age"
    assert read(folder, known, "clinical,img/a.jpg,,,,").manifest["notes"] == []


def test_blanks_at_the_ends_of_cells_do_not_count(folder: Path) -> None:
    table = read(
        folder,
        PER_IMAGE,
        " A ,L1\t, P1,clinical , img/a.jpg ,MEL ,train , 61 ",
        "B,L2,  ,dermoscopic,img/b.jpg, NA ,,",
    )
    assert table.frame.select(PER_IMAGE.split(",")).rows() == [
        ("A", "L1", "P1", "clinical", "img/a.jpg", "MEL", "train", 61.0),
        ("B", "L2", None, "dermoscopic", "img/b.jpg", None, None, None),
    ]
    with pytest.raises(TableError, match="row 1: got 'nan' in diagnosis"):
        read(folder, "clinical,diagnosis", "img/a.jpg, nan ")


def test_empty_rows_are_passed_over_and_rows_keep_their_numbers(folder: Path) -> None:
    table = read(folder, "view,path,age", "clinical,img/a.jpg,1", ",,", "clinical,img/b.jpg,2", " , ,", "")
    assert table.frame["image_id"].to_list() == ["a", "b"]
    with pytest.raises(TableError, match=r"row 3 \(image 'b'\) view='x'"):
        read(folder, "view,path", "clinical,img/a.jpg", ",", "x,img/b.jpg")
    with pytest.raises(TableError, match="row 3: expected a number in age"):
        read(folder, "view,path,age", "clinical,img/a.jpg,", ",,", "clinical,img/b.jpg,old")
    with pytest.raises(TableError, match="row 3: expected a file in clinical or dermoscopic"):
        read(folder, "clinical,dermoscopic,site", "img/a.jpg,,", ",,", ",,arm")
    with pytest.raises(TableError, match="row 2: expected a file in clinical or dermoscopic"):
        read(folder, "clinical,site", "img/a.jpg,arm", "NA,unknown")
    with pytest.raises(TableError, match="the case table has no rows"):
        read(folder, "clinical,site", ",", " , ")


def test_diagnoses_that_differ_in_writing_only_are_named(folder: Path) -> None:
    rows = ("img/a.jpg,Blue Nevus", "img/b.jpg,blue_nevus", "img/c.jpg, Blue Nevus", "img/d.jpg,MEL")
    table = read(folder, "clinical,diagnosis", *rows)
    assert table.diagnoses == ("Blue Nevus", "MEL", "blue_nevus")
    assert table.manifest["notes"] == [
        "diagnoses that differ only in case, blanks, hyphens or underscores, yet count as different: "
        "'Blue Nevus' and 'blue_nevus'"
    ]


def test_two_views_without_a_pair_are_noted_where_no_lesion_is_given(folder: Path) -> None:
    rows = ("A,clinical,img/a.jpg", "B,dermoscopic,img/b.jpg")
    (note,) = read(folder, "image_id,view,path", *rows).manifest["notes"]
    assert note.startswith("both views occur, but no lesion has both")
    assert "add the column lesion_id" in note
    empty = read(folder, "image_id,view,path,lesion_id", *(f"{row}," for row in rows))
    assert (empty.manifest["lesion_ids"], empty.manifest["notes"]) == ("image", [note])
    assert read(folder, "image_id,view,path", rows[0]).manifest["notes"] == []
    assert read(folder, "lesion_id,view,path", *rows).manifest["notes"] == []


@pytest.fixture
def places(folder: Path) -> Path:
    """A folder with equal names in two others."""
    for place in ("clinical", "dermoscopic"):
        for name in "xy":
            save(folder / place / f"{name}.jpg", smooth_picture(ord(name)))
    return folder


def test_a_stem_that_occurs_once_in_each_view_is_a_lesion(places: Path) -> None:
    rows = ("clinical,clinical/x.jpg,P", "dermoscopic,dermoscopic/x.jpg,", "dermoscopic,dermoscopic/y.jpg,Q")
    table = read(places, "view,path,patient_id", *rows)
    assert table.frame.select("image_id", "lesion_id").rows() == [
        ("x_clinical", "x"),
        ("x_dermoscopic", "x"),
        ("y_dermoscopic", "y"),
    ]
    assert table.manifest["lesion_ids"] == "lesion"
    assert table.manifest["notes"] == ["lesions told by equal file stems in both views: 1"]
    given = read(
        places, "view,path,lesion_id", "clinical,clinical/x.jpg,L", "dermoscopic,dermoscopic/x.jpg,M"
    )
    assert given.frame.select("image_id", "lesion_id").rows() == [("x_clinical", "L"), ("x_dermoscopic", "M")]
    assert given.manifest["notes"] == []


@pytest.mark.parametrize(
    ("header", "rows", "match"),
    [
        (
            "view,path",
            ("clinical,img/a.jpg", "clinical,clinical/x.jpg", "clinical,dermoscopic/x.jpg"),
            "row 2 and row 3: ids come from file stems where none .* stem 'x'; add the column image_id",
        ),
        (
            "view,path,patient_id",
            ("clinical,clinical/x.jpg,P", "dermoscopic,dermoscopic/x.jpg,Q"),
            "row 1 and row 2: ids come from file stems .* stem 'x'; add the column lesion_id",
        ),
        (
            "clinical,dermoscopic",
            ("clinical/x.jpg,", ",dermoscopic/x.jpg"),
            "row 1 and row 2: ids come from file stems .* stem 'x'; add the column lesion_id",
        ),
        (
            "clinical,lesion_id",
            ("img/a.jpg,x", "clinical/x.jpg,"),
            "row 2: ids come from file stems .* stem 'x'; add the column lesion_id",
        ),
    ],
    ids=["one view", "two patients", "two rows", "beside a given one"],
)
def test_stems_that_make_no_ids_are_refused(
    places: Path, header: str, rows: tuple[str, ...], match: str
) -> None:
    with pytest.raises(TableError, match=match):
        read(places, header, *rows)


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
        (b"view,path\nclinical,a.jpg\nclinical,\n", "row 2: expected a file in path, got none; add it"),
        (b"image,dermoscopy\na,b\n", "got image, dermoscopy; perhaps rename 'image' to image_id and 'dermo"),
        (b"view;path\nclinical;a.jpg\n", "got one column 'view;path' with semicolons; separate by commas"),
        (b'"view";"age"\n"clinical";"1,5"\n', 'one column \'"view";"age"\' with semicolons; separate by'),
        (b"view\tpath\nclinical\ta.jpg\n", r"got one column 'view\\tpath' with tabs; separate by commas"),
        (
            "view,path\n".encode("utf-16"),
            "expected a CSV table in UTF-8, got UTF-16; save it as CSV in UTF-8",
        ),
        (b"\xfe\xff\0v", "expected a CSV table in UTF-8, got UTF-16; save it as CSV in UTF-8"),
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
        "no path",
        "slips",
        "semicolons",
        "semicolons and quotes",
        "tabs",
        "utf-16",
        "utf-16, big end first",
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
