"""Case folders merged into one, with where every row comes from.

What would make a merged table lie is refused: an id or a file that two folders share, and diagnoses that are
not the same words. Pictures that lie in two sets under different names are the matter of `duplicates`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from dermapair.data.cases import MASK, CaseTable, case_frame, read_cases, write_cases
from dermapair.data.vocabulary import (
    COMMON,
    SKIN_TONE_SCALE,
    overlapping,
    with_common_terms,
    without_common_term,
)
from dermapair.errors import TableError, UsageError, unknown_choice

DIAGNOSIS = ("own", "common")
"""Which words the merged diagnosis is in."""
MERGED_FROM = "merged_from"
"""Extra column: the name of the case folder that a row comes from."""
OWN = "diagnosis_own"
"""Extra column of a table merged in common terms: the set's own code."""
FILES = ("path", MASK, "hair_mask")
IDS = ("image_id", "lesion_id", "patient_id")
ARCHIVE_ID = r"(I(?:SIC|L|P)_\d{7})"
"""An image, lesion or patient of the ISIC Archive within an id (as `ISIC_0000001_downsampled`)."""
_FIRST = 5  # of many ids that an error names


@dataclass(frozen=True)
class Part:
    """One of the case folders; `files`: a key of every image file, equal for all its names, and its path."""

    name: str
    folder: Path
    table: CaseTable
    files: dict[str, str]


def merge_cases(
    folders: Sequence[Path], out: Path, *, diagnosis: str = "own", prefix: bool = False
) -> CaseTable:
    """Merge case folders, write the result and return it.

    Args:
        folders: two or more case folders of different names.
        out: case folder to write.
        diagnosis: own keeps the codes, which must be the same in all; common takes `diagnosis_common`.
        prefix: put `<folder name>/` before all ids, so that equal ones of two folders stay apart; not before
            lesions and patients of the ISIC Archive, which are the same in all its sets.

    Returns:
        The table, with the name of each row's folder in `merged_from`. Its root is the folder that holds the
        roots of all; splits stay as they are. The manifest lists the parts.

    Raises:
        UsageError: too few folders, two of one name, `out` among them, or an unknown `diagnosis`.
        TableError: a folder cannot be read, two share an image, a file or ids that may differ, or their codes
            differ, or a shared lesion has two diagnoses or splits.
    """
    if diagnosis not in DIAGNOSIS:
        raise UsageError(unknown_choice("diagnosis", diagnosis, DIAGNOSIS))
    parts = _read_parts(folders, out)
    for one, other in combinations(parts, 2):
        _refuse_shared(one, other, prefix=prefix)
        if diagnosis == "own":
            _refuse_other_codes(one, other)
    root = _common_root(parts)
    frames = [_rows(part, root, prefix=prefix) for part in parts]
    frame = _stacked(parts, frames)
    diagnoses = parts[0].table.diagnoses
    if diagnosis == "common":
        frame, diagnoses = _in_common_terms(frame)
    facts = _manifest(parts, frame, diagnosis=diagnosis, prefix=prefix)
    return write_cases(CaseTable(case_frame(frame), root, diagnoses, facts), out)


def merge_summary(table: CaseTable) -> dict[str, Any]:
    """Return what is worth knowing of a merged table.

    Returns:
        `cases`, `images`, `lesions`, `parts` (of the manifest), `without_split`: parts without any, where
        others have one, `without_common_term` as the vocabulary counts them, `without_diagnosis`: rows whose
        own code has no common term, in a table merged in common terms, and `overlapping` diagnoses.
    """
    frame = table.frame
    merged_in_common = table.manifest["merged"]["diagnosis"] == "common"
    own = frame.with_columns(diagnosis=pl.col(OWN)) if merged_in_common else frame
    nameless = without_common_term(own)
    names = [part["name"] for part in table.manifest["parts"]]
    split = set(frame.filter(pl.col("split").is_not_null())[MERGED_FROM].str.extract(r"^([^/]*)"))
    return {
        "cases": str(table.folder),
        "images": len(frame),
        "lesions": frame["lesion_id"].n_unique(),
        "parts": table.manifest["parts"],
        "without_split": [name for name in names if name not in split] if split else [],
        "without_common_term": nameless,
        "without_diagnosis": sum(nameless.get("diagnosis", {}).values()) if merged_in_common else 0,
        "overlapping": overlapping(frame["diagnosis"].unique()) if merged_in_common else [],
    }


def _read_parts(folders: Sequence[Path], out: Path) -> list[Part]:
    """Return the case folders, those from before there were common terms with them."""
    if len(folders) < 2:
        raise UsageError(f"expected two or more case folders to merge, got {len(folders)}; name them all")
    named: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in named:
            raise UsageError(
                f"expected case folders of different names, which tell their rows apart, got {named[name]} "
                f"and {folder}; rename one"
            )
        if folder.resolve() == out.resolve():
            raise UsageError(f"{out}: expected a new folder to write, got one that is merged; name another")
        named[name] = folder
    tables = {name: with_common_terms(read_cases(folder)) for name, folder in named.items()}
    return [Part(name, named[name], table, _files(table)) for name, table in tables.items()]


def _refuse_shared(one: Part, other: Part, *, prefix: bool) -> None:
    """Refuse files and ids that two parts share; by `prefix` only ids are kept apart that may differ.

    Lesions and patients of the ISIC Archive may be in both, as grouping keeps them together by their ids.
    """
    where = f"{one.folder} and {other.folder}"
    twice = [path for key, path in one.files.items() if key in other.files]
    if twice:
        raise TableError(
            f"{where}: expected images of one folder each, got {len(twice)} files that both name "
            f"({_some(twice)}); merge only one of the folders"
        )
    for column in IDS:
        ids, others = (part.table.frame[column].drop_nulls().unique().sort() for part in (one, other))
        same = _same_in_the_archive(ids, others, column)
        if same:
            wanted = "no image that is in both" if column == "image_id" else "one way to write each id"
            raise TableError(
                f"{where}: expected {wanted}, got {len(same)} of {column} from the ISIC Archive, whose ids "
                f"mean the same in all sets ({_some(same)}); merge only one of the folders"
            )
        both = _shared(*(each.filter(~each.str.contains(ARCHIVE_ID)) for each in (ids, others)))
        if both and not prefix:
            raise TableError(
                f"{where}: expected ids of one folder each, got {len(both)} of {column} in both "
                f"({_some(both)}); give --prefix if they name different things, else merge only one of the "
                f"folders"
            )


def _shared(ids: pl.Series, others: pl.Series) -> list[str]:
    found: list[str] = ids.filter(ids.is_in(others.implode())).unique().sort().to_list()
    return found


def _same_in_the_archive(ids: pl.Series, others: pl.Series, column: str) -> list[str]:
    """Return what both parts have of the archive: of images all, else what is not written in one way."""
    same = _shared(*(each.str.extract(ARCHIVE_ID).drop_nulls() for each in (ids, others)))
    names = pl.concat([ids, others]).unique().str.extract(ARCHIVE_ID).drop_nulls()
    several = set(names.filter(names.is_duplicated()))
    return [name for name in same if column == "image_id" or name in several]


def _files(table: CaseTable) -> dict[str, str]:
    root = str(table.root.resolve())
    paths = [os.path.normpath(f"{root}/{path}") for path in table.frame["path"].unique().sort()]
    return {_file_key(path): path for path in paths}


def _file_key(path: str) -> str:
    try:
        state = os.stat(path)
    except OSError:
        return path
    return f"{state.st_dev}:{state.st_ino}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FIRST} more" if len(names) > _FIRST else ""
    return ", ".join(names[:_FIRST]) + more


def _refuse_other_codes(one: Part, other: Part) -> None:
    ours, theirs = set(one.table.diagnoses), set(other.table.diagnoses)
    if ours != theirs:
        raise TableError(
            f"{one.folder} and {other.folder}: expected the same diagnoses in both, got "
            f"{', '.join(sorted(ours - theirs)) or 'none'} in the first alone and "
            f"{', '.join(sorted(theirs - ours)) or 'none'} in the second alone; give --diagnosis common"
        )


def _common_root(parts: Sequence[Part]) -> Path:
    """Return the folder that holds the roots of all parts."""
    roots = [part.table.root.resolve() for part in parts]
    try:
        return Path(os.path.commonpath(roots))
    except ValueError as error:  # two drives
        raise TableError(
            f"expected images below one folder, got those in {' and '.join(map(str, roots))}; move them to "
            f"one drive and import again"
        ) from error


def _rows(part: Part, root: Path, *, prefix: bool) -> pl.DataFrame:
    """Return a part's rows as they stand in the merged table."""
    frame = part.table.frame
    below = part.table.root.resolve().relative_to(root).as_posix()
    before = "" if below == "." else f"{below}/"
    columns = [pl.lit(before) + pl.col(c) for c in FILES if frame.schema.get(c) == pl.String]
    columns += [_prefixed(c, part.name) for c in IDS if prefix]
    came = pl.lit(part.name)
    if MERGED_FROM in frame.columns:  # a part that was merged itself
        came = pl.format("{}/{}", came, MERGED_FROM)
    return frame.with_columns(*(c.alias(c.meta.root_names()[0]) for c in columns), came.alias(MERGED_FROM))


def _prefixed(column: str, name: str) -> pl.Expr:
    """Return ids with the name before them, but for the archive's lesions and patients."""
    ids = pl.col(column)
    same = ids.str.contains(ARCHIVE_ID) if column != "image_id" else pl.lit(False)
    return pl.when(same).then(ids).otherwise(pl.lit(f"{name}/") + ids).alias(column)


def _stacked(parts: Sequence[Part], frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all parts; no value changes but whole numbers to equal ones of a wider type."""
    names = list(dict.fromkeys(name for frame in frames for name in frame.columns))
    types = {name: _type_of(name, parts, frames) for name in names}
    same = [
        frame.with_columns(
            pl.col(name).cast(types[name]) if values.count() else pl.lit(None, types[name]).alias(name)
            for name, values in zip(frame.columns, frame.get_columns(), strict=True)
        )
        for frame in frames
    ]
    return pl.concat(same, how="diagonal")


def _type_of(name: str, parts: Sequence[Part], frames: Sequence[pl.DataFrame]) -> pl.DataType:
    """Return the type of a merged column; one without any value fits every other.

    Raises:
        TableError: two parts hold values of types that are not the same, and not both numbers that one type
            can hold unchanged.
    """
    there = [(part, frame[name]) for part, frame in zip(parts, frames, strict=True) if name in frame.columns]
    held = [(part, values) for part, values in there if values.count()] or there[:1]
    first, values = held[0]
    other = next((one for one in held if one[1].dtype != values.dtype), None)
    if other is None:
        return values.dtype
    if all(each.dtype.is_integer() or each.dtype.is_float() for _, each in held):
        wider = pl.concat([each.clear().to_frame() for _, each in held], how="vertical_relaxed").dtypes[0]
        if all(_stays_the_same(each, wider) for _, each in held):
            return wider
    raise TableError(
        f"{first.folder} and {other[0].folder}: expected the column {name} to hold values of one type, got "
        f"{values.dtype} and {other[1].dtype}; rename or convert it in one of them and import that again"
    )


def _stays_the_same(values: pl.Series, wider: pl.DataType) -> bool:
    return values.cast(wider, strict=False).cast(values.dtype, strict=False).equals(values)


def _in_common_terms(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return rows with the common diagnosis, and those that occur, in the vocabulary's order."""
    own = pl.coalesce(OWN, "diagnosis") if OWN in frame.columns else pl.col("diagnosis")
    frame = frame.with_columns(own.alias(OWN), diagnosis=pl.col("diagnosis_common"))
    there = frame["diagnosis"].drop_nulls().unique().sort().to_list()
    return frame, (*(term for term in COMMON if term in there), *(t for t in there if t not in COMMON))


def _manifest(parts: Sequence[Part], frame: pl.DataFrame, *, diagnosis: str, prefix: bool) -> dict[str, Any]:
    """Return what the merged manifest says beside what every manifest does."""
    adapters = {str(part.table.manifest.get("adapter")) for part in parts}
    by_image = any(part.table.manifest.get("lesion_ids") == "image" for part in parts)
    facts: dict[str, Any] = {
        "adapter": adapters.pop() if len(adapters) == 1 and diagnosis == "own" else "merge",
        "lesion_ids": "image" if by_image else "lesion",
        "merged": {"diagnosis": diagnosis, "prefix": prefix},
        "parts": [_provenance(part) for part in parts],
    }
    scales = frame.filter(pl.col("skin_tone").is_not_null())[SKIN_TONE_SCALE].unique().to_list()
    return facts | ({SKIN_TONE_SCALE: scales[0]} if len(scales) == 1 and scales[0] else {})


def _provenance(part: Part) -> dict[str, Any]:
    """Return where a part's rows come from."""
    frame, manifest = part.table.frame, part.table.manifest
    with (part.folder / "cases.parquet").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kept = ("adapter", "lesion_ids", SKIN_TONE_SCALE, "split", "phantom", "parts")
    return {
        "name": part.name,
        "folder": str(part.folder.resolve()),
        "images": len(frame),
        "lesions": frame["lesion_id"].n_unique(),
        "licenses": frame["license"].drop_nulls().unique().sort().to_list(),
        "cases_sha256": digest,
        **{key: manifest[key] for key in kept if key in manifest},
    }
