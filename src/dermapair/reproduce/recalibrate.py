"""Calibration, operating points and conformal sets of a trained run, fitted again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from dermapair.config import PredictSettings, load_recipe
from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Lesions, select_lesions
from dermapair.data.store import open_pixels
from dermapair.data.targets import targets_of
from dermapair.errors import LeakError
from dermapair.evaluation.learned import lesions_of
from dermapair.inference.predictor import Predictor, load
from dermapair.inference.scores import Scores, concatenate
from dermapair.report import write_report
from dermapair.reproduce.finish import store_outside, with_decisions, write_results
from dermapair.training.outside import with_gaussians


def recalibrate(
    run: Path,
    table: CaseTable,
    *,
    how: PredictSettings | None = None,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Fit the decisions of a run again on its validation part, and judge its test part with them.

    What tells unknown pictures is fitted on its training part, with thresholds from validation.

    For a run that was trained before decisions were stored, or with another method. Weights, recipe and
    journal stay; `model.json`, `predictions.parquet`, `results.json` and the report are written again.

    Args:
        run: its folder.
        table: the case folder that it was trained on, with the same split.
        how: method and coverage; None: those of its recipe.
        device: as for `load`.
        progress: called with lesions done and lesions in all.

    Returns:
        The new content of `results.json`.

    Raises:
        RunError: the run is unfinished or damaged.
        LeakError: the parts are not those that the run has held out.
    """
    own = lesions_of(run)
    splits = [split for split in ("train", "val", "test") if (own["split"] == split).any()]
    _refuse_others(run, table, {split: own.filter(pl.col("split") == split) for split in splits})
    predictor = load(run, device=device)
    task, recipe = predictor.facts.as_task(), load_recipe(run / "recipe.toml")
    how = how or recipe.predict
    views = predictor.scorer.network.views
    parts = {split: select_lesions(table, task, split=split, views=views) for split in splits}
    predictor = _judging(predictor, table, parts.pop("train"), allowed=how.outside, seed=recipe.seed)
    raw: dict[str, Scores] = {}
    done, total = 0, sum(len(lesions) for lesions in parts.values())
    for split, lesions in parts.items():
        found = []
        for scores in predictor.score(table, lesions):
            found.append(scores)
            done += len(scores.ids)
            progress(done, total)
        raw[split] = concatenate(found)
    targets = targets_of(recipe.task, task, table)
    facts = with_decisions(predictor.facts, raw["val"], parts["val"], targets, how)
    whole = (predictor.stage_one or predictor).scorer
    facts = store_outside(run, whole, raw["val"], facts, allowed=how.outside)
    write_whole(run / "model.json", facts.model_dump_json(indent=2) + "\n")
    results = write_results(raw, parts, facts, table, run)
    write_report(run)
    return results


def _judging(
    predictor: Predictor, table: CaseTable, train: Lesions, *, allowed: float, seed: int
) -> Predictor:
    """Return a predictor whose network that sees the whole image says how unlike training a lesion is."""
    whole = predictor.stage_one or predictor
    scorer = replace(whole.scorer, outside=None)
    if allowed:
        scorer = with_gaussians(scorer, train, open_pixels(table, scorer.data), seed=seed)
    whole = replace(whole, scorer=scorer)
    return replace(predictor, stage_one=whole) if predictor.stage_one else whole


def _refuse_others(run: Path, table: CaseTable, parts: Mapping[str, pl.DataFrame]) -> None:
    """Refuse a case folder whose parts are not the run's own: decisions need lesions that it has held out."""
    for split, own in parts.items():
        ours = set(table.frame.filter(pl.col("split") == split)["lesion_id"])
        other = ours.symmetric_difference(own["lesion_id"])
        if other:
            raise LeakError(
                f"{run}: expected the case folder that it was trained on, got one whose part {split} differs "
                f"in {len(other)} lesions, {min(other)!r} among them; take the folder with the same split"
            )
