"""Predictions of any number of lesions to a CSV, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.data.cases import CaseTable
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import scores_frame


def write_predictions(
    predictor: Predictor,
    table: CaseTable,
    out: Path,
    *,
    split: str | None = None,
    swap_views: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write `lesion_id, readout` and one probability per class, in class order.

    The file is written beside its place and moved there when it is whole.

    Returns:
        `lesions` predicted, `lost` (ids of lesions that were not), those of them `without_view` (they have no
        image of a view that the network takes; of the others no image could be read) and `errors` (lesion id
        and reason of every image that could not).
    """
    seen = predictor.lesions(table, split=split).ids
    total = len(seen)
    predicted, errors, lost = 0, [], []
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            header = True
            for scores in predictor.predict_cases(table, split=split, swap_views=swap_views):
                scores_frame(scores).write_csv(file, include_header=header)
                header = False
                absent = np.isnan(scores.probabilities["both"][:, 0])
                lost += [lesion for lesion, gone in zip(scores.ids, absent, strict=True) if gone]
                errors += list(scores.errors)
                predicted += int((~absent).sum())
                progress(predicted + len(lost), total)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    without_view = _others(table, split, seen)
    return {
        "predictions": str(out),
        "lesions": predicted,
        "lost": lost + without_view,
        "without_view": without_view,
        "errors": errors,
    }


def _others(table: CaseTable, split: str | None, seen: Sequence[str]) -> list[str]:
    """Return the ids of a split's lesions that are not among those seen, in the order of the table."""
    frame = table.frame if split is None else table.frame.filter(pl.col("split") == split)
    known = set(seen)
    return [name for name in frame["lesion_id"].unique(maintain_order=True) if name not in known]
