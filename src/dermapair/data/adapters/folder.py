"""Folders of images, whose names say what is known: `[split/][view/]<class>/<image>`.

Names of splits and views are the keys of SPLIT_OF and VIEW_OF, in any case; both are optional, in either
order, and where every image has them, inside the class folders too. Views may also be told by the ends of the
names after `_`, `-` or a blank: `a_clinical.jpg` and `a_dermoscopic.jpg`. Images of equal stems within a
class are one lesion. Where nothing tells the view, the caller must. Images that lie in no class folder have
no diagnosis, as those of a test part without its truth. Hidden files are passed over; other files that are no
images are named in the notes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import polars as pl

from dermapair.data.adapters.common import alike
from dermapair.data.cases import CaseTable, case_frame
from dermapair.data.loose import looks_like_an_image
from dermapair.errors import TableError, UsageError
from dermapair.types import VIEWS

SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
VIEW_OF: dict[str, str] = {
    **dict.fromkeys(("clinical", "clinic", "clin"), "clinical"),
    **dict.fromkeys(("dermoscopic", "dermoscopy", "derm"), "dermoscopic"),
}
IGNORED = ("thumbs.db", "desktop.ini")
"""Files that systems leave behind, besides hidden ones."""
NAMED = 20  # files that a note names; the manifest names all


def read(root: Path, *, view: str = "") -> CaseTable:
    """Return the case table of a folder.

    Args:
        root: the folder.
        view: what the images show, where neither folders nor names tell.

    Raises:
        TableError: there is no image, or one lies where its class, part or view cannot be told.
        UsageError: the view is needed and was not given, or was given though folders or names tell it.
    """
    files = _files(root)
    images = [file for file in files if looks_like_an_image(Path(file))]
    if not images:
        raise TableError(f"{root}: expected folders of images, but there is no image; check the folder")
    frame = pl.DataFrame({"file": images}).with_columns(
        pl.col("file").str.split("/").list.slice(0, pl.col("file").str.count_matches("/")).alias("folders"),
        pl.col("file").str.extract(r"([^/]+)\.[^./]+$").alias("stem"),
    )
    for column, names in (("split", SPLIT_OF), ("view", VIEW_OF), ("split", SPLIT_OF)):
        frame = _taken(frame, column, names, root)
    for column, names in (("view", VIEW_OF), ("split", SPLIT_OF), ("view", VIEW_OF)):
        frame = _taken_inside(frame, column, names)
    frame, told = _with_views(_with_diagnoses(frame, root), view, root)
    frame = _with_ids(frame, told, root)
    left_out = sorted(set(files) - set(images))
    diagnoses = tuple(frame["diagnosis"].drop_nulls().unique().sort())
    facts = {
        "adapter": "folder",
        "lesion_ids": "lesion" if told else "image",
        "left_out": left_out,
        "notes": [*_unpaired(frame), *_note_of(left_out), *alike(diagnoses)],
    }
    kept = ("image_id", "lesion_id", "view", "diagnosis", "split")
    return CaseTable(
        case_frame(frame.select(*kept, path="file", official_split="split")), root, diagnoses, facts
    )


def _files(root: Path) -> list[str]:
    """Return all files below a folder, links followed, as sorted paths relative to it."""
    if not root.is_dir():
        raise TableError(f"{root}: expected a folder of images, but it is not there; check the path")
    files = []
    for place, folders, names in os.walk(root, followlinks=True, onerror=_stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(place).relative_to(root)
        files += [
            (below / name).as_posix()
            for name in names
            if not name.startswith(".") and name.lower() not in IGNORED
        ]
    strange = [file for file in files if file.encode("utf-8", "replace").decode() != file]
    if strange:
        raise TableError(
            f"{root}: expected names in UTF-8, got {strange[0]!a} ({len(strange)} such); rename it"
        )
    return sorted(files)


def _stop(error: OSError) -> NoReturn:
    """Pass on that a folder cannot be listed, which `os.walk` would skip in silence."""
    raise error


def _taken(frame: pl.DataFrame, column: str, names: Mapping[str, str], root: Path) -> pl.DataFrame:
    """Take the outermost folder off as a column, if it has one of these names; if one has, all must.

    A column that was filled before stays as it is.
    """
    if column in frame.columns and frame[column].null_count() < len(frame):
        return frame
    outermost = pl.col("folders").list.first().str.to_lowercase()
    known = outermost.replace_strict(names, default=None, return_dtype=pl.String)
    marked = frame.with_columns(known.alias(column))
    beside = marked.filter(pl.col(column).is_null())
    if len(beside) == len(frame):
        return marked
    if len(beside):
        there = marked.filter(pl.col(column).is_not_null())["folders"].list.first().unique().sort()
        raise TableError(
            f"{root}: expected every image in {'/, '.join(there)}/, but {beside['file'][0]} lies beside "
            f"({len(beside)} such files); move them"
        )
    return marked.with_columns(pl.col("folders").list.slice(1))


def _taken_inside(frame: pl.DataFrame, column: str, names: Mapping[str, str]) -> pl.DataFrame:
    """Take the innermost folder off as a column, if it has one of these names for every image.

    The class folder is never taken, nor is a column filled that was filled before.
    """
    innermost = pl.col("folders").list.last().str.to_lowercase()
    known = innermost.replace_strict(names, default=None, return_dtype=pl.String)
    inside = frame.select((known.is_not_null() & (pl.col("folders").list.len() > 1)).all()).item()
    if not inside or frame[column].null_count() < len(frame):
        return frame
    return frame.with_columns(
        known.alias(column), pl.col("folders").list.head(pl.col("folders").list.len() - 1)
    )


def _with_diagnoses(frame: pl.DataFrame, root: Path) -> pl.DataFrame:
    """Take the remaining folder as the diagnosis; in one part either all images have one, or none has."""
    depth = pl.col("folders").list.len()
    deep = frame.filter(depth > 1)
    if len(deep):
        raise TableError(
            f"{root}: expected images in <class>/, or that in train/, val/ or test/ and clinical/ or "
            f"dermoscopic/ (train/clinical/<class>/), but {deep['file'][0]} lies deeper ({len(deep)} such "
            f"files); move them"
        )
    bare = frame.filter((depth == 0) & (depth.max().over("split") > 0))
    if len(bare):
        raise TableError(
            f"{root}: expected every image in the folder of its class, but {bare['file'][0]} lies in none "
            f"({len(bare)} such files); move them"
        )
    return frame.with_columns(pl.col("folders").list.first().alias("diagnosis"))


def _with_views(frame: pl.DataFrame, view: str, root: Path) -> tuple[pl.DataFrame, bool]:
    """Return the frame with the view of each image, and whether folders or names told it."""
    ends = rf"(?i)^(.+?)[-_ ]+({'|'.join(VIEW_OF)})$"
    by_name = (
        pl.col("stem")
        .str.extract(ends, 2)
        .str.to_lowercase()
        .replace_strict(VIEW_OF, default=None, return_dtype=pl.String)
    )
    named = frame.with_columns(by_name.alias("by_name"))
    by_folder = named["view"].null_count() == 0
    unnamed = named.filter(pl.col("by_name").is_null())
    if not len(unnamed):
        frame = _agreed(named, root).with_columns(pl.col("stem").str.extract(ends, 1), view="by_name")
    elif not by_folder and len(unnamed) < len(named):
        raise TableError(
            f"{root}: expected every name to end in {', '.join(f'_{end}' for end in VIEW_OF)} or none, but "
            f"{unnamed['file'][0]} does not ({len(unnamed)} such files); rename them"
        )
    told = by_folder or not len(unnamed)
    if told and view:
        raise UsageError(f"{root}: --view is for images whose folders or names do not tell it; drop it")
    if not told and view not in VIEWS:
        raise UsageError(
            f"{root}: expected --view {' or '.join(VIEWS)}, as neither folders nor names tell what the "
            f"images show, got {view or 'none'}; give it"
        )
    return (frame if told else frame.with_columns(pl.lit(view).alias("view"))), told


def _agreed(named: pl.DataFrame, root: Path) -> pl.DataFrame:
    """Refuse an image whose name tells another view than its folder."""
    bad = named.filter(pl.col("view") != pl.col("by_name"))
    if len(bad):
        raise TableError(
            f"{root}: {bad['file'][0]} lies in {bad['view'][0]}/, but its name says {bad['by_name'][0]} "
            f"({len(bad)} such files); move or rename them"
        )
    return named


def _with_ids(frame: pl.DataFrame, told: bool, root: Path) -> pl.DataFrame:
    """Give ids: the stem, where stems repeat class and stem, where those repeat split, class and stem."""
    place = ["split", "diagnosis", "stem"]
    double = frame.filter(pl.struct(*place, "view").is_duplicated()).sort(*place, "view", "file")
    if len(double):
        raise TableError(
            f"{root}: {double['file'][0]} and {double['file'][1]} share a stem, but a lesion has one image "
            f"of a view; rename one"
        )
    lesions = frame.select(place).n_unique()
    for parts in (place[2:], place[1:], place):
        ids = frame.select(pl.concat_str(parts, separator="_", ignore_nulls=True)).to_series()
        if ids.n_unique() == lesions:
            images = ids + "_" + frame["view"] if told else ids
            return frame.with_columns(ids.alias("lesion_id"), images.alias("image_id"))
    raise TableError(
        f"{root}: expected names that make unique ids of class and stem, got two alike; rename one"
    )


def _unpaired(frame: pl.DataFrame) -> list[str]:
    """Return how many lesions lack a view, where the set has both."""
    if frame["view"].n_unique() < len(VIEWS):
        return []
    alone = frame.filter(pl.len().over("lesion_id") < len(VIEWS))["file"].to_list()
    return [_listed("lesions with one view only", alone)] if alone else []


def _note_of(left_out: list[str]) -> list[str]:
    """Return which files were left out."""
    return [_listed("left out, as they are no images", left_out)] if left_out else []


def _listed(what: str, files: list[str]) -> str:
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return f"{what}: {len(files)} ({', '.join(files[:NAMED])}{more})"
