"""From the predictions of all runs to `reproduce.json`: Table 1, gains, ablations, loss curves.

Letters: N lesions of a part, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.config import TaskSettings
from dermapair.data.boxes import read_box_frame
from dermapair.data.cases import CaseTable
from dermapair.data.task import UNKNOWN, build_task
from dermapair.evaluation import evaluate, paired_difference, truth_of
from dermapair.evaluation.evaluate import Truth
from dermapair.inference.scores import Array
from dermapair.reproduce.finish import STAGES_FILE
from dermapair.reproduce.jia2017 import plan
from dermapair.reproduce.jia2017.plan import Plan
from dermapair.training.checkpoint import read_lines
from dermapair.types import STAGES

PARTS = ("test", "val")
"""Test first, validation second."""
Rows = tuple[list[str], Array]
"""Lesion ids and their (n, K) probabilities."""


def read_stages(run: Path, part: str) -> dict[str, Rows]:
    """Return by stage what a run of two stages says of a part: its readout `both`."""
    frame = pl.read_parquet(run / STAGES_FILE).filter(split=part, readout="both")
    classes = [
        name for name in frame.columns if name not in ("lesion_id", "stage", "readout", "split", "truth")
    ]
    found = {stage: frame.filter(stage=stage) for stage in STAGES}
    return {
        stage: (rows["lesion_id"].to_list(), rows.select(classes).to_numpy()) for stage, rows in found.items()
    }


def collect(
    done: Plan, runs: Path, table: CaseTable, task: TaskSettings, *, square_px: int
) -> dict[str, Any]:
    """Return the tables of `reproduce.json`, of each official part that has a truth.

    Args:
        done: what was trained.
        runs: folder of the run folders.
        table: the cases.
        task: the recipe's section.
        square_px: side of the prepared square, to which a part is resized.
    """
    splits = set(table.frame.filter(pl.col("diagnosis").is_not_null())["split"])
    built = build_task(task, table.diagnoses)
    truths = {part: truth_of(table, built, split=part) for part in PARTS if part in splits}
    found = {s.name: {part: read_stages(runs / s.name, part) for part in truths} for s in done.seconds}
    return {
        "classes": list(built.classes),
        "parts": {part: _counts(truth, found[plan.SECOND][part]["stage2"]) for part, truth in truths.items()},
        "table_1": [row for part, truth in truths.items() for row in _table(found, part, truth)],
        "gains": [row for part, truth in truths.items() for row in _gains(found, part, truth)],
        "ablations": [row for part, truth in truths.items() for row in _ablations(done, found, part, truth)],
        "operating_points": {part: _points(found, part, truth) for part, truth in truths.items()},
        "cut_parts": _parts(runs.parent / "boxes", square_px=square_px),
    }


def _counts(truth: Truth, rows: Rows) -> dict[str, int]:
    """Return how many scored lesions each class has."""
    labels = [truth.labels.get(lesion, UNKNOWN) for lesion in rows[0]]
    return {name: labels.count(k) for k, name in enumerate(truth.task.classes)}


def _figures(rows: Rows, truth: Truth) -> dict[str, Any]:
    """Return all figures of the challenge for some predictions, with intervals."""
    found: dict[str, Any] = evaluate({"both": rows}, truth)["readouts"]["both"]["isic2017"]
    return found


def _aucs(rows: Rows, truth: Truth) -> dict[str, Any]:
    """Return melanoma, SK and mean AUC of some predictions with intervals."""
    found = _figures(rows, truth)
    return {name: found[name] for name in plan.AUCS}


def _difference(a: Rows, b: Rows, truth: Truth) -> dict[str, Any]:
    """Return the paired differences b - a of the three AUCs."""
    found = paired_difference(a, b, truth)
    return {name: found[name] for name in plan.AUCS}


def _table(found: Mapping[str, Any], part: str, truth: Truth) -> list[dict[str, Any]]:
    """Return the rows of Table 1: each stage, their mean, and the control."""
    stages = found[plan.SECOND][part]
    rows = {**stages, plan.CONTROL: found[plan.CONTROL][part]["stage2"]}
    paper = plan.TABLE_1 if part == "val" else {"stage2": plan.TEST}
    return [
        {"part": part, "stage": name, "aucs": _aucs(each, truth), "paper": paper.get(name)}
        for name, each in rows.items()
    ]


def _gains(found: Mapping[str, Any], part: str, truth: Truth) -> list[dict[str, Any]]:
    """Return what stage 2, the mean and the control have over stage 1, and stage 2 over the control."""
    stages, control = found[plan.SECOND][part], found[plan.CONTROL][part]["stage2"]
    pairs = {
        "stage 2 over stage 1": (stages["stage1"], stages["stage2"]),
        "mean of both over stage 1": (stages["stage1"], stages["mean"]),
        "control over stage 1": (stages["stage1"], control),
        "stage 2 over the control": (control, stages["stage2"]),
    }
    return [
        {"part": part, "gain": name, "difference": _difference(a, b, truth)} for name, (a, b) in pairs.items()
    ]


def _ablations(done: Plan, found: Mapping[str, Any], part: str, truth: Truth) -> list[dict[str, Any]]:
    """Return each changed run of two stages beside the unchanged one."""
    unchanged = found[plan.SECOND][part]
    return [
        {
            "part": part,
            "change": second.change,
            "stage": stage,
            "aucs": _aucs(found[second.name][part][stage], truth),
            "difference": _difference(unchanged[stage], found[second.name][part][stage], truth),
        }
        for second in done.seconds
        if second.change
        for stage in (("stage1", "stage2") if second.first != plan.FIRST else ("stage2",))
    ]


def _points(found: Mapping[str, Any], part: str, truth: Truth) -> dict[str, dict[str, Any]]:
    """Return by stage all that the challenge listed (its Python scorer of 2017), with intervals."""
    return {stage: _figures(rows, truth) for stage, rows in found[plan.SECOND][part].items()}


def _parts(boxes: Path, *, square_px: int) -> dict[str, float]:
    """Return how much is cut away, and whether the parts have as many pixels as the square they become.

    The control's boxes are whole images, which gives the originals' sizes.
    """
    cut, whole = (read_box_frame(boxes / f"{name}.parquet") for name in (plan.SECOND, plan.CONTROL))
    both = cut.join(whole, on="image_id", suffix="_whole")
    width, height = (both[f"{axis}1"] - both[f"{axis}0"] for axis in "xy")
    area = width * height / (both["x1_whole"] * both["y1_whole"])
    sides = np.minimum(width.to_numpy(), height.to_numpy())
    smaller = area.to_numpy() < 1 - 1e-9
    return {
        "images": len(both),
        "cut": float(smaller.mean()),
        "mean_area": float(area.to_numpy().mean()),
        "enlarged": float((sides[smaller] < square_px).mean()) if smaller.any() else 0.0,
    }


def curves(runs: Path, names: Sequence[str]) -> dict[str, dict[str, list[float | None]]]:
    """Return figure 3: by run the loss in training and the log loss on validation, after each epoch."""
    result = {}
    for name in names:
        lines = read_lines(runs / name / "journal.jsonl")
        result[name] = {
            "training": [float(np.mean(list(line["loss"].values()))) for line in lines],
            "validation": [line["val"]["both"]["log_loss"] for line in lines],
        }
    return result
