"""What follows a training: decisions are fitted on validation, then every held-out part is judged.

The same for a run that was just trained and for one that is calibrated again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.config import PredictSettings
from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Lesions
from dermapair.data.task import UNKNOWN
from dermapair.evaluation import evaluate_stages, judge, truth_of
from dermapair.evaluation.calibration import evaluate_calibration
from dermapair.evaluation.evaluate import ByReadout
from dermapair.evaluation.outside import evaluate_outside
from dermapair.inference.decisions import calibrated
from dermapair.inference.forward import Scorer
from dermapair.inference.model import ModelFacts
from dermapair.inference.ood import OUTSIDE_FILE, save_outside
from dermapair.inference.scores import Scores, scores_frame
from dermapair.training.fit import fit_calibration, fit_conformal, fit_points
from dermapair.training.outside import fit_rule

STAGES_FILE = "stages.parquet"
"""File of a run of two stages: what each stage, and the mean of both, say of validation and test."""


def with_decisions(
    facts: ModelFacts,
    scores: Scores,
    lesions: Lesions,
    targets: Mapping[str, Sequence[str]],
    how: PredictSettings,
) -> ModelFacts:
    """Return the facts with calibration, operating points and conformal sets; `outside` stays as it is.

    Args:
        facts: of the model.
        scores: what its networks say of validation.
        lesions: of validation; those without a diagnosis, or whose images could not be read, are left out.
        targets: target -> its classes.
        how: the recipe's `predict` section.
    """
    known = lesions.labels != UNKNOWN
    facts = facts.model_copy(
        update={
            "targets": {name: tuple(members) for name, members in targets.items()},
            "calibration": fit_calibration(scores, lesions.labels, method=how.calibrate, lesions=known),
        }
    )
    p = calibrated(scores, facts.calibration).probabilities["both"]
    rows = known & ~np.isnan(p[:, 0])
    p, labels = p[rows], lesions.labels[rows]
    return facts.model_copy(
        update={
            "operating_points": fit_points(p, labels, facts.classes, targets, groups=lesions.groups[rows]),
            "conformal": fit_conformal(p, labels, coverage=how.coverage),
        }
    )


def store_outside(
    run: Path, scorer: Scorer, validation: Scores, facts: ModelFacts, *, allowed: float
) -> ModelFacts:
    """Write what judges whether lesions are unlike training's, and return the facts with its thresholds.

    Args:
        run: its folder.
        scorer: with Gaussians (`training.outside`); without, the file is taken away.
        validation: what that scorer says of validation.
        facts: of the model.
        allowed: `predict.outside`.
    """
    fitted = fit_rule(scorer.outside, validation.outside, allowed=allowed) if scorer.outside else None
    if fitted is None:
        (run / OUTSIDE_FILE).unlink(missing_ok=True)
        return facts.model_copy(update={"outside": None})
    save_outside(run, fitted[0])
    return facts.model_copy(update={"outside": fitted[1]})


def write_results(
    raw: Mapping[str, Scores], parts: Mapping[str, Lesions], facts: ModelFacts, table: CaseTable, out: Path
) -> dict[str, Any]:
    """Write `predictions.parquet` (of all parts given), `stages.parquet` and `results.json`; return the last.

    Args:
        raw: by split, what the networks say.
        parts: by split, the same lesions.
        facts: of the model, with what was fitted.
        table: the cases.
        out: the run folder.
    """
    frames, stages, results = [], [], {}
    for split, own in raw.items():
        lesions, scores = parts[split], calibrated(own, facts.calibration)
        frames.append(_with_truth(scores_frame(scores), lesions, facts.classes, split))
        stages += [
            _with_truth(scores_frame(scores, stage=stage), lesions, facts.classes, split, stage=stage)
            for stage in scores.stages
        ]
        if (lesions.labels != UNKNOWN).any() and present(scores.probabilities, scores.ids):
            results[split] = _judged(own, scores, facts, table, split)
    pl.concat(frames).write_parquet(out / "predictions.parquet")
    if stages:
        pl.concat(stages).write_parquet(out / STAGES_FILE)
    chosen = results.get("test", results["val"])
    write_whole(out / "results.json", json_text(chosen))
    return chosen


def _judged(own: Scores, scores: Scores, facts: ModelFacts, table: CaseTable, split: str) -> dict[str, Any]:
    """Return the results of one part."""
    truth = truth_of(table, facts.as_task(), split=split)
    before, after = (present(each.probabilities, each.ids) for each in (own, scores))
    stages = {stage: present(p, scores.ids) for stage, p in scores.stages.items()}
    return (
        judge(after, truth, table, facts)
        | {"outside": evaluate_outside(own, truth.groups, facts.outside)}
        | {"calibration": evaluate_calibration(before, after, truth, facts.calibration)}
        | {"errors": list(scores.errors)}
        | ({"stages": evaluate_stages(stages, truth)} if stages else {})
    )


def present(probabilities: Mapping[str, Any], names: Sequence[str]) -> ByReadout:
    """Return by readout the lesions that have it, and their probabilities."""
    result = {}
    for readout, p in probabilities.items():
        rows = np.flatnonzero(~np.isnan(p[:, 0]))
        if len(rows):
            result[readout] = ([names[i] for i in rows.tolist()], p[rows])
    return result


def _with_truth(
    scores: pl.DataFrame, lesions: Lesions, classes: tuple[str, ...], split: str, *, stage: str = ""
) -> pl.DataFrame:
    """Return predictions with `stage`, `split` and `truth` (null where unknown) among the columns."""
    names = [classes[label] if label != UNKNOWN else None for label in lesions.labels]
    truth = pl.DataFrame({"lesion_id": lesions.ids, "truth": pl.Series(names, dtype=pl.String)})
    frame = scores.join(truth, on="lesion_id", how="left", maintain_order="left")
    of = [pl.lit(stage).alias("stage")] if stage else []
    return frame.select("lesion_id", *of, "readout", pl.lit(split).alias("split"), "truth", *classes)


def json_text(content: Mapping[str, Any]) -> str:
    """Return JSON as the files of a run hold it."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
