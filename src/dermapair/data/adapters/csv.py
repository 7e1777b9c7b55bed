"""One's own CSV: a row per image, or a row per lesion with the columns `clinical` and `dermoscopic`.

A row per image needs `view` and `path`; a row per lesion needs `clinical` or `dermoscopic` or both, an empty
cell being a missing view. Empty cells, `NA` and `unknown` are null; `nan` is refused. Every other column of
the case table is optional and any further column is kept. Paths are relative to the CSV's folder. Ids that
are not given come from file stems.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from dermapair.data.adapters.common import UNKNOWN, numbers, read_table, require_files
from dermapair.data.cases import COLUMNS, CaseTable, case_frame, check_cases
from dermapair.errors import TableError, listed
from dermapair.types import VIEWS


def read(path: Path) -> CaseTable:
    """Return the case table of a CSV file."""
    if path.is_dir():
        raise TableError(f"{path}: expected a CSV file, got a folder; give the file")
    table = read_table(path, required=(), unknown=UNKNOWN)
    per_image = {"view", "path"} <= set(table.columns)
    if not per_image and not set(VIEWS) & set(table.columns):
        raise TableError(
            f"{path}: expected the columns view and path (a row per image), or clinical and dermoscopic "
            f"(a row per lesion), got {listed(table.columns)}"
        )
    _refuse_nan(table, path)
    if "age" in table.columns:
        table = table.with_columns(numbers(table, "age", path=path))
    numbered = list(enumerate(table.to_dicts(), start=1))
    if per_image:
        of_file, rows = [number for number, _ in numbered], [_image_row(row) for _, row in numbered]
    else:
        of_file, rows = _lesion_rows(numbered, path)
    frame = case_frame([row | {"official_split": row.get("split")} for row in rows])
    diagnoses = tuple(frame["diagnosis"].drop_nulls().unique(maintain_order=True).sort())
    check_cases(frame, diagnoses, where=str(path), rows=of_file)
    require_files(path.parent, frame["path"])
    lesion_ids = "lesion" if "lesion_id" in table.columns or not per_image else "image"
    return CaseTable(frame, path.parent, diagnoses, {"adapter": "csv", "lesion_ids": lesion_ids})


def _refuse_nan(table: pl.DataFrame, path: Path) -> None:
    """Refuse "nan" in a column of the case table: it is a lost value, and no name of anything."""
    for column in set(table.columns) & {*COLUMNS, *VIEWS}:
        bad = (table[column].str.to_lowercase() == "nan").fill_null(False)
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise TableError(
                f"{path}: row {row + 1}: got {table[column][row]!r} in {column}; leave the cell empty where "
                f"the value is unknown"
            )


def _image_row(row: dict[str, Any]) -> dict[str, Any]:
    """Complete the ids of a row that is one image."""
    stem = Path(row["path"]).stem if row["path"] else None
    image_id = row.get("image_id") or stem
    return row | {"image_id": image_id, "lesion_id": row.get("lesion_id") or image_id}


def _lesion_rows(
    numbered: list[tuple[int, dict[str, Any]]], path: Path
) -> tuple[list[int], list[dict[str, Any]]]:
    """Return one row per image of a table with one row per lesion, and which row each comes from."""
    of_file, result = [], []
    for number, row in numbered:
        files = {view: row.get(view) for view in VIEWS if row.get(view)}
        if not files:
            raise TableError(
                f"{path}: row {number}: expected a file in clinical or dermoscopic, both are empty"
            )
        rest = {key: value for key, value in row.items() if key not in VIEWS}
        lesion = row.get("lesion_id") or Path(str(next(iter(files.values())))).stem
        for view, file in files.items():
            ids = {"image_id": f"{lesion}_{view}", "lesion_id": lesion, "view": view, "path": file}
            result.append(rest | ids)
            of_file.append(number)
    return of_file, result
