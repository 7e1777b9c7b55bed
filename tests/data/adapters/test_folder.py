"""The adapter of folders: classes, splits, views, ids, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.adapters.fake_folder import write_tree
from dermapair.data.adapters import import_cases
from dermapair.data.cases import CaseTable, read_cases, write_cases
from dermapair.errors import TableError, UsageError


def read(root: Path, *files: str, view: str = "") -> CaseTable:
    return import_cases("folder", write_tree(root, *files), view=view)


def ids(table: CaseTable) -> list[tuple[object, ...]]:
    return table.frame.select("image_id", "lesion_id", "view", "diagnosis", "split").rows()


def test_folders_are_classes_and_the_view_is_said(tmp_path: Path) -> None:
    table = read(tmp_path, "NV/a.jpg", "MEL/b.PNG", "NV/c.d.jpeg", view="dermoscopic")
    assert ids(table) == [
        ("b", "b", "dermoscopic", "MEL", None),
        ("a", "a", "dermoscopic", "NV", None),
        ("c.d", "c.d", "dermoscopic", "NV", None),
    ]
    assert table.frame["path"].to_list() == ["MEL/b.PNG", "NV/a.jpg", "NV/c.d.jpeg"]
    assert table.diagnoses == ("MEL", "NV")
    assert table.manifest["lesion_ids"] == "image"
    assert table.manifest["notes"] == table.manifest["left_out"] == []


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("training", "valid", "testing"), ("Train", "validation", "TEST")],
)
def test_outer_folders_are_splits(train: str, val: str, test: str, tmp_path: Path) -> None:
    table = read(tmp_path, f"{train}/NV/a.jpg", f"{val}/NV/b.jpg", f"{test}/MEL/c.jpg", view="clinical")
    assert sorted(table.frame.select("image_id", "split", "diagnosis").rows()) == [
        ("a", "train", "NV"),
        ("b", "val", "NV"),
        ("c", "test", "MEL"),
    ]
    assert table.frame["official_split"].equals(table.frame["split"])


@pytest.mark.parametrize(
    "files",
    [
        ("clinical/NV/a.jpg", "dermoscopic/NV/a.png"),
        ("NV/a_clinical.jpg", "NV/a_dermoscopic.png"),
        ("NV/a_clinic.jpg", "NV/a_DERM.png"),
        ("Clinical/NV/a_clinical.jpg", "Dermoscopic/NV/a_derm.png"),
        ("NV/a-CLIN.jpg", "NV/a DERM.jpg"),
        ("NV/a - clinic.jpg", "NV/a-dermoscopy.jpg"),
        ("CLINIC/NV/a.jpg", "Dermoscopy/NV/a.jpg"),
        ("NV/Clinical/a.jpg", "NV/derm/a.jpg"),
    ],
    ids=["folders", "names", "short names", "both", "marks", "more marks", "other folders", "inside"],
)
def test_equal_stems_in_a_class_are_one_lesion(files: tuple[str, ...], tmp_path: Path) -> None:
    table = read(tmp_path, *files)
    assert sorted(ids(table)) == [
        ("a_clinical", "a", "clinical", "NV", None),
        ("a_dermoscopic", "a", "dermoscopic", "NV", None),
    ]
    assert table.frame.sort("view")["path"].to_list() == list(files)
    assert table.manifest["lesion_ids"] == "lesion"


@pytest.mark.parametrize(
    "order",
    [
        "{split}/{view}/NV/{name}.jpg",
        "{view}/{split}/NV/{name}.jpg",
        "{split}/NV/{view}/{name}.jpg",
        "NV/{split}/{view}/{name}.jpg",
        "NV/{view}/{split}/{name}.jpg",
    ],
)
def test_splits_and_views_come_in_either_order(order: str, tmp_path: Path) -> None:
    places = [("train", "a"), ("test", "b")]
    files = [order.format(split=s, name=n, view=v) for s, n in places for v in ("clinical", "dermoscopic")]
    assert sorted(ids(read(tmp_path, *files))) == [
        ("a_clinical", "a", "clinical", "NV", "train"),
        ("a_dermoscopic", "a", "dermoscopic", "NV", "train"),
        ("b_clinical", "b", "clinical", "NV", "test"),
        ("b_dermoscopic", "b", "dermoscopic", "NV", "test"),
    ]


@pytest.mark.parametrize(
    ("files", "lesions"),
    [
        (("NV/1.jpg", "NV/2.jpg"), ["1", "2"]),
        (("MEL/1.jpg", "NV/1.jpg", "NV/2.jpg"), ["MEL_1", "NV_1", "NV_2"]),
        (("test/NV/1.jpg", "train/NV/1.jpg"), ["test_NV_1", "train_NV_1"]),
    ],
    ids=["stem", "class", "split"],
)
def test_ids_are_as_short_as_makes_them_unique(
    files: tuple[str, ...], lesions: list[str], tmp_path: Path
) -> None:
    table = read(tmp_path, *files, view="clinical")
    assert table.frame["lesion_id"].to_list() == table.frame["image_id"].to_list() == lesions


def test_equal_stems_of_two_classes_are_two_lesions(tmp_path: Path) -> None:
    table = read(tmp_path, *(f"{v}/{d}/1.jpg" for v in ("clinical", "dermoscopic") for d in ("MEL", "NV")))
    assert table.frame.select("image_id", "lesion_id", "diagnosis").rows() == [
        ("MEL_1_clinical", "MEL_1", "MEL"),
        ("NV_1_clinical", "NV_1", "NV"),
        ("MEL_1_dermoscopic", "MEL_1", "MEL"),
        ("NV_1_dermoscopic", "NV_1", "NV"),
    ]


def test_images_without_a_class_folder_have_no_diagnosis(tmp_path: Path) -> None:
    flat = read(tmp_path / "flat", "a.jpg", "b.jpg", view="clinical")
    assert flat.frame["diagnosis"].to_list() == [None, None]
    assert flat.diagnoses == ()
    part = read(tmp_path / "part", "train/NV/a.jpg", "test/b.jpg", view="clinical")
    assert part.frame.sort("path").select("split", "diagnosis").rows() == [("test", None), ("train", "NV")]


def test_files_that_systems_leave_behind_are_passed_over(tmp_path: Path) -> None:
    rubbish = (".DS_Store", "NV/.DS_Store", "NV/Thumbs.db", "NV/._a.jpg", ".cache/MEL/x.jpg", "desktop.ini")
    table = read(tmp_path, "NV/a.jpg", *rubbish, view="clinical")
    assert table.frame["path"].to_list() == ["NV/a.jpg"]
    assert table.manifest["notes"] == []


def test_dicom_files_are_images(tmp_path: Path) -> None:
    table = read(tmp_path, "NV/a.jpg", "NV/b.dcm", view="dermoscopic")
    assert table.frame["path"].to_list() == ["NV/a.jpg", "NV/b.dcm"]


def test_files_that_are_no_images_are_named_and_kept_in_the_manifest(tmp_path: Path) -> None:
    others = ["LICENSE", "NV/a.txt", "NV/b.csv"]
    table = read(tmp_path / "set", "NV/a.jpg", *others, view="clinical")
    assert table.manifest["notes"] == ["left out, as they are no images: 3 (LICENSE, NV/a.txt, NV/b.csv)"]
    assert read_cases(write_cases(table, tmp_path / "cases").folder or "").manifest["left_out"] == others
    many = read(tmp_path / "many", "NV/a.jpg", *(f"{i:02}.txt" for i in range(22)), view="clinical")
    assert many.manifest["notes"][0].endswith("18.txt, 19.txt and 2 more)")
    assert len(many.manifest["left_out"]) == 22


def test_lesions_with_one_view_are_named_where_the_set_has_both(tmp_path: Path) -> None:
    pair = ("clinical/NV/a.jpg", "dermoscopic/NV/a.jpg")
    assert read(tmp_path / "x", *pair).manifest["notes"] == []
    table = read(tmp_path / "y", *pair, "dermoscopic/MEL/b.jpg")
    assert table.manifest["notes"] == ["lesions with one view only: 1 (dermoscopic/MEL/b.jpg)"]
    assert read(tmp_path / "z", "dermoscopic/NV/a.jpg").manifest["notes"] == []


def test_classes_that_differ_in_writing_only_are_named(tmp_path: Path) -> None:
    table = read(tmp_path, "Nevus/a.jpg", "nevus/b.jpg", "MEL/c.jpg", view="clinical")
    (note,) = table.manifest["notes"]
    assert note.endswith("yet count as different: 'Nevus' and 'nevus'")


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    write_tree(tmp_path / "elsewhere", "a.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "NV").symlink_to(tmp_path / "elsewhere")
    assert read(tmp_path / "set", view="clinical").frame["diagnosis"].to_list() == ["NV"]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (("train/NV/a.jpg", "NV/b.jpg", "c.jpg"), r"in train/, but NV/b.jpg lies beside \(2 such"),
        (("test/a.jpg", "train/a.jpg", "b.jpg"), "in test/, train/, but b.jpg lies beside"),
        (("clinical/NV/a.jpg", "NV/b.jpg"), "in clinical/, but NV/b.jpg lies beside"),
        (("train/clinical/NV/a.jpg", "test/NV/b.jpg"), "in clinical/, but test/NV/b.jpg lies beside"),
        (("NV/a.jpg", "b.jpg"), r"in the folder of its class, but b.jpg lies in none \(1 such"),
        (("train/NV/a.jpg", "train/b.jpg", "test/c.jpg"), r"but train/b.jpg lies in none \(1 such"),
        (("NV/a.jpg", "NV/more/b.jpg"), r"but NV/more/b.jpg lies deeper \(1 such"),
        (
            ("NV/clinical/a.jpg", "MEL/b.jpg"),
            r"\(train/clinical/<class>/\), but NV/clinical/a.jpg lies deeper",
        ),
        (("NV/a_clinical.jpg", "NV/b.jpg"), r"_derm or none, but NV/b.jpg does not \(1 such"),
        (("clinical/NV/a_derm.jpg",), "a_derm.jpg lies in clinical/, but its name says dermoscopic"),
        (("NV/a.jpg", "NV/a.png"), "NV/a.jpg and NV/a.png share a stem"),
        (("NV/a_derm.jpg", "NV/a_dermoscopic.jpg"), "a_derm.jpg and NV/a_dermoscopic.jpg share a stem"),
        (
            ("a/b_c.jpg", "a_b/c.jpg", "x/1.jpg", "y/1.jpg"),
            "make unique ids of class and stem, got two alike",
        ),
        (("NV/a.txt",), "expected folders of images, but there is no image"),
    ],
)
def test_a_tree_that_leaves_something_open_is_refused(
    files: tuple[str, ...], match: str, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=match):
        read(tmp_path, *files, view="clinical" if files[0] in ("NV/a.jpg", "a/b_c.jpg") else "")


@pytest.mark.parametrize(
    ("file", "view", "match"),
    [
        ("NV/a.jpg", "", "expected --view clinical or dermoscopic, as neither .* got none; give it"),
        ("NV/a.jpg", "cross", "expected --view clinical or dermoscopic, .* got cross; give it"),
        ("clinical/NV/a.jpg", "clinical", "--view is for images whose folders or names do not tell it"),
        ("NV/a_derm.jpg", "clinical", "--view is for images whose folders or names do not tell it"),
    ],
)
def test_the_view_is_given_where_it_is_needed_and_only_there(
    file: str, view: str, match: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=match):
        read(tmp_path, file, view=view)


def test_another_adapter_takes_no_view(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--view is for the adapter folder, but csv knows its views"):
        import_cases("csv", tmp_path / "a.csv", view="clinical")


def test_a_missing_folder_a_locked_one_and_a_name_in_another_encoding_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TableError, match="expected a folder of images, but it is not there"):
        import_cases("folder", tmp_path / "none", view="clinical")
    write_tree(tmp_path, "NV/a.jpg")
    os.rename(tmp_path / "NV" / "a.jpg", os.fsencode(tmp_path / "NV") + b"/\xe9.jpg")
    with pytest.raises(TableError, match=r"expected names in UTF-8, got 'NV/\\udce9.jpg' \(1 such\)"):
        import_cases("folder", tmp_path, view="clinical")

    def locked(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(PermissionError, match="Permission denied"):
        import_cases("folder", tmp_path, view="clinical")
