"""What the ISIC challenges share: parts with their tables and image folders, found under several names.

Where tables and images may lie, and what a `*` in their names means, is in `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.data.adapters.common import numbers, read_table, require_files
from dermapair.data.adapters.layout import JPEG, find_table, list_images, places
from dermapair.data.cases import CaseTable, case_frame
from dermapair.errors import TableError

CONFLICT = "official_diagnosis"
"""Extra column: what the truth says of the images of a lesion that it gives several diagnoses."""

Reader = Callable[[Path], pl.DataFrame]
"""From an official table to columns of the case table, `image_id` among them."""


@dataclass(frozen=True)
class Part:
    """One official part of a set, by the names of its files.

    Attributes:
        split: `val` or `test`, or null where `data split` shall draw, `train` only beside an official `val`.
        folders: where images lie, the first found of an image counting; a name may be an HDF5 file.
        truth: names of the table of diagnoses, the first found counting; a part may lack it.
        metadata: further tables, each that is there is joined.
        endings: of the images.
        lesions: the table that gives it lesion ids, where the import shall name one that is missing.
    """

    split: str | None
    folders: Sequence[str]
    truth: Sequence[str] = ()
    metadata: Sequence[str] = ()
    endings: Sequence[str] = JPEG
    lesions: str = ""


def metadata_reader(image: str, columns: Mapping[str, str], *, kept: Sequence[str] = ()) -> Reader:
    """Return a reader of age, sex, site and the like.

    Args:
        image: the column of image ids.
        columns: official name -> name in the case table; `age` becomes a number.
        kept: columns that are kept under their name, where they are there.
    """

    def read(path: Path) -> pl.DataFrame:
        table = read_table(path, required=(image, *columns))
        ages = [numbers(table, old, path=path) for old, new in columns.items() if new == "age"]
        there = [name for name in kept if name in table.columns]
        return table.with_columns(ages).select(image, *columns, *there).rename({image: "image_id", **columns})

    return read


_IMAGE_IDS = metadata_reader("image_id", {})


@dataclass(frozen=True)
class ISICSet:
    """A challenge's data set.

    Attributes:
        adapter: its name.
        parts: in their order.
        diagnoses: the codes of its truth.
        truth: reads the table of diagnoses.
        constants: columns with one value for all images that a table does not give.
        metadata: reads the further tables.
    """

    adapter: str
    parts: Sequence[Part]
    diagnoses: tuple[str, ...]
    truth: Reader
    constants: Mapping[str, str]
    metadata: Reader = _IMAGE_IDS


def read_set(
    root: Path, kind: ISICSet, *, pairs: pl.DataFrame | None = None, further: pl.DataFrame | None = None
) -> CaseTable:
    """Return the case table of a set, with whichever of its parts are there.

    Args:
        root: its folder.
        kind: which set.
        pairs: images that show the same lesion, `image_id` and `other`.
        further: columns for any of the images, with `image_id`.

    Raises:
        TableError: nothing of the set is there, or a table has a bad row.
        MissingFilesError: images that the tables name are missing.
    """
    found = [read for part in kind.parts if (read := _read_part(root, part, kind)) is not None]
    if not found:
        names = " or ".join(_plain(part.folders[0]) for part in kind.parts)
        raise TableError(
            f"{root}: expected a folder {names}, or the official tables beside it, but nothing of the set is "
            f"there; give the folder that holds them"
        )
    frame = pl.concat([rows for rows, _ in found], how="diagonal_relaxed")
    if further is not None:
        frame = frame.join(further, on="image_id", how="left", maintain_order="left")
    frame, of_lesions = _with_lesions(frame, pairs)
    frame, conflicts = _without_conflicts(frame)
    require_files(root, frame.filter("absent")["path"])  # the others were seen in their folders
    facts: dict[str, Any] = {"adapter": kind.adapter, "lesion_ids": of_lesions}
    notes = [*(note for _, notes in found for note in notes), *conflicts]
    facts |= {"notes": notes} if notes else {}
    return CaseTable(case_frame(frame.drop("absent")), root, kind.diagnoses, facts)


def _read_part(root: Path, part: Part, kind: ISICSet) -> tuple[pl.DataFrame, list[str]] | None:
    """Return the rows of one part, and what is to be said of it; None where nothing of it is there.

    The truth says which images a part has; without one, the further tables and the folders together.
    """
    folders = [place for name in part.folders for place in places(root, name)]
    truth = find_table(root, part.truth, folders)
    further = [path for name in part.metadata if (path := find_table(root, [name], folders)) is not None]
    if not folders and truth is None and not further:
        return None
    images = list_images(root, folders, part.endings)
    tables = [_checked(kind.metadata, path) for path in further]
    ids = pl.concat([table.select("image_id") for table in (*tables, images)]).unique(maintain_order=True)
    frame = ids if truth is None else _checked(kind.truth, truth)
    left_out = len(ids.join(frame, on="image_id", how="anti"))
    for table in tables:
        new = [name for name in table.columns if name == "image_id" or name not in frame.columns]
        frame = frame.join(table.select(new), on="image_id", how="left", maintain_order="left")
    frame = frame.join(images, on="image_id", how="left", maintain_order="left")
    expected = pl.format(f"{_plain(part.folders[0])}/{{}}{part.endings[0]}", "image_id")
    split = pl.lit(part.split, dtype=pl.String)
    constants = {name: pl.lit(value) for name, value in kind.constants.items() if name not in frame}
    frame = frame.with_columns(
        **constants,
        path=pl.coalesce("path", expected),
        absent=pl.col("path").is_null(),
        split=split,
        official_split=split,
    )
    notes = _lacks(frame, part, truth)
    if truth is not None and left_out:
        notes += [f"{truth.name}: {left_out} images of further tables or folders are not in it and left out"]
    return frame, notes


def _lacks(frame: pl.DataFrame, part: Part, truth: Path | None) -> list[str]:
    """Return what is to be said where a part for learning has no truth or no lesion ids."""
    name = "Validation" if part.split == "val" else "Training"
    notes = []
    if truth is None and part.split != "test":
        notes += [
            f"no truth was found for the {name} part ({_plain(part.truth[0])}): {len(frame)} images without "
            f"a diagnosis"
        ]
    if part.lesions and "lesion_id" not in frame.columns:
        notes += [
            f"no lesion ids were found for the {name} part ({_plain(part.lesions)}): images of one lesion "
            f"count as several, and a split may part them"
        ]
    return notes


def _plain(name: str) -> str:
    """Return a name without the places where a version may stand."""
    return name.replace("*", "")


def _checked(reader: Reader, path: Path) -> pl.DataFrame:
    """Read a table and refuse one that names an image twice."""
    frame = reader(path)
    doubled = frame.with_row_index("row", 1).filter(
        pl.col("image_id").is_duplicated(), pl.col("image_id").is_not_null()
    )
    if len(doubled):
        row, image = doubled.select("row", "image_id").row(0)
        raise TableError(f"{path}: row {row} (image {image!r}): this image occurs twice; keep one row of it")
    return frame


def _with_lesions(frame: pl.DataFrame, pairs: pl.DataFrame | None) -> tuple[pl.DataFrame, str]:
    """Return the frame with a lesion id in each row, and whether the set knows lesions (`lesion_ids`)."""
    known = "lesion_id" in frame.columns and frame["lesion_id"].count() > 0
    lesion = pl.coalesce("lesion_id", "image_id") if known else pl.col("image_id")
    frame = frame.with_columns(lesion.alias("lesion_id"))
    return frame if pairs is None else _joined_lesions(frame, pairs), "lesion" if known else "image"


def _joined_lesions(frame: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Give images that show the same lesion, also through others, the lesion id of their first row."""
    from scipy.sparse import coo_array  # slow to import, and few sets need it
    from scipy.sparse.csgraph import connected_components

    numbered = frame.select("image_id", "lesion_id").with_row_index("row")
    rows = numbered.select("image_id", "row")
    linked = pairs.join(rows, on="image_id").join(rows, left_on="other", right_on="image_id", suffix="_other")
    same = numbered.select("row", row_other=pl.col("row").first().over("lesion_id"))
    links = pl.concat([linked.select("row", "row_other"), same]).to_numpy()
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(frame),) * 2)
    groups = connected_components(graph, directed=False)[1]
    return frame.with_columns(pl.col("lesion_id").first().over(pl.Series(groups)))


def _without_conflicts(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Take the truth of lesions that it gives several diagnoses for unknown, and say so.

    Which of them is right is not known, and two lesions of one would part what belongs together. The images
    stay; their official codes go to CONFLICT.
    """
    if "diagnosis" not in frame.columns:
        return frame, []
    known = frame.select("lesion_id", "diagnosis").drop_nulls().unique()
    bad = known.filter(pl.col("lesion_id").is_duplicated())["lesion_id"].unique().sort()
    if bad.is_empty():
        return frame, []
    in_conflict = pl.col("lesion_id").is_in(bad.implode())
    frame = frame.with_columns(
        diagnosis=pl.when(~in_conflict).then("diagnosis"),
        **{CONFLICT: pl.when(in_conflict).then("diagnosis")},
    )
    note = (
        f"{len(bad)} lesions have several diagnoses in the official truth, so theirs is taken for unknown; "
        f"the official codes are in the column {CONFLICT}: {', '.join(bad[:10])}"
        + (" and more" if len(bad) > 10 else "")
    )
    return frame, [note]
