"""Random tables: each is read to a table that obeys all its rules, or refused with one sentence."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tables import DIAGNOSES
from dermapair.data.adapters import import_cases
from dermapair.data.cases import COLUMNS, SPLITS, CaseTable, case_frame, check_cases, read_cases, write_cases
from dermapair.data.split import Fold, group_rows, split_cases
from dermapair.errors import DermapairError, MissingFilesError, TableError, UsageError
from dermapair.types import VIEWS

NULLS = ("", "NA", "unknown")
BLANKS = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f")
"""White space as Unicode has it, which does not count at the ends of cells."""
PICTURES = ("a.jpg", "b.png", "sub/c.jpg", "ü ñ.jpg", "d,e.jpg", "f'g.dcm", "line\nbreak.jpg")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with files of these names; what is in them does not matter here."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for picture in PICTURES:
            (root / picture).parent.mkdir(exist_ok=True)
            (root / picture).touch()
        yield root


def assert_one_sentence(error: DermapairError) -> None:
    text = str(error)
    if isinstance(error, MissingFilesError):  # lists its files below
        text = text.split(":\n")[0]
    assert len(text) > 20 and "\n" not in text and "\r" not in text


ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
HOSTILE = st.sampled_from(
    [*NULLS, "nan", "NaN", "null", " ", '"', "'", ",", "a\nb", "a\r\nb", "=1+1", "\ufeff", "\0", "x" * 300]
)
PATHS = st.one_of(
    st.sampled_from(PICTURES),
    st.sampled_from(["../a.jpg", "sub/../../a.jpg", "/etc/passwd", "C:/a.jpg", r"..\a.jpg", r"\\host\a.jpg"]),
    st.sampled_from([".", "..", "sub", "./a.jpg", "a.jpg/", "none.jpg", "x" * 5000, "a\0.jpg"]),
    HOSTILE,
    ANYTHING,
)


def mostly(good: st.SearchStrategy[str], bad: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw nine good values for a bad one."""
    return st.integers(0, 9).flatmap(lambda number: bad if number == 0 else good)


CELLS: dict[str, st.SearchStrategy[str]] = {
    "view": mostly(st.sampled_from(VIEWS), st.one_of(st.just("Clinical"), HOSTILE)),
    "path": mostly(st.sampled_from(PICTURES), PATHS),
    "clinical": mostly(st.sampled_from((*PICTURES, "")), PATHS),
    "dermoscopic": mostly(st.sampled_from((*PICTURES, "")), PATHS),
    "image_id": mostly(st.integers(0, 10**6).map(str), st.one_of(st.just("1"), HOSTILE, ANYTHING)),
    "lesion_id": mostly(st.integers(0, 10**6).map(str), st.one_of(st.just("1"), HOSTILE, ANYTHING)),
    "patient_id": mostly(st.sampled_from(("", "p", "q")), st.one_of(HOSTILE, ANYTHING)),
    "diagnosis": mostly(st.sampled_from(("", "MEL")), st.one_of(HOSTILE, ANYTHING)),
    "split": mostly(st.sampled_from(("", "train")), st.one_of(st.just("training"), HOSTILE)),
    "age": mostly(st.sampled_from(("", "61", "61.5")), st.one_of(HOSTILE, st.sampled_from(["inf", "1e400"]))),
    "mask": mostly(st.sampled_from(("", "a.jpg")), PATHS),
}
EXTRA = st.one_of(st.sampled_from(["row", "ward", "official_split", "site", " site", ""]), ANYTHING)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Draw a header and rows of as many cells, mostly sound."""
    form = draw(st.sampled_from([("view", "path"), ("clinical", "dermoscopic"), ("dermoscopic",)]))
    others = [name for name in CELLS if name not in ("view", "path", *VIEWS)]
    names = [*form, *draw(st.lists(st.sampled_from(others), unique=True)), *draw(st.lists(EXTRA, max_size=2))]
    if draw(st.integers(0, 9)) == 0:
        names.append(draw(st.sampled_from(names)))
    names = draw(st.permutations(names))
    cells = [CELLS.get(name, st.one_of(HOSTILE, ANYTHING)) for name in names]
    return names, draw(st.lists(st.tuples(*cells).map(list), max_size=6))


def as_csv(names: list[str], rows: list[list[str]], end: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    return text.getvalue()


def inside(path: str) -> bool:
    return not any(
        kind(path).is_absolute() or ".." in kind(path).parts for kind in (PurePosixPath, PureWindowsPath)
    )


def assert_sound(table: CaseTable, names: list[str], rows: list[list[str]]) -> None:
    """Assert every rule of a case table, and that each cell of the file is in it."""
    cells = [[cell.strip(BLANKS) for cell in row] for row in rows]
    frame, given_rows = table.frame, [dict(zip(names, row, strict=True)) for row in cells if any(row)]
    assert list(frame.columns)[: len(COLUMNS)] == list(COLUMNS)
    assert frame["image_id"].n_unique() == len(frame) > 0
    for name in ("image_id", "lesion_id", "view", "path"):
        assert not frame[name].has_nulls()
    assert set(frame["view"]) <= set(VIEWS) and set(frame["split"].drop_nulls()) <= set(SPLITS)
    assert set(frame["diagnosis"].drop_nulls()) == set(table.diagnoses)
    assert all(inside(path) and (table.root / path).is_file() for path in frame["path"])
    for group in ("lesion_id", "patient_id"):
        spread = frame.drop_nulls([group, "split"]).group_by(group).agg(pl.col("split").n_unique())
        assert (spread["split"] == 1).all()
    per_image = {"view", "path"} <= set(names)
    files = [r["path"] for r in given_rows] if per_image else [
        r[v] for r in given_rows for v in VIEWS if r.get(v, "") not in NULLS
    ]  # fmt: skip
    assert frame["path"].to_list() == files
    for name in set(names) - {"image_id", "lesion_id", "view", "path", "age", "official_split", *VIEWS}:
        per_row = [r[name] if r[name] not in NULLS else None for r in given_rows]
        expected = per_row if per_image else [
            value for r, value in zip(given_rows, per_row, strict=True)
            for v in VIEWS if r.get(v, "") not in NULLS
        ]  # fmt: skip
        assert frame[name.strip().lstrip("\ufeff")].to_list() == expected


@settings(max_examples=150)
@given(made=tables(), end=st.sampled_from(["\n", "\r\n"]), bom=st.booleans())
def test_a_csv_gives_a_sound_table_that_comes_back_or_one_sentence(
    folder: Path, made: tuple[list[str], list[list[str]]], end: str, bom: bool
) -> None:
    path = folder / "cases.csv"
    path.write_bytes(as_csv(*made, end).encode("utf-8-sig" if bom else "utf-8"))
    try:
        table = import_cases("csv", path)
    except DermapairError as error:
        assert_one_sentence(error)
        return
    assert_sound(table, *made)
    written = write_cases(table, folder / "cases")
    for again in (written, read_cases(folder / "cases")):
        assert again.frame.equals(table.frame, null_equal=True) and again.frame.schema == table.frame.schema
        assert again.diagnoses == table.diagnoses and again.path(0).samefile(table.path(0))


@settings(max_examples=100)
@given(
    data=st.one_of(
        st.binary(max_size=200), st.text('view,path"\n\r\t;a.jpg1\0\ufeff', max_size=80).map(str.encode)
    )
)
def test_any_bytes_are_a_table_or_one_sentence(folder: Path, data: bytes) -> None:
    path = folder / "cases.csv"
    for start in (b"", b"view,path\n", b"clinical\n", b"\xff\xfe"):
        path.write_bytes(start + data)
        try:
            table = import_cases("csv", path)
        except DermapairError as error:
            assert_one_sentence(error)
        else:
            check_cases(table.frame, table.diagnoses, where="here")


# --- splits ---------------------------------------------------------------------------------------


@st.composite
def lesions(draw: st.DrawFn) -> CaseTable:
    """Draw a sound table: lesions of one or two images, some of patients, some with an official split."""
    split_of: dict[str, str | None] = {}
    rows: list[dict[str, Any]] = []
    official = draw(st.booleans())
    for number in range(draw(st.integers(1, 40))):
        patient = draw(st.sampled_from([None, None, "p0", "p1", "p2"]))
        drawn = draw(st.sampled_from([None, None, *SPLITS])) if official else None
        split = split_of.setdefault(patient, drawn) if patient else drawn
        diagnosis = draw(st.sampled_from([*DIAGNOSES, "NV", "NV", None]))
        for view in draw(st.sampled_from([VIEWS, VIEWS[:1], VIEWS[1:]])):
            row = {"image_id": f"{number}_{view}", "lesion_id": str(number), "view": view, "path": "a.jpg"}
            row |= {"patient_id": patient, "diagnosis": diagnosis, "split": split, "official_split": split}
            rows.append(row)
    return CaseTable(case_frame(rows), Path("nowhere"), DIAGNOSES, {"adapter": "test"})


SHARES = st.sampled_from([0.0, 0.05, 0.15, 0.3, 0.5, 0.99])


@settings(max_examples=100)
@given(table=lesions(), val=SHARES, test=SHARES, seed=st.integers(0, 3), force=st.booleans(), draw=st.data())
def test_a_split_parts_no_group_gives_every_row_one_and_has_the_shares(
    table: CaseTable, val: float, test: float, seed: int, force: bool, draw: st.DataObject
) -> None:
    rows = st.integers(0, len(table.frame) - 1)
    pairs = draw.draw(st.lists(st.tuples(rows, rows), max_size=4))
    folds = draw.draw(st.sampled_from([None, None, 2, 5]))
    how: dict[str, Any] = {"val": val, "test": test, "seed": seed, "force": force, "duplicates": pairs}
    how["fold"] = Fold(draw.draw(st.integers(0, folds - 1)), folds) if folds else None
    try:
        done = split_cases(table, **how)
    except UsageError as error:
        assert_one_sentence(error)
        return
    groups, split = group_rows(table.frame, pairs), np.array(done.frame["split"].to_list())
    assert set(split.tolist()) <= set(SPLITS)
    of_group = {group: set(split[groups == group].tolist()) for group in set(groups.tolist())}
    assert all(len(names) == 1 for names in of_group.values())
    before = np.array(table.frame["official_split"].fill_null("") if not force else [""] * len(split))
    free = 0
    for group, (name,) in ((group, tuple(names)) for group, names in of_group.items()):
        officially = set(before[groups == group].tolist()) - {""}
        free += not officially
        if officially:
            assert name == max(officially, key=SPLITS.index)
    drawn = [name for group, (name,) in of_group.items() if not any(before[groups == group])]
    share = 1 / folds if folds else test
    assert abs(drawn.count("test") - share * free) <= 1
    assert abs(drawn.count("val") - val * free) <= 2
    assert done.frame.drop("split").equals(table.frame.drop("split"))
    assert split_cases(table, **how).frame.equals(done.frame)


@settings(max_examples=30)
@given(table=lesions(), folds=st.integers(2, 6), seed=st.integers(0, 3))
def test_every_lesion_is_in_the_test_part_of_one_fold(table: CaseTable, folds: int, seed: int) -> None:
    found = np.zeros(len(table.frame), dtype=int)
    for number in range(folds):
        try:
            done = split_cases(table, val=0.1, test=0.0, seed=seed, force=True, fold=Fold(number, folds))
        except UsageError as error:
            assert_one_sentence(error)
            return
        found += (done.frame["split"] == "test").to_numpy()
    assert (found == 1).all()


# --- check_cases ----------------------------------------------------------------------------------

TYPES = st.sampled_from([pl.String, pl.Int64, pl.Float64, pl.Null, pl.Categorical])


@settings(max_examples=100)
@given(table=lesions(), draw=st.data())
def test_a_changed_table_passes_only_if_it_is_sound(table: CaseTable, draw: st.DataObject) -> None:
    frame = table.frame
    for _ in range(draw.draw(st.integers(0, 3))):
        name, row = draw.draw(st.sampled_from(list(COLUMNS))), draw.draw(st.integers(0, len(frame) - 1))
        if draw.draw(st.integers(0, 3)) == 0:
            frame = frame.with_columns(frame[name].cast(draw.draw(TYPES), strict=False))
        elif frame.schema[name] == pl.String:
            values = frame[name].to_list()
            values[row] = draw.draw(st.one_of(st.none(), st.sampled_from(values), HOSTILE, PATHS))
            frame = frame.with_columns(pl.Series(name, values, dtype=pl.String))
    try:
        check_cases(frame, DIAGNOSES, where="here")
    except TableError as error:
        assert_one_sentence(error)
        return
    assert [frame.schema[name] for name in COLUMNS] == list(COLUMNS.values())
    assert frame["image_id"].n_unique() == len(frame) and not frame["image_id"].has_nulls()
    assert all(inside(path) for path in frame["path"])
    assert set(frame["view"]) <= set(VIEWS)
    for group in ("lesion_id", "patient_id"):
        spread = frame.drop_nulls([group, "split"]).group_by(group).agg(pl.col("split").n_unique())
        assert (spread["split"] == 1).all()
