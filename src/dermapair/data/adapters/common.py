"""What adapters share: reading official tables and finding the files that they name."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from dermapair.errors import MissingFilesError, TableError, listed
from dermapair.imaging import containers

UNKNOWN = ("", "NA", "unknown")
"""Cells that stand for an unknown value in anybody's table."""
OFFICIAL_UNKNOWN = (*UNKNOWN, "NaN", "nan")
"""The same in the tables of published sets."""
_HEADER_BYTES = 1 << 16
_OTHER_SEPARATORS = {b";": "semicolons", b"\t": "tabs"}
_POLARS_DOUBLE = re.compile(r"_duplicated_\d+\Z")
"""What polars puts behind the name of a column that has come before."""


def read_table(
    path: Path,
    *,
    required: Sequence[str],
    unknown: Sequence[str] = OFFICIAL_UNKNOWN,
    header: bool = True,
    separator: str = ",",
) -> pl.DataFrame:
    """Read a CSV as text, every value a string.

    Args:
        path: the file.
        required: columns that it must have.
        unknown: cells that become null.
        header: whether the first row holds the names of the columns.
        separator: what is between two cells.

    Raises:
        TableError: the file is missing or not a CSV in UTF-8 with commas, a column is doubled, or a required
            one missing.
    """
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)  # polars leaves "" in a quoted name behind it
        if separator == ",":
            _refuse_other_kinds(data, path, header=header)
        frame = pl.read_csv(
            data, has_header=header, separator=separator, infer_schema=False, null_values=list(unknown)
        )
    except FileNotFoundError:
        raise TableError(f"{path}: expected this table, but it is not there; check the folder") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise TableError(
            f"{path}: expected a CSV table in UTF-8, but {reason}; correct it and save it as CSV in UTF-8"
        ) from error
    names = [_stripped(name) for name in frame.columns]
    plain = [_stripped(_POLARS_DOUBLE.sub("", name)) for name in frame.columns]
    doubled = [name for name in plain if plain.count(name) > 1 and name in names]
    if doubled:
        raise TableError(f"{path}: expected each column once, got {doubled[0]!r} twice; rename or remove one")
    frame.columns = names
    missing = [name for name in required if name not in names]
    if missing:
        raise TableError(f"{path}: lacks the columns {', '.join(missing)}; it has {listed(names)}")
    return frame


def _refuse_other_kinds(data: bytes, path: Path, *, header: bool) -> None:
    """Refuse UTF-16, and a header whose names are parted by semicolons or tabs."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TableError(f"{path}: expected a CSV table in UTF-8, got UTF-16; save it as CSV in UTF-8")
    first = data[:_HEADER_BYTES].lstrip().partition(b"\n")[0].rstrip() if header else b""
    other = next((name for mark, name in _OTHER_SEPARATORS.items() if mark in first), "")
    if other and b"," not in first and first.count(b'"') % 2 == 0:  # an odd one: a name of several lines
        raise TableError(
            f"{path}: expected columns separated by commas, got one column "
            f"{first.decode('utf-8', 'replace')[:200]!r} with {other}; separate by commas"
        )


def plain(name: str) -> str:
    """Return a name without what people write in different ways: case, blanks, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def alike(diagnoses: Iterable[str]) -> list[str]:
    """Return a note that names the diagnoses that are equal but for their writing, or nothing."""
    written: dict[str, list[str]] = {}
    for name in diagnoses:
        written.setdefault(plain(name), []).append(name)
    found = [" and ".join(map(repr, names)) for names in written.values() if len(names) > 1]
    what = "diagnoses that differ only in case, blanks, hyphens or underscores, yet count as different"
    return [f"{what}: {'; '.join(found)}"] if found else []


def _stripped(name: str) -> str:
    return name.strip().lstrip("\ufeff")


def one_hot_label(
    frame: pl.DataFrame, classes: Sequence[str], *, path: Path, none: str | None = None
) -> pl.Series:
    """Return the name of the column that holds 1 in each row.

    Args:
        frame: a truth table, values as text.
        classes: the label columns.
        path: named in errors.
        none: the label of a row without a 1; without it such a row is refused.

    Raises:
        TableError: a value is not 0 or 1, or a row has several 1 (or none).
    """
    values = frame.select(pl.col(list(classes)).cast(pl.Float64, strict=False)).to_numpy()
    ones = values.sum(axis=1)
    strange = ((values != 0) & (values != 1)).any(axis=1)  # also NaN, which is what text became
    bad = strange | (ones > 1) | ((ones < 1) & (none is None))
    if bad.any():
        row = int(bad.argmax())
        got = ", ".join(str(cell or "") for cell in frame.select(classes).row(row))
        most = "exactly" if none is None else "at most"
        raise TableError(
            f"{path}: row {row + 1} ({frame.row(row)[0]}): expected 0 or 1 in the columns "
            f"{', '.join(classes)} and {most} one 1, got {got}; correct the row"
        )
    names = np.array([*classes, none], dtype=object)
    return pl.Series("diagnosis", names[np.where(ones > 0, values.argmax(axis=1), -1)], dtype=pl.String)


def require_codes(frame: pl.DataFrame, column: str, codes: Sequence[str], *, image: str, path: Path) -> None:
    """Check that every row of a column has a code that the set has.

    Raises:
        TableError: with the first row that does not; `image` is the column that names its image.
    """
    bad = frame.with_row_index("row", 1).filter(~pl.col(column).is_in(list(codes)).fill_null(False))
    if len(bad):
        row, name, got = bad.select("row", image, column).row(0)
        raise TableError(
            f"{path}: row {row} ({name}): expected a {column} of {', '.join(codes)}, got {got!r}; correct it"
        )


def refuse_unknown(frame: pl.DataFrame, column: str, known: Sequence[str], *, path: Path, name: str) -> None:
    """Refuse a table with a value that its set does not have.

    Args:
        frame: the table as read, in the order of its file.
        column: where the values are; an empty cell is refused, too.
        known: the values that the set has.
        path: named in the error.
        name: column whose value names the row in the error.

    Raises:
        TableError: with the first such row.
    """
    bad = frame.with_row_index("row").filter(~pl.col(column).is_in(list(known)).fill_null(False))
    if len(bad):
        raise TableError(
            f"{path}: row {bad['row'][0] + 1} ({bad[name][0]}): expected one of {', '.join(known)} "
            f"in {column}, got {bad[column][0]!r}; correct it"
        )


def numbers(frame: pl.DataFrame, column: str, *, path: Path) -> pl.Series:
    """Return a text column as numbers.

    Raises:
        TableError: a value is not a number.
    """
    cast = frame[column].cast(pl.Float64, strict=False)
    bad = cast.is_null() & frame[column].is_not_null() | ~cast.is_finite().fill_null(True)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise TableError(
            f"{path}: row {row + 1}: expected a number in {column}, got {frame[column][row]!r}; "
            f"correct it, or leave it empty where it is unknown"
        )
    return cast


def require_files(root: Path, paths: Iterable[str]) -> None:
    """Check that every file is on the disk, or in the HDF5 file that its path leads into.

    Raises:
        MissingFilesError: with all that are missing.
    """
    named = pl.Series("path", paths, dtype=pl.String)
    folders = named.str.extract(r"^(.*)[/\\]", 1).fill_null("").unique()
    there = pl.Series([path for folder in folders for path in _files_in(root, folder)], dtype=pl.String)
    unseen = named.filter(~named.is_in(there.implode()))
    missing = [path for path in unseen if not containers.is_there(root / path)]
    if missing:
        listing = "".join(f"\n  {listed([path])}" for path in missing)
        raise MissingFilesError(
            f"{root}: {len(missing)} files that the tables name are missing, so nothing was imported; "
            f"fetch them or remove their rows:{listing}",
            missing,
        )


def _files_in(root: Path, folder: str) -> list[str]:
    """Return the paths of the files in a folder; to list it once is faster than to ask for each."""
    place = root / folder
    before = f"{folder}/" if folder else ""
    if os.path.isfile(place) and place.suffix.lower() in containers.ENDINGS:
        return [before + key for key in containers.keys(place)]
    if not os.path.isdir(place):  # not Path.is_dir, which raises where a name is too long to be one
        return []
    with os.scandir(place) as entries:
        return [before + entry.name for entry in entries if entry.is_file()]
