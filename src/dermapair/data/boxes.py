"""`boxes.parquet`: for each image of a case table the part of the original that is cut out for stage two."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from dermapair.config import CropSettings
from dermapair.data.cases import CaseTable
from dermapair.errors import ImageError, TableError
from dermapair.types import Box

BOX_COLUMNS: Final[dict[str, pl.DataType]] = {
    "image_id": pl.String(),
    "x0": pl.Float64(),
    "y0": pl.Float64(),
    "x1": pl.Float64(),
    "y1": pl.Float64(),
    "class": pl.String(),
    "fold": pl.Int64(),
    "run": pl.String(),
}
"""Columns and types: (x0, y0, x1, y1) in pixels of the upright original, half-open; the class that stage one
predicts, the number of the run among those given (null for a single one), and its name with the start of its
weights' digest.
"""


CROP = "crop"
"""Key of the file's metadata that holds the settings."""
Boxes = Mapping[int, Box]
"""Row of a case table -> its box; a row without one has none in the file."""


def write_boxes(rows: Sequence[Mapping[str, Any]], path: Path, settings: CropSettings) -> None:
    """Write rows of BOX_COLUMNS, and in the file's metadata the settings by which they were cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    pl.DataFrame(rows, schema=BOX_COLUMNS).write_parquet(temporary, metadata={CROP: _rule(settings)})
    temporary.replace(path)


def check_rule(path: Path, settings: CropSettings) -> None:
    """Refuse boxes that were cut by other settings than the trained run will use.

    Raises:
        TableError: naming both.
    """
    rule = pl.read_parquet_metadata(path).get(CROP, "nothing")
    if rule != _rule(settings):
        raise TableError(
            f"{path}: expected boxes cut by {_rule(settings)}, got {rule}; give `dermapair boxes` and "
            f"`train` the same keys of [crop]"
        )


def _rule(settings: CropSettings) -> str:
    return settings.model_dump_json(exclude={"run", "combine"})


def read_boxes(path: Path, table: CaseTable) -> Boxes:
    """Return the boxes of a case table by row; errors: `read_box_frame`."""
    return boxes_by_row(read_box_frame(path), table)


def read_box_frame(path: Path) -> pl.DataFrame:
    """Return a checked frame of BOX_COLUMNS.

    Raises:
        TableError: the file cannot be read, lacks a column, names an image twice, or has a box without area.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{path}: expected boxes as `dermapair boxes` writes them, got {error}") from error
    missing = [name for name in BOX_COLUMNS if name not in frame.columns]
    if missing:
        raise TableError(f"{path}: expected the columns {', '.join(BOX_COLUMNS)}, got none for {missing}")
    twice = frame.filter(pl.col("image_id").is_duplicated())
    if len(twice):
        raise TableError(f"{path}: {twice['image_id'][0]!r} has two boxes; keep one")
    bad = frame.filter(
        ~(
            pl.all_horizontal(pl.col("x0", "y0", "x1", "y1").is_finite(), pl.col("x0", "y0") >= 0)
            & (pl.col("x1") > pl.col("x0"))
            & (pl.col("y1") > pl.col("y0"))
        ).fill_null(False)
    )
    if len(bad):
        raise TableError(f"{path}: the box of {bad['image_id'][0]!r} has no area inside the image; remove it")
    return frame


def boxes_by_row(frame: pl.DataFrame, table: CaseTable) -> Boxes:
    """Return the boxes of a case table by row, from a frame of BOX_COLUMNS."""
    found = dict(zip(frame["image_id"], frame.select("x0", "y0", "x1", "y1").iter_rows(), strict=True))
    return {row: found[image] for row, image in enumerate(table.frame["image_id"]) if image in found}


def boxes_digest(path: Path) -> str:
    """Return the SHA-256 of a file of boxes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TableError(f"{path}: expected boxes as `dermapair boxes` writes them, got {error}") from error


def checked_box(box: Box | None, size: tuple[int, int], path: Path) -> Box:
    """Return the box of an image of `size` (width, height).

    Raises:
        ImageError: there is none, or it is not inside the image.
    """
    if box is None:
        raise ImageError(path, "expected a box for this image, got none; write the boxes again")
    if box[2] > size[0] or box[3] > size[1]:
        raise ImageError(
            path,
            f"expected a box inside {size[0]} x {size[1]} pixels, got one to x = {box[2]:g}, y = {box[3]:g}; "
            f"write the boxes again",
        )
    return box
