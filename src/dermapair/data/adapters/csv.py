"""One's own CSV: a row per image, or a row per lesion with the columns `clinical` and `dermoscopic`.

A row per image needs `view` and `path`; a row per lesion needs `clinical` or `dermoscopic` or both, an empty
cell being a missing view. Every other column of the case table is optional and any further column is kept.
Paths are relative to the CSV's folder. Ids that are not given come from file stems.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


from dermapair.data.adapters.common import numbers, read_table, require_files
from dermapair.data.cases import CaseTable, case_frame, check_cases
from dermapair.errors import TableError
from dermapair.types import VIEWS


def read(path: Path) -> CaseTable:
    """Return the case table of a CSV file."""
    if path.is_dir():
        raise TableError(f"{path}: expected a CSV file, got a folder; give the file")
    table = read_table(path, required=())
    per_image = {"view", "path"} <= set(table.columns)
    if not per_image and not set(VIEWS) & set(table.columns):
        raise TableError(
            f"{path}: expected the columns view and path (a row per image), or clinical and dermoscopic "
            f"(a row per lesion), got {', '.join(table.columns)}"
        )
    if "age" in table.columns:
        table = table.with_columns(numbers(table, "age", path=path))
    rows = table.to_dicts()
    rows = [_image_row(row) for row in rows] if per_image else _lesion_rows(rows, path)
    frame = case_frame([row | {"official_split": row.get("split")} for row in rows])
    diagnoses = tuple(frame["diagnosis"].drop_nulls().unique(maintain_order=True).sort())
    check_cases(frame, diagnoses, where=str(path))
    require_files(path.parent, frame["path"])
    lesion_ids = "lesion" if "lesion_id" in table.columns or not per_image else "image"
    return CaseTable(frame, path.parent, diagnoses, {"adapter": "csv", "lesion_ids": lesion_ids})


def _image_row(row: dict[str, Any]) -> dict[str, Any]:
    """Complete the ids of a row that is one image."""
    stem = Path(row["path"]).stem if row["path"] else None
    image_id = row.get("image_id") or stem
    return row | {"image_id": image_id, "lesion_id": row.get("lesion_id") or image_id}


def _lesion_rows(rows: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Return one row per image of a table with one row per lesion."""
    result = []
    for number, row in enumerate(rows, start=1):
        files = {view: row.get(view) for view in VIEWS if row.get(view)}
        if not files:
            raise TableError(f"{path}: row {number}: expected a file in clinical or dermoscopic, both are empty")
        rest = {key: value for key, value in row.items() if key not in VIEWS}
        lesion = row.get("lesion_id") or Path(next(iter(files.values()))).stem
        for view, file in files.items():
            ids = {"image_id": f"{lesion}_{view}", "lesion_id": lesion, "view": view, "path": file}
            result.append(rest | ids)
    return result
