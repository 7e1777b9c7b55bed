"""One's own CSV: a row per image, or a row per lesion with the columns `clinical` and `dermoscopic`.

A row per image needs `view` and `path`; a row per lesion needs `clinical` or `dermoscopic` or both, an empty
cell being a missing view. Blanks at the ends of cells do not count. Empty cells, `NA` and `unknown` are null;
`nan` is refused. Every other column of the case table is optional, any further column is kept and named in
the notes, and a name that is almost one of the case table's is refused or noted. Paths are relative to the
CSV's folder. Ids that are not given come from file stems. Empty rows are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import polars as pl

from dermapair.data.adapters.common import UNKNOWN, alike, numbers, plain, read_table, require_files
from dermapair.data.cases import COLUMNS, MASK, CaseTable, case_frame, check_cases
from dermapair.data.vocabulary import OWN_AND_COMMON, SKIN_TONE_SCALE
from dermapair.errors import TableError, listed
from dermapair.types import VIEWS

_OFFICIAL = "official_split"
_KNOWN = (*COLUMNS, *VIEWS, MASK, _OFFICIAL, *OWN_AND_COMMON.values(), SKIN_TONE_SCALE)
"""Columns that have a meaning."""
_CLOSE = 0.8
"""Likeness (difflib) from which on a name is taken for a slip; `dermoscopy` to `dermoscopic` is 0.86."""
_NAMED = 20  # columns that a note names


def read(path: Path) -> CaseTable:
    """Return the case table of a CSV file."""
    if path.is_dir():
        raise TableError(f"{path}: expected a CSV file, got a folder; give the file")
    table, rows = _cells(path)
    per_image = {"view", "path"} <= set(table.columns)
    if not per_image and not set(VIEWS) & set(table.columns):
        raise TableError(
            f"{path}: expected the columns view and path (a row per image), or clinical and dermoscopic "
            f"(a row per lesion), got {listed(table.columns)}{_hint(table.columns)}"
        )
    notes = _columns_note(table.columns, per_image=per_image)
    if per_image:
        images, id_notes = _image_rows(table, rows, path)
        notes += id_notes
    else:
        images, rows = _lesion_rows(table, rows, path)
    split = pl.col("split") if "split" in table.columns else pl.lit(None, dtype=pl.String)
    frame = case_frame(images.with_columns(split.alias(_OFFICIAL)))
    diagnoses = tuple(frame["diagnosis"].drop_nulls().unique().sort())
    check_cases(frame, diagnoses, where=str(path), rows=rows.to_list())
    require_files(path.parent, frame["path"])
    paired = not per_image or bool(_column(table, "lesion_id").count()) or _has_pairs(frame)
    notes += [*([] if paired else _unpaired(frame)), *alike(diagnoses)]
    facts = {"adapter": "csv", "lesion_ids": "lesion" if paired else "image", "notes": notes}
    return CaseTable(frame, path.parent, diagnoses, facts)


def _cells(path: Path) -> tuple[pl.DataFrame, pl.Series]:
    """Return the rows that are not empty, and the number of each in the file; ages are numbers."""
    table = read_table(path, required=(), unknown=("",))
    _refuse_other_writings(table.columns, path)
    table = table.with_columns(pl.all().str.strip_chars())
    filled = table.select(pl.any_horizontal((pl.all() != "").fill_null(False)).alias("filled")).to_series()
    table = table.with_columns(
        pl.when(pl.col(name).is_in(UNKNOWN)).then(None).otherwise(pl.col(name)).alias(name)
        for name in table.columns
    )
    _refuse_nan(table, path)
    if "age" in table.columns:
        table = table.with_columns(numbers(table, "age", path=path))
    return table.filter(filled), filled.arg_true() + 1


def _refuse_other_writings(columns: Sequence[str], path: Path) -> None:
    """Refuse `Patient_ID` for `patient_id`: kept as a further column it would say nothing of the patients."""
    right = {plain(name): name for name in _KNOWN}
    wrong = {name: right[plain(name)] for name in columns if plain(name) in right and name not in _KNOWN}
    if wrong:
        which = " and ".join(f"{known} for {name!r}" for name, known in wrong.items())
        raise TableError(
            f"{path}: expected column names as written in docs/data.md, {which}; rename what means the same, "
            f"and give another name to what does not"
        )


def _columns_note(columns: Sequence[str], *, per_image: bool) -> list[str]:
    """Return which columns are not of the case table, which look as if they were, and which do not count."""
    unused = [_OFFICIAL] if per_image else [_OFFICIAL, "image_id", "view", "path"]
    others = [name for name in columns if name not in _KNOWN]
    others += [name for name in VIEWS if per_image and name in columns]
    left_out = [name for name in columns if name in unused]
    return [
        *([f"columns kept as they are: {_quoted(others)}"] if others else []),
        *(
            f"column {name!r} looks like {known}; rename it if that is meant"
            for name, known in _slips(columns).items()
        ),
        *(
            [f"columns that are made anew, so that yours do not count: {_quoted(left_out)}"]
            if left_out
            else []
        ),
    ]


def _slips(columns: Sequence[str]) -> dict[str, str]:
    """Return the further columns whose names are close to a known one, with that."""
    right = {plain(name): name for name in _KNOWN}
    others = [name for name in columns if name not in _KNOWN]
    close = {name: get_close_matches(plain(name), right, n=1, cutoff=_CLOSE) for name in others}
    return {name: right[match[0]] for name, match in close.items() if match}


def _hint(columns: Sequence[str]) -> str:
    """Return the rest of a sentence: which column may be meant for which."""
    slips = " and ".join(f"{name!r} to {known}" for name, known in _slips(columns).items())
    return f"; perhaps rename {slips}" if slips else "; rename or add them"


def _quoted(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more


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


def _stems(files: pl.Series) -> pl.Series:
    """Return the names of files without folders and endings."""
    names = files.str.strip_chars_end("/").str.extract(r"([^/]+)$")
    return names.str.replace(r"(?s)^(.+)\.[^.]+$", "${1}")


def _column(table: pl.DataFrame, name: str) -> pl.Series:
    return table[name] if name in table.columns else pl.Series(name, [None] * len(table), dtype=pl.String)


def _image_rows(table: pl.DataFrame, rows: pl.Series, path: Path) -> tuple[pl.DataFrame, list[str]]:
    """Complete the ids of a table with one row per image, and say which lesions were told by stems.

    Where a stem occurs once in each view, the images of equal stems are one lesion.
    """
    ids = table.select(
        "view",
        row=rows,
        image=_column(table, "image_id"),
        lesion=_column(table, "lesion_id"),
        patient=_column(table, "patient_id"),
        stem=_stems(table["path"]),
    )
    nameless = ids.filter(pl.col("image").is_null(), pl.col("stem").is_null())
    if len(nameless):
        raise TableError(f"{path}: row {nameless['row'][0]}: expected a file in path, got none; add it")
    made = ids.filter(pl.col("image").is_null())
    of_stem = pl.len().over("stem") > 1
    _refuse_double(made.filter(pl.struct("stem", "view").is_duplicated()), path, "image_id")
    pairs = made.filter(of_stem)
    image = pl.col("stem")
    if len(pairs):
        image = (pl.col("stem") + "_" + pl.col("view")).fill_null(pl.col("stem"))
    told = pairs.filter(pl.col("lesion").is_null())
    _refuse_double(told.filter(pl.col("patient").drop_nulls().n_unique().over("stem") > 1), path, "lesion_id")
    ids = ids.with_columns(
        image=pl.col("image").fill_null(image),
        lesion=pl.col("lesion").fill_null(pl.col("image").fill_null(pl.col("stem"))),
    )
    lesions = told["stem"].n_unique()
    notes = [f"lesions told by equal file stems in both views: {lesions}"] if lesions else []
    return table.with_columns(image_id=ids["image"], lesion_id=ids["lesion"]), notes


def _refuse_double(rows: pl.DataFrame, path: Path, column: str) -> None:
    """Refuse rows whose ids would come from one stem, though they are not of one image or lesion."""
    if len(rows):
        same = rows.filter(pl.col("stem") == pl.col("stem").first())
        where = " and ".join(f"row {row}" for row in same["row"][:2])
        raise TableError(
            f"{path}: {where}: ids come from file stems where none are given, but several would get the id "
            f"of the stem {rows['stem'][0]!r}; add the column {column}"
        )


def _has_pairs(frame: pl.DataFrame) -> bool:
    """Return whether a lesion has images of both views."""
    views = frame.group_by("lesion_id").agg(pl.col("view").n_unique())["view"]
    return bool((views > 1).any())


def _unpaired(frame: pl.DataFrame) -> list[str]:
    """Return what to do where both views occur, but every image is its own lesion."""
    if frame["view"].n_unique() < len(VIEWS):
        return []
    return [
        "both views occur, but no lesion has both, as each image counts as its own lesion; "
        "add the column lesion_id, with the same value in the images of a lesion"
    ]


def _lesion_rows(table: pl.DataFrame, rows: pl.Series, path: Path) -> tuple[pl.DataFrame, pl.Series]:
    """Return one row per image of a table with one row per lesion, and which row each comes from."""
    views = [view for view in VIEWS if view in table.columns]
    first = table.select(pl.coalesce(views)).to_series()
    if first.has_nulls():
        row = rows[int(first.is_null().arg_max() or 0)]
        raise TableError(f"{path}: row {row}: expected a file in clinical or dermoscopic, both are empty")
    lesions = pl.DataFrame({"given": _column(table, "lesion_id"), "stem": _stems(first), "row": rows})
    lesions = lesions.with_columns(pl.col("given").fill_null(pl.col("stem")).alias("lesion"))
    double = pl.col("given").is_null() & pl.col("lesion").is_duplicated()
    _refuse_double(lesions.filter(double).filter(pl.col("stem").is_not_null()), path, "lesion_id")
    named = table.with_columns(lesion_id=lesions["lesion"])
    parts = [
        named.with_columns(
            image_id=pl.col("lesion_id") + f"_{view}", view=pl.lit(view), path=pl.col(view)
        ).drop(views)
        for view in views
    ]
    images, of_file = pl.concat(parts), np.tile(rows.to_numpy(), len(views))
    there = np.flatnonzero(images["path"].is_not_null().to_numpy())
    order = there[np.argsort(of_file[there], kind="stable")]
    return images[order], pl.Series(of_file[order])
