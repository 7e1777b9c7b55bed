"""Predictions of any number of lesions to a CSV, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dermapair.data.cases import CaseTable
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import scores_frame


def write_predictions(
    predictor: Predictor,
    table: CaseTable,
    out: Path,
    *,
    split: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write `lesion_id, readout` and one probability per class, in class order.

    The file is written beside its place and moved there when it is whole.

    Returns:
        `lesions` predicted, `lost` (ids of lesions of which no image could be read) and `errors` (lesion id
        and reason of every image that could not).
    """
    total = len(predictor.lesions(table, split=split))
    predicted, errors, lost = 0, [], []
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        header = True
        for scores in predictor.predict_cases(table, split=split):
            scores_frame(scores).write_csv(file, include_header=header)
            header = False
            absent = np.isnan(scores.probabilities["both"][:, 0])
            lost += [lesion for lesion, gone in zip(scores.ids, absent, strict=True) if gone]
            errors += list(scores.errors)
            predicted += int((~absent).sum())
            progress(predicted + len(lost), total)
    temporary.replace(out)
    return {"predictions": str(out), "lesions": predicted, "lost": lost, "errors": errors}
