"""What a run says of every lesion of a part, from its own predictions or by predicting a case folder.

Nothing is left out in silence: a lesion without a prediction, or an image that cannot be read, is an error.

Letters: N lesions, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.data.cases import CaseTable, read_cases
from dermapair.errors import DermapairError, LeakError, RunError, TableError, UsageError
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import Array
from dermapair.metrics.isic import f1_thresholds

READOUT = "both"
LESION_IS_IMAGE = ("isic2017", "isic2017-masks")
"""Adapters whose lesions have one image each, and its name."""
NAMED = 20  # lesions or images that an error names; of more it says how many


@dataclass(frozen=True)
class Part:
    """N lesions with what a run's readout `both` says of them.

    Attributes:
        ids: N lesion ids.
        rows: N names for a table: the lesion ids again, or those of their images.
        probabilities: (N, K), in the run's class order.
    """

    ids: tuple[str, ...]
    rows: tuple[str, ...]
    probabilities: Array


def lesions_of(run: Path, table: CaseTable | None, *, split: str) -> tuple[str, ...]:
    """Return the lesions of a part of a case table ("" is all of it), else of the run's own case folder."""
    if table is None:
        frame = _read_parquet(run / "lesions.parquet", ["lesion_id", "split"])
        frame = frame.filter(pl.col("split") == split)
    else:
        frame = _rows_of(table, split)
    return tuple(frame["lesion_id"].unique(maintain_order=True))


def _rows_of(table: CaseTable, split: str) -> pl.DataFrame:
    return table.frame.filter(pl.col("split") == split) if split else table.frame


def own_part(run: Path, classes: Sequence[str], *, split: str, by_image: bool) -> Part:
    """Return what a finished run predicted of a part of its own case folder.

    Args:
        run: its folder.
        classes: K names.
        split: which part.
        by_image: rows are named by image, so that every lesion must have one.

    Raises:
        UsageError: another split than those predicted, lesions of several images, or no names for them.
        RunError: a file is missing or damaged.
        DermapairError: a lesion has no prediction, or an image could not be read.
    """
    data = _read_json(run / "manifest.json").get("data") or {}
    frame = _predictions(run, classes)
    there = frame["split"].unique().sort().to_list()
    if split not in there:
        raise UsageError(
            f"{run}: expected predictions of the split {split!r}, got those of {', '.join(there)}; name one "
            f"with --split, or predict a case folder with --data"
        )
    results = _read_json(run / "results.json")
    if results.get("split") == split:
        _refuse_unreadable(results.get("errors", ()))
    part = frame.filter(pl.col("split") == split)
    ids, wanted = tuple(part["lesion_id"]), lesions_of(run, None, split=split)
    _refuse_absent(wanted, ids)
    if set(ids) - set(wanted):
        raise RunError(
            f"{run}: expected predictions of lesions that its lesions.parquet has in {split!r}, got others "
            f"({some(set(ids) - set(wanted))}); copy the whole run folder, or train again"
        )
    named = by_image and data.get("adapter") not in LESION_IS_IMAGE
    rows = _images_of_run(run, str(data.get("cases")), ids, split=split) if named else ids
    return Part(ids, rows, part.select(classes).to_numpy())


def _images_of_run(run: Path, cases: str, ids: Sequence[str], *, split: str) -> tuple[str, ...]:
    """Return the one image of each lesion in the case folder that a run was trained on."""
    try:
        names = _images(_rows_of(read_cases(cases), split), where=cases)
        return tuple(names[lesion] for lesion in ids)
    except (TableError, OSError, KeyError) as error:
        raise UsageError(
            f"{run}: expected the case folder that it was trained on, for the names of images, got {cases} "
            f"({error}); name it with --data"
        ) from error


def predicted_part(
    predictor: Predictor,
    table: CaseTable,
    *,
    split: str,
    by_image: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Part:
    """Return what a run says of a part of a case table; arguments as `own_part`, "" is all of the table.

    Raises:
        UsageError: there is no such lesion, or lesions have several images where a row is an image.
        DermapairError: a lesion has no image that the run takes, or an image cannot be read.
    """
    rows = _rows_of(table, split)
    names = _images(rows, where=str(table.folder or table.root)) if by_image else {}
    seen = predictor.lesions(table, split=split or None).ids
    _refuse_absent(rows["lesion_id"], seen)
    found: list[tuple[tuple[str, ...], Array]] = []
    errors: list[tuple[str, str]] = []
    for scores in predictor.predict_cases(table, split=split or None):
        found.append((scores.ids, scores.probabilities[READOUT]))
        errors += scores.errors
        progress(sum(len(ids) for ids, _ in found), len(seen))
    _refuse_unreadable(errors)
    ids = tuple(lesion for ids, _ in found for lesion in ids)
    return Part(ids, tuple(names.get(i, i) for i in ids), np.concatenate([p for _, p in found]))


def _images(frame: pl.DataFrame, *, where: str) -> dict[str, str]:
    """Return lesion -> its one image."""
    images = frame.group_by("lesion_id", maintain_order=True).agg("image_id")
    several = images.filter(pl.col("image_id").list.len() > 1)
    if len(several):
        lesion, names = several.row(0)
        raise UsageError(
            f"{where}: expected lesions of one image each, as each row is an image, got lesion {lesion!r} "
            f"with {', '.join(names)}; keep one image of each"
        )
    return {lesion: names[0] for lesion, names in images.iter_rows()}


def fit_on_validation(run: Path, classes: Sequence[str], *, scored: Iterable[str]) -> tuple[Array, int]:
    """Return class thresholds (K,) fitted on a run's own validation lesions, and how many those are.

    Raises:
        RunError: the run has no such predictions.
        LeakError: a lesion of `scored`, which the thresholds will decide, is one of them.
    """
    frame = _predictions(run, classes)
    part = frame.filter(pl.col("split") == "val", pl.col("truth").is_not_null())
    if part.is_empty():
        raise RunError(
            f"{run}: expected predictions of validation lesions with a truth, got none; train again"
        )
    both = set(part["lesion_id"]) & set(scored)
    if both:
        raise LeakError(
            f"{run}: expected other lesions than those of its validation part, on which thresholds are "
            f"fitted, got {len(both)} of them ({some(both)}); name another --split"
        )
    labels = [classes.index(name) for name in part["truth"]]
    return f1_thresholds(labels, part.select(classes).to_numpy()), len(part)


def untrained_classes(run: Path) -> tuple[str, ...]:
    """Return the classes of a run's task of which it had no training lesion, by its manifest."""
    counts = (_read_json(run / "manifest.json").get("data") or {}).get("train_classes") or {}
    return tuple(name for name, n in counts.items() if n == 0)


def some(names: Iterable[str]) -> str:
    """Return names with commas, for messages; of many the first ones and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else ""
    return (", ".join(ordered[:NAMED]) or "none") + more


def _refuse_absent(wanted: Iterable[str], found: Iterable[str]) -> None:
    absent = set(wanted) - set(found)
    if absent:
        raise DermapairError(
            f"expected a prediction of every lesion, got none of {len(absent)} ({some(absent)}); the file "
            f"would be incomplete: give --data, with an image of a view that the run takes for each"
        )


def _refuse_unreadable(errors: Sequence[Sequence[str]]) -> None:
    if errors:
        named = some(f"{lesion}: {reason}" for lesion, reason in errors)
        raise DermapairError(
            f"expected images that can be read, got {len(errors)} that cannot ({named}); the file would be "
            f"incomplete: mend or replace them"
        )


def _predictions(run: Path, classes: Sequence[str]) -> pl.DataFrame:
    """Return what a run's `both` said when it was trained: `lesion_id, split, truth` and the classes."""
    columns = ["lesion_id", "readout", "split", "truth", *classes]
    return _read_parquet(run / "predictions.parquet", columns).filter(pl.col("readout") == READOUT)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unfinished(path, error) from error
    return content


def _read_parquet(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=list(columns))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unfinished(path, error) from error


def _unfinished(path: Path, error: Exception) -> RunError:
    why = str(error).partition("\n")[0]
    return RunError(f"{path}: expected this file of a finished run ({why}); train it to the end")
