"""The case table: what is checked, and what is written and read back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.tables import row, table
from dermapair.data.cases import COLUMNS, case_frame, read_cases, write_cases
from dermapair.errors import LeakError, TableError


def test_a_frame_has_all_columns_in_order_then_extra_ones_and_empty_text_is_null() -> None:
    frame = case_frame([{"ward": "", "image_id": "a", "site": "", "fold": 3, "note": None}])
    assert frame.columns == [*COLUMNS, "ward", "fold", "note"]
    assert frame.select("image_id", "site", "ward", "fold", "age").row(0) == ("a", None, None, 3, None)
    assert frame.schema["age"] == pl.Float64
    assert frame.schema["note"] == pl.String


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"image_id": None}, r"row 2 \(image None\): image_id is empty"),
        ({"image_id": "a"}, r"row 1 \(image 'a'\): this image_id occurs twice.* \(2 such rows\)"),
        ({"lesion_id": ""}, "row 2 .*lesion_id is empty"),
        ({"view": "histology"}, "view='histology': view must be one of clinical, dermoscopic"),
        ({"split": "dev"}, "split='dev': split must be empty or one of train, val, test"),
        ({"diagnosis": "XX"}, "diagnosis='XX': unknown diagnosis; known: MEL, NV, BKL, DF"),
        ({"age": 640}, r"row 2 \(image 'b'\) age=640.0: age must be in years, from 0 to 120"),
        ({"age": -1}, "age=-1.0: age must be in years"),
        ({"age": float("nan")}, "age=nan: age must be in years"),
        ({"lesion_id": "a", "diagnosis": "MEL"}, "lesion 'a' has the diagnoses MEL, NV; give it one"),
    ],
)
def test_a_bad_row_is_refused_by_number_and_image(values: dict[str, str], match: str) -> None:
    with pytest.raises(TableError, match=match):
        table([row("a"), row("b", **values)])


@pytest.mark.parametrize("path", ["../x.png", "a/../../x.png", "/x.png", "\\x.png", "C:\\x.png", "a\\..\\x"])
def test_a_path_outside_the_root_is_refused(path: str) -> None:
    with pytest.raises(TableError, match=re.escape(f"path={path!r}: path leads outside the root")):
        table([row("a", path=path)])


@given(st.text(alphabet="a.:/\\\\\n é", max_size=8))
def test_a_path_is_refused_where_windows_would_call_it_absolute_or_climbing(path: str) -> None:
    assume(path and (path[1:2] != ":" or path[0] == "a"))  # Pythons differ on drives that are no letters
    windows = PureWindowsPath(path)
    outside = bool(windows.anchor) or ".." in windows.parts
    if outside:
        with pytest.raises(TableError, match="path leads outside the root"):
            table([row("a", path=path)])
    else:
        assert table([row("a", path=path)]).frame["path"][0] == path


@pytest.mark.parametrize("path", ["x.png", "a/b c/x.png", "..x/...png", "photo 12:30.png"])
def test_a_path_below_the_root_is_accepted(path: str) -> None:
    assert table([row("a", path=path)], Path("r")).path(0) == Path("r") / path


def test_ages_from_0_to_120_and_unknown_ones_are_accepted() -> None:
    assert table([row("a", age=0), row("b", age=120), row("c")]).frame["age"].to_list() == [0.0, 120.0, None]


def test_a_group_in_two_splits_is_a_leak_and_unknown_patients_are_no_group() -> None:
    table([row("a", split="train"), row("b", split="test")])
    table([row("a", split="train", lesion_id="L"), row("b", split=None, lesion_id="L")])
    with pytest.raises(LeakError, match=r"lesion_id 'L' lies in the splits test and train \(1 such\)"):
        table([row("a", split="train", lesion_id="L"), row("b", split="test", lesion_id="L")])
    with pytest.raises(LeakError, match="patient_id 'P' lies in the splits train and val"):
        table([row("a", split="train", patient_id="P"), row("b", split="val", patient_id="P")])


def test_a_written_table_is_read_back_equal(tmp_path: Path) -> None:
    made = table([row("a", split="train", fold=1), row("b", age=3.5, fold=None)], tmp_path / "images")
    read = read_cases(write_cases(made, tmp_path / "cases").folder or "")
    assert read.frame.equals(made.frame)
    assert read.diagnoses == made.diagnoses
    assert read.root == tmp_path / "images"
    assert read.manifest["adapter"] == "test"
    assert (read.manifest["images"], read.manifest["lesions"]) == (2, 2)


def test_a_case_folder_that_holds_its_images_can_be_moved(tmp_path: Path) -> None:
    write_cases(table([row("a")], tmp_path / "old" / "images"), tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_cases(tmp_path / "new").path(0) == tmp_path / "new" / "images" / "a.png"


def test_a_table_without_its_manifest_is_unfinished(tmp_path: Path) -> None:
    write_cases(table([row("a")]), tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(TableError, match="expected a case folder with cases.parquet and manifest.json"):
        read_cases(tmp_path)


@pytest.mark.parametrize("manifest", ["{", "[]", "{}", '{"root": 3, "diagnoses": []}', "\udcff"])
def test_a_damaged_manifest_is_refused(tmp_path: Path, manifest: str) -> None:
    write_cases(table([row("a")]), tmp_path)
    (tmp_path / "manifest.json").write_bytes(manifest.encode(errors="surrogateescape"))
    with pytest.raises(TableError, match="damaged case folder"):
        read_cases(tmp_path)


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    write_cases(table([row("a")]), tmp_path)
    (tmp_path / "cases.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(TableError, match="damaged case folder"):
        read_cases(tmp_path)


def test_a_table_that_was_changed_by_hand_is_checked_again(tmp_path: Path) -> None:
    write_cases(table([row("a"), row("b")]), tmp_path)
    frame = pl.read_parquet(tmp_path / "cases.parquet")
    frame.drop("view").write_parquet(tmp_path / "cases.parquet")
    with pytest.raises(TableError, match="lacks the columns view"):
        read_cases(tmp_path)


def test_writing_again_replaces_the_manifest_with_the_new_facts(tmp_path: Path) -> None:
    write_cases(table([row("a")]), tmp_path)
    write_cases(table([row("a"), row("b")]), tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())["images"] == 2
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("whole", [0, 1])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    write_cases(table([row("a")]), tmp_path)
    manifest, frame = (tmp_path / "manifest.json").read_bytes(), read_cases(tmp_path).frame
    move, done = Path.replace, []

    def full(self: Path, target: Path) -> Path:
        if len(done) == whole:
            raise OSError("No space left on device")
        done.append(target.name)
        return move(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_cases(table([row("a"), row("b")]), tmp_path)
    assert done == ["cases.parquet"][:whole], "the manifest is last"
    assert (tmp_path / "manifest.json").read_bytes() == manifest
    assert len(read_cases(tmp_path).frame) == len(frame) + whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cases.parquet", "manifest.json"]


def test_a_manifest_that_is_no_json_leaves_the_old_table(tmp_path: Path) -> None:
    before = write_cases(table([row("a")]), tmp_path)
    bad = replace(table([row("b")]), manifest={"of": {1, 2}})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_cases(bad, tmp_path)
    assert read_cases(tmp_path).frame.equals(before.frame)


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    write_cases(table([row("a")], tmp_path), tmp_path)
    frame = pl.read_parquet(tmp_path / "cases.parquet")
    frame.with_columns(view=pl.lit(1)).write_parquet(tmp_path / "cases.parquet")
    with pytest.raises(
        TableError, match="expected the column view to hold String, got Int32; import it again"
    ):
        read_cases(tmp_path)
