"""The audit of case folders: what cannot be read, what occurs twice, what leaks, what is in there.

Letters: N images of all folders, in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.data.cases import COLUMNS, CaseTable, spread_groups
from dermapair.data.duplicates import Pairs, similar_pictures
from dermapair.data.fingerprints import Fingerprints, fingerprints
from dermapair.data.masks import has_mask, mask_problem
from dermapair.data.views import swapped_views
from dermapair.data.vocabulary import overlapping

SCHEMA_VERSION = 1
SMALL_PX = 64
"""Images with a shorter side below this are named: no lesion is seen well in them."""
LONG = 3.0
"""So are those that are so many times as long as wide."""
TURNS = (
    "as it is",
    "mirrored",
    "upside down",
    "turned by 180 degrees",
    "mirrored and turned counterclockwise",
    "turned clockwise",
    "turned counterclockwise",
    "mirrored and turned clockwise",
)
"""How the second image of a pair is turned for it to look like the first, by `duplicates.turned`."""
COUNTED = ("diagnosis", "sex", "site", "skin_tone", "source")

Progress = Callable[[int, int], None]


def audit(tables: Sequence[CaseTable], *, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Open every image of the case folders and compare all with all.

    Args:
        tables: read with `leaks=True`, so that a lesion in two splits is found and not refused.
        progress: called with images read and their number.

    Returns:
        What `check.json` holds: see docs/data.md. Pairs and lists name images by `folder` and `image_id`.
    """
    frame = _joined(tables)
    prints = _all_prints(tables, progress)
    pairs = _pairs(frame, prints, similar_pictures(prints.grey))
    groups = [{"folder": _name(table)} | group for table in tables for group in spread_groups(table.frame)]
    swapped = swapped_views(frame["view"], frame["folder"] + "\0" + frame["lesion_id"], prints)
    return {
        "schema_version": SCHEMA_VERSION,
        "folders": [_name(table) for table in tables],
        "images": len(frame),
        "lesions": frame.select("folder", "lesion_id").n_unique(),
        "leaks": len(groups) + sum(pair["leak"] for pair in pairs),
        "groups_in_two_splits": groups,
        "pairs": pairs,
        "unreadable": _images(frame, [error is not None for error in prints.errors], reason=prints.errors),
        "masks": _masks(tables),
        "one_colour": _images(frame, _of_one_colour(prints)),
        "odd_sizes": _odd_sizes(frame, prints),
        "swapped_views": None if swapped is None else [_lesion(*each) for each in swapped],
        "counts": {name: _counts(frame, name) for name in ("view", *COUNTED)},
        "ages": _ages(frame),
    }


def _name(table: CaseTable) -> str:
    return str(table.folder or table.root)


def _joined(tables: Sequence[CaseTable]) -> pl.DataFrame:
    """Return the rows of all folders, with `folder`."""
    kept = [*COLUMNS, "diagnosis_common"]
    parts = [
        t.frame.select(pl.col(name) for name in kept if name in t.frame.columns).with_columns(
            folder=pl.lit(_name(t))
        )
        for t in tables
    ]
    return pl.concat([pl.DataFrame(schema={"diagnosis_common": pl.String}), *parts], how="diagonal")


def _all_prints(tables: Sequence[CaseTable], progress: Progress) -> Fingerprints:
    sizes = [len(table.frame) for table in tables]

    def part_of(number: int) -> Fingerprints:
        before = sum(sizes[:number])
        return fingerprints(tables[number], progress=lambda n, _: progress(before + n, sum(sizes)))

    parts = [part_of(number) for number in range(len(tables))]
    if len(parts) == 1:
        return parts[0]
    return Fingerprints(
        np.concatenate([part.grey for part in parts]),
        np.concatenate([part.colour for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        tuple(digest for part in parts for digest in part.digests),
        tuple(error for part in parts for error in part.errors),
    )


def _pairs(frame: pl.DataFrame, prints: Fingerprints, pairs: Pairs) -> list[dict[str, Any]]:
    """Return what is known of each pair, leaks first, then by likeness."""
    named = ["folder", "image_id", "lesion_id", "patient_id", "view", "split", "diagnosis", "path"]
    named += ["diagnosis_common"]
    used = np.unique(pairs.rows)
    rows = dict(zip(used.tolist(), frame.select(named)[used].to_dicts(), strict=True))
    result = []
    for i, j, score, turn in _with_equals(rows, pairs):
        one, other = rows[i], rows[j]
        folders = one["folder"] != other["folder"]
        splits = one["split"] != other["split"] and None not in (one["split"], other["split"])
        result.append(
            {
                "one": one,
                "other": other,
                "kind": "exact" if prints.digests[i] == prints.digests[j] else "near",
                "score": round(score, 4),
                "other_is": TURNS[turn],
                "across_folders": folders,
                "across_splits": splits and not folders,
                "same_lesion": one["lesion_id"] == other["lesion_id"] and not folders,
                "diagnoses_differ": _differ(one, other, common=folders),
                "leak": folders or splits,
            }
        )
    return sorted(result, key=lambda pair: (not pair["leak"], -pair["score"]))


def _with_equals(rows: dict[int, dict[str, Any]], pairs: Pairs) -> list[tuple[int, int, float, int]]:
    """Return (i, j, score, turn) of pairs, of which also those that the first of equal images stands for.

    Of equal images in one folder and split, with one diagnosis, one still stands for all: others would say
    the same.
    """
    stand: dict[int, dict[tuple[Any, ...], int]] = {}

    def kind(row: int) -> tuple[Any, ...]:
        return tuple(rows[row][name] for name in ("folder", "split", "diagnosis", "diagnosis_common"))

    for i, j in pairs.rows[pairs.equal].tolist():
        stand.setdefault(i, {kind(i): i}).setdefault(kind(j), j)
    found: dict[tuple[int, int], tuple[float, int]] = {}
    for (i, j), score, equal, turn in zip(
        pairs.rows.tolist(), pairs.scores.tolist(), pairs.equal, pairs.turns.tolist(), strict=True
    ):
        of_i = stand.get(i, {kind(i): i}).values()
        of_j = (j,) if equal else stand.get(j, {kind(j): j}).values()
        for a, b in product(of_i, of_j):
            if a != b and (a == i or not equal or kind(a) != kind(b)):
                found.setdefault((min(a, b), max(a, b)), (score, turn))
    return [(a, b, score, turn) for (a, b), (score, turn) in sorted(found.items())]


def _differ(one: dict[str, Any], other: dict[str, Any], *, common: bool) -> bool:
    """Return whether two images have diagnoses that cannot both be true, of two sets by common terms."""
    column = "diagnosis_common" if common else "diagnosis"
    terms = {one[column], other[column]}
    return None not in terms and len(terms) == 2 and not (common and overlapping(terms))


def _images(frame: pl.DataFrame, which: Sequence[bool], **more: Sequence[Any]) -> list[dict[str, Any]]:
    """Return folder, id and path of some images, with more columns."""
    named = frame.select("folder", "image_id", "path").with_columns(
        pl.Series(name, list(values)) for name, values in more.items()
    )
    return named.filter(pl.Series(which, dtype=pl.Boolean)).to_dicts()


def _of_one_colour(prints: Fingerprints) -> list[bool]:
    flat = prints.grey.reshape(len(prints.grey), -1)
    same = flat.min(1, initial=255) == flat.max(1, initial=0)
    return [bool(one) and error is None for one, error in zip(same, prints.errors, strict=True)]


def _odd_sizes(frame: pl.DataFrame, prints: Fingerprints) -> list[dict[str, Any]]:
    """Return the images that are too small, or too long, to show a lesion."""
    short, long = prints.sizes.min(1), prints.sizes.max(1)
    odd = (short > 0) & ((short < SMALL_PX) | (long > LONG * short))
    return _images(frame, odd.tolist(), width=prints.sizes[:, 0].tolist(), height=prints.sizes[:, 1].tolist())


def _masks(tables: Sequence[CaseTable]) -> list[dict[str, Any]]:
    """Return the lesion masks that are missing, damaged, empty or of another size than their image."""
    found = []
    for table in tables:
        rows = [row for row in range(len(table.frame)) if has_mask(table, row)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            reasons = list(pool.map(partial(mask_problem, table), rows))
        for row, reason in zip(rows, reasons, strict=True):
            if reason:
                image = table.frame.select("image_id", "path").row(row, named=True)
                found.append({"folder": _name(table)} | image | {"reason": reason})
    return found


def _lesion(name: str, odds: float) -> dict[str, Any]:
    folder, lesion = name.split("\0", 1)
    return {"folder": folder, "lesion_id": lesion, "log_odds": round(odds, 2)}


def _counts(frame: pl.DataFrame, column: str) -> list[dict[str, Any]]:
    """Return lesions and images by folder, split and value, the unknown ones under null."""
    grouped = frame.group_by("folder", "split", pl.col(column).alias("value"))
    counted = grouped.agg(lesions=pl.col("lesion_id").n_unique(), images=pl.len())
    return counted.sort("folder", "split", "value").to_dicts()


def _ages(frame: pl.DataFrame) -> dict[str, Any]:
    """Return how many ages are known, and their quartiles in years."""
    ages = frame["age"].drop_nulls()
    quartiles = [ages.quantile(q) for q in (0, 0.25, 0.5, 0.75, 1)]
    return {"known": len(ages), "unknown": len(frame) - len(ages), "quartiles": quartiles}


def folder_of(content: dict[str, Any]) -> Path:
    """Return the folder in which the audit's files belong: `check/` of the first case folder."""
    return Path(content["folders"][0]) / "check"
