"""The derm7pt adapter, on a tiny copy of the official layout."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from data.adapters.fake_derm7pt import write_derm7pt
from dermapair.config import TaskSettings
from dermapair.data.adapters import import_cases
from dermapair.data.adapters.derm7pt import DIAGNOSES, GROUPS
from dermapair.data.task import build_task
from dermapair.errors import MissingFilesError, TableError

DOCS = Path(__file__).resolve().parents[3] / "docs"
META, TRAIN, TEST = "meta/meta.csv", "meta/train_indexes.csv", "meta/test_indexes.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_derm7pt(tmp_path / "derm7pt")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_case_is_a_lesion_with_two_images_and_an_empty_cell_is_a_missing_view(root: Path) -> None:
    frame = import_cases("derm7pt", root).frame
    assert frame.select("image_id", "lesion_id", "view", "path").rows() == [
        ("1_clinical", "1", "clinical", "images/NEL/NEL025.JPG"),
        ("1_dermoscopic", "1", "dermoscopic", "images/NEL/Nel026.jpg"),
        ("3_clinical", "3", "clinical", "images/NHL/Nhl030.jpg"),
        ("3_dermoscopic", "3", "dermoscopic", "images/NHL/Nhl032.jpg"),
        ("8_dermoscopic", "8", "dermoscopic", "images/FAL/Fal012.jpg"),
        ("9_clinical", "9", "clinical", "images/NHL/Nhl030.jpg"),
        ("9_dermoscopic", "9", "dermoscopic", "images/FAL/Fal018.jpg"),
    ]


def test_index_files_count_rows_of_the_table_from_zero(root: Path) -> None:
    frame = import_cases("derm7pt", root).frame.unique("lesion_id").sort("lesion_id")
    assert frame.select("lesion_id", "split").rows() == [
        ("1", "train"),
        ("3", "test"),
        ("8", "train"),
        ("9", "val"),
    ]
    assert frame["official_split"].equals(frame["split"])


def test_a_case_that_no_index_file_names_has_no_split(root: Path) -> None:
    edit(root / TEST, "1\n", "")
    frame = import_cases("derm7pt", root).frame.filter(lesion_id="3")
    assert frame.select("split", "official_split").rows() == [(None, None)] * 2


def test_diagnoses_groups_criteria_and_facts_are_kept(root: Path) -> None:
    table = import_cases("derm7pt", root)
    row = table.frame.filter(image_id="8_dermoscopic").row(0, named=True)
    assert (row["diagnosis"], row["diagnosis_group"]) == ("melanoma (in situ)", "MEL")
    assert (row["seven_point_score"], row["regression_structures"]) == (4.0, "blue areas")
    assert (row["site"], row["sex"], row["elevation"]) == ("arm", "female", "palpable")
    assert (row["case_id"], row["notes"]) == ("A12", "seen twice, no photograph")
    assert (row["age"], row["patient_id"], row["license"]) == (None, None, "CC BY-NC-ND 4.0")
    assert table.frame["diagnosis_group"].unique().sort().to_list() == ["BCC", "MEL", "MISC", "NEV"]
    assert table.diagnoses == DIAGNOSES
    assert len(DIAGNOSES) == len(set(DIAGNOSES)) == 20


def test_the_task_in_the_docs_has_the_groups_of_the_paper() -> None:
    block = (DOCS / "recipes.md").read_text("utf-8").split('```toml\n[task]\nname = "derm7pt')[1]
    settings = TaskSettings(**tomllib.loads('[task]\nname = "derm7pt' + block.split("```")[0])["task"])
    task = build_task(settings, DIAGNOSES)
    assert task.classes == tuple(GROUPS)
    assert task.class_of == {d: group for group, members in GROUPS.items() for d in members}


def test_images_that_serve_cases_of_two_splits_are_told(root: Path) -> None:
    assert import_cases("derm7pt", root).manifest["notes"] == [
        "images that serve several cases: 1",
        "images that serve cases of different official splits, which leaks answers: 1",
    ]
    edit(root / META, "female,excision,NHL/Nhl030.jpg", "female,excision,NEL/NEL025.JPG")
    edit(root / "meta/valid_indexes.csv", "3\n", "")
    assert import_cases("derm7pt", root).manifest["notes"] == ["images that serve several cases: 1"]


def test_all_of_it_may_lie_in_the_folder_of_the_archive(tmp_path: Path) -> None:
    write_derm7pt(tmp_path / "release_v0")
    table = import_cases("derm7pt", tmp_path)
    assert table.root == tmp_path / "release_v0"
    assert all(table.path(row).is_file() for row in range(len(table.frame)))


def test_all_missing_images_are_listed_once(root: Path) -> None:
    for name in ("NHL/Nhl030.jpg", "FAL/Fal012.jpg"):
        (root / "images" / name).unlink()
    with pytest.raises(MissingFilesError, match="2 files that the tables name are missing") as caught:
        import_cases("derm7pt", root)
    assert caught.value.paths == ("images/NHL/Nhl030.jpg", "images/FAL/Fal012.jpg")


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        (META, "clark nevus", "clarks nevus", r"row 2 \(3\): expected one of basal .* got 'clarks nevus'"),
        (META, "clark nevus", "", r"row 2 \(3\): .* in diagnosis, got None"),
        (META, "\n8,", "\n3,", r"row 2 \(image '3_dermoscopic'\).*occurs twice"),
        (META, "\n8,", "\n,", r"row 3 \(image None\): image_id is empty"),
        (META, "FAL/Fal012.jpg", "", r"row 3 \(case 8\): expected a file in clinic or derm, both are empty"),
        (META, "FAL/Fal012.jpg", "../Fal012.jpg", r"row 3 \(image '8_dermoscopic'\).*leads outside the root"),
        (META, "nevus,2,", "nevus,two,", "row 2: expected a number in seven_point_score, got 'two'"),
        (META, ",derm,", ",dermoscopy,", "lacks the columns derm"),
        (TRAIN, "2\n", "4\n", r"train_indexes.csv: row 2: expected the number of a row .* 0 to 3, .* '4'"),
        (TRAIN, "2\n", "two\n", r"train_indexes.csv: row 2: expected the number of a row .* got 'two'"),
        (TRAIN, "2\n", "-1\n", r"train_indexes.csv: row 2: expected the number of a row .* got '-1'"),
        (TRAIN, "2\n", "1\n", r"train_indexes.csv: row 2: .* that no other row .* names, got '1'"),
        (TEST, "indexes", "index", "lacks the columns indexes"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(root: Path, file: str, old: str, new: str, match: str) -> None:
    edit(root / file, old, new)
    with pytest.raises(TableError, match=match):
        import_cases("derm7pt", root)


def test_another_folder_or_a_missing_index_file_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"expected meta/meta.csv or release_v0/meta/meta.csv there"):
        import_cases("derm7pt", tmp_path)
    (root / TEST).unlink()
    with pytest.raises(TableError, match=r"test_indexes.csv: expected this table, but it is not there"):
        import_cases("derm7pt", root)
