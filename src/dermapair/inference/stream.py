"""Predictions of any number of lesions, and what is decided from them, to CSV files in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import polars as pl

from dermapair.data.cases import CaseTable
from dermapair.inference.model import ModelFacts
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import Scores, scores_frame


def write_predictions(
    predictor: Predictor,
    table: CaseTable,
    out: Path,
    *,
    split: str | None = None,
    swap_views: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write `lesion_id, readout` and one probability per class, in class order; beside it the decisions.

    The second file, `<name>.decisions.csv`, is written where the run has something to say there
    (`decisions_frame`). Files are written beside their place and moved there when they are whole.

    Returns:
        `predictions` and `decisions`, the files (the second None where there is none), `lesions` predicted,
        `lost` (ids of lesions that were not), those of them `without_view` (they have no image of a view that
        the network takes; of the others no image could be read), `errors` (lesion id and reason of every
        image that could not), `flagged` (by view, lesions unlike training's; empty: unknown) and
        `outside_allowed` (the share that is expected to be).
    """
    seen = predictor.lesions(table, split=split).ids
    total = len(seen)
    predicted = 0
    errors: list[tuple[str, str]] = []
    lost: list[str] = []
    flagged: dict[str, int] = {}
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f"{out.stem}.decisions.csv") if decides(predictor.facts) else None
    with ExitStack() as stack:
        files = {path: stack.enter_context(_whole(path)) for path in (out, beside) if path}
        for scores in predictor.predict_cases(table, split=split, swap_views=swap_views):
            header = not predicted and not lost
            scores_frame(scores).write_csv(files[out], include_header=header)
            if beside:
                decisions_frame(scores, predictor).write_csv(files[beside], include_header=header)
            absent = np.isnan(scores.probabilities["both"][:, 0])
            lost += [lesion for lesion, gone in zip(scores.ids, absent, strict=True) if gone]
            errors += list(scores.errors)
            predicted += int((~absent).sum())
            for view, judged in predictor.outside(scores).items():
                flagged[view] = flagged.get(view, 0) + int(judged.flagged.sum())
            progress(predicted + len(lost), total)
    without_view = _others(table, split, seen)
    return {
        "predictions": str(out),
        "decisions": str(beside) if beside else None,
        "lesions": predicted,
        "lost": lost + without_view,
        "without_view": without_view,
        "errors": errors,
        "flagged": flagged,
        "outside_allowed": predictor.facts.outside.allowed if predictor.facts.outside else None,
    }


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """Open a file for text that gets its own name when everything went well, and is gone otherwise."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def decides(facts: ModelFacts) -> bool:
    """Tell whether a run has anything stored that `decisions_frame` can say."""
    return bool(facts.operating_points or facts.conformal or facts.outside)


def decisions_frame(scores: Scores, predictor: Predictor) -> pl.DataFrame:
    """Return what a run decides of each lesion that it has scored, from the probabilities of `both`.

    Columns: `lesion_id`; for each target `<target>_probability`, and for each of its operating points a
    column of its name, true where the probability is above the threshold; `set`, the classes that are not
    ruled out, the most probable first and with | between, and `set_size`; for each view `<view>_outside`, the
    share of validation's lesions that were at least as unlike training's, and `<view>_flagged`, both null
    where the lesion lacks the view.
    """
    facts, p = predictor.facts, scores.probabilities["both"]
    rows = np.flatnonzero(~np.isnan(p[:, 0]))
    p = p[rows]
    columns: dict[str, Any] = {"lesion_id": [scores.ids[i] for i in rows.tolist()]}
    for point in facts.operating_points:
        columns[f"{point.target}_probability"] = point.probability(p, facts.classes)
        columns[point.name] = point.decide(p, facts.classes)
    if facts.conformal:
        inside, order = facts.conformal.contains(p), np.argsort(-p, axis=1, kind="stable")
        columns["set"] = [
            "|".join(facts.classes[k] for k in ranked if row[k])
            for ranked, row in zip(order, inside, strict=True)
        ]
        columns["set_size"] = inside.sum(axis=1)
    for view, judged in predictor.outside(scores).items():
        there = ~np.isnan(judged.score[rows])
        columns[f"{view}_outside"] = pl.Series(judged.p_value[rows]).fill_nan(None)
        columns[f"{view}_flagged"] = pl.Series(judged.flagged[rows]).set(pl.Series(~there), None)
    return pl.DataFrame(columns, schema_overrides={"lesion_id": pl.String})


def _others(table: CaseTable, split: str | None, seen: Sequence[str]) -> list[str]:
    """Return the ids of a split's lesions that are not among those seen, in the order of the table."""
    frame = table.frame if split is None else table.frame.filter(pl.col("split") == split)
    known = set(seen)
    return [name for name in frame["lesion_id"].unique(maintain_order=True) if name not in known]
