"""The case table: one row per image, read, checked and written.

A case folder holds `cases.parquet`, `manifest.json` (written last) and, after preparing, pixel stores. Where
rows come from is in `adapters`; what a task makes of diagnoses in `task`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dermapair.config.files import write_whole
from dermapair.errors import LeakError, TableError, listed
from dermapair.types import VIEWS

COLUMNS: dict[str, pl.DataType] = {
    "image_id": pl.String(),
    "lesion_id": pl.String(),
    "patient_id": pl.String(),
    "view": pl.String(),
    "path": pl.String(),
    "diagnosis": pl.String(),
    "split": pl.String(),
    "age": pl.Float64(),
    "sex": pl.String(),
    "site": pl.String(),
    "skin_tone": pl.String(),
    "source": pl.String(),
    "license": pl.String(),
}
"""Columns of every case table and their types; unknown is null."""

MASK = "mask"
"""Extra column, where a set has masks: the file of the image's lesion mask, relative to the root."""
SPLITS = ("train", "val", "test")
SCHEMA_VERSION = 1
_LEADS_OUTSIDE = r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)"
"""A path that is absolute, names a drive, or climbs up; both kinds of slash count."""


@dataclass(frozen=True)
class CaseTable:
    """A checked case table.

    Attributes:
        frame: one row per image with at least COLUMNS; `official_split`, where present, is the set's own.
        root: the folder that `path` is relative to.
        diagnoses: the set's own diagnosis codes in its own order.
        folder: the case folder, or None for a table that was not written yet.
        manifest: what else the manifest says.
        leaks: take a table with a lesion or patient in two splits, for an audit; others refuse it.
    """

    frame: pl.DataFrame
    root: Path
    diagnoses: tuple[str, ...]
    manifest: Mapping[str, Any]
    folder: Path | None = None
    leaks: bool = False

    def __post_init__(self) -> None:
        where = str(self.folder or self.root)
        check_cases(self.frame, self.diagnoses, where=where, leaks=self.leaks)

    def path(self, row: int) -> Path:
        """Return the file of one row."""
        return self.root / str(self.frame["path"][row])


def case_frame(rows: pl.DataFrame | Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows as a frame with all COLUMNS in order, extra ones after them; "" becomes null.

    An extra column without any value is text.
    """
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows), infer_schema_length=None)
    missing = [pl.lit(None).alias(name) for name in COLUMNS if name not in frame.columns]
    extra = [
        pl.col(n).cast(pl.String) if t == pl.Null else n for n, t in frame.schema.items() if n not in COLUMNS
    ]
    text = [pl.when(pl.col(n) == "").then(None).otherwise(pl.col(n)).alias(n) for n, t in frame.schema.items()
            if t == pl.String]  # fmt: skip
    return frame.with_columns(*text, *missing).select(
        *(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items()), *extra
    )


def check_cases(
    frame: pl.DataFrame,
    diagnoses: Sequence[str],
    *,
    where: str,
    rows: Sequence[int] = (),
    leaks: bool = False,
) -> None:
    """Check a case table.

    Args:
        frame: the table.
        diagnoses: the known ones.
        where: file or folder, for messages.
        rows: row of that file that each row of the table comes from; by default its own number, from 1.
        leaks: let a lesion or patient lie in two splits.

    Raises:
        TableError: a column is missing or of another type, an id is null or doubled, a view, split or
            diagnosis is unknown, an age is no number of years, a path leads outside its root, or a lesion has
            two diagnoses.
        LeakError: a lesion or patient lies in two splits.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise TableError(f"{where}: the case table lacks the columns {', '.join(missing)}; import it again")
    _check_types(frame, where)
    if frame.is_empty():
        raise TableError(f"{where}: the case table has no rows; check that the source folder holds images")
    numbers = pl.Series(rows) if len(rows) else pl.int_range(1, pl.len() + 1)
    frame = frame.with_columns(row=numbers)  # an extra column may be called `row`, too
    for name in ("image_id", "lesion_id", "view", "path"):
        _refuse(frame, pl.col(name).is_null(), where, f"{name} is empty; every row needs one")
    _refuse(frame, pl.col("image_id").is_duplicated(), where, "this image_id occurs twice; make it unique")
    _refuse(frame, ~pl.col("view").is_in(VIEWS), where, f"view must be one of {', '.join(VIEWS)}", "view")
    bad_split = pl.col("split").is_not_null() & ~pl.col("split").is_in(SPLITS)
    _refuse(frame, bad_split, where, f"split must be empty or one of {', '.join(SPLITS)}", "split")
    ages = "age must be in years, from 0 to 120, or empty where it is unknown"
    _refuse(frame, ~pl.col("age").is_between(0, 120), where, ages, "age")
    known = pl.col("diagnosis").is_null() | pl.col("diagnosis").is_in(list(diagnoses))
    _refuse(frame, ~known, where, f"unknown diagnosis; known: {listed(diagnoses)}", "diagnosis")
    for name in ("path", MASK):
        if frame.schema.get(name) == pl.String:
            problem = f"{name} leads outside the root folder; use a path below it"
            _refuse(frame, pl.col(name).str.contains(_LEADS_OUTSIDE), where, problem, name)
    _check_lesions(frame, where)
    if not leaks:
        _refuse_leaks(frame, where)


def _check_types(frame: pl.DataFrame, where: str) -> None:
    for name, dtype in COLUMNS.items():
        if frame.schema[name] != dtype:
            raise TableError(
                f"{where}: expected the column {name} to hold {dtype}, got {frame.schema[name]}; "
                f"import it again"
            )


def _refuse(frame: pl.DataFrame, bad: pl.Expr, where: str, problem: str, column: str = "") -> None:
    """Raise a TableError that names the first row for which `bad` holds, and how many there are."""
    rows = frame.filter(bad)
    if rows.is_empty():
        return
    first = rows.row(0, named=True)
    value = f" {column}={first[column]!r}" if column else ""
    more = f" ({len(rows)} such rows)" if len(rows) > 1 else ""
    raise TableError(f"{where}: row {first['row']} (image {first['image_id']!r}){value}: {problem}{more}")


def _check_lesions(frame: pl.DataFrame, where: str) -> None:
    """Refuse lesions with two diagnoses."""
    two = _several(frame, "lesion_id", "diagnosis")
    if len(two):
        lesion, names = two.row(0)
        raise TableError(f"{where}: lesion {lesion!r} has the diagnoses {listed(names)}; give it one")


def spread_groups(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the lesions and patients that lie in more than one split: `column`, `group`, `splits`."""
    return [
        {"column": column, "group": group, "splits": splits}
        for column in ("lesion_id", "patient_id")
        for group, splits in _several(frame, column, "split").rows()
    ]


def _refuse_leaks(frame: pl.DataFrame, where: str) -> None:
    """Refuse groups in two splits."""
    found = spread_groups(frame)
    if found:
        column, name, splits = found[0].values()
        more = sum(each["column"] == column for each in found)
        raise LeakError(
            f"{where}: {column} {name!r} lies in the splits {' and '.join(splits)} ({more} such), "
            f"which leaks answers into the test; give it one, or leave the column split empty and run "
            f"`dermapair data split`"
        )


def _several(frame: pl.DataFrame, group: str, column: str) -> pl.DataFrame:
    """Return the groups that have several values, null aside, with a list of these."""
    known = frame.select(group, column).drop_nulls().unique()
    known = known.filter(pl.col(group).is_duplicated())
    return known.group_by(group).agg(pl.col(column).sort()).sort(group)


def write_cases(table: CaseTable, folder: Path) -> CaseTable:
    """Write a case folder, the manifest last, and return the table as read back.

    Each file is there whole or not at all; the old ones stay until the new ones are whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parquet = io.BytesIO()
    table.frame.write_parquet(parquet)
    manifest = {
        **table.manifest,
        "schema_version": SCHEMA_VERSION,
        "root": _portable_root(table.root, folder),
        "diagnoses": list(table.diagnoses),
        "images": len(table.frame),
        "lesions": table.frame["lesion_id"].n_unique(),
    }
    text = json.dumps(manifest, indent=2) + "\n"  # before the table is replaced, as it may fail
    write_whole(folder / "cases.parquet", parquet.getvalue())
    write_whole(folder / "manifest.json", text)
    return read_cases(folder)


def _portable_root(root: Path, folder: Path) -> str:
    """Return the root relative to a case folder that holds it, so that both can be moved, else absolute."""
    root, folder = root.resolve(), folder.resolve()
    return root.relative_to(folder).as_posix() if root.is_relative_to(folder) else str(root)


def read_cases(folder: str | Path, *, leaks: bool = False) -> CaseTable:
    """Read and check a case folder; `leaks` takes one with a lesion or patient in two splits, for an audit.

    Raises:
        TableError: it is not a finished case folder, or its table is wrong (see `check_cases`).
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        frame = pl.read_parquet(folder / "cases.parquet")
        root, diagnoses = folder / manifest["root"], tuple(manifest["diagnoses"])
    except (FileNotFoundError, NotADirectoryError):
        raise TableError(
            f"{folder}: expected a case folder with cases.parquet and manifest.json; "
            f"make one with `dermapair data import`"
        ) from None
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{folder}: damaged case folder ({error}); import it again") from error
    return CaseTable(frame, root, diagnoses, manifest, folder, leaks)
