"""The parts held against experts' masks: on the masks' own images, each cut by a run that has not seen it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl

from dermapair.config.files import write_whole
from dermapair.data.boxes import BOX_COLUMNS, boxes_by_row
from dermapair.data.cases import CaseTable
from dermapair.evaluation.cuts import measure_cuts
from dermapair.inference.boxes import find_boxes
from dermapair.inference.predictor import load
from dermapair.reproduce.boxes import run_name
from dermapair.reproduce.jia2017.run import Trainer

PREFIX = "masks"


def measure_masks(trainer: Trainer, table: CaseTable) -> dict[str, Any]:
    """Train a cross-validation on the masks' images and measure the part of each image by the run new to it.

    Args:
        trainer: where and by which recipe.
        table: images with masks; their official parts are given up.

    Returns:
        As `measure_cuts`, of each image also `fold`, `box` and the class that stage one `predicted`, and
        `crop`, the settings. Kept in `masks.json` and taken from there while runs and settings are the same.
    """
    folds = trainer.folds(PREFIX, table, split=None)
    crop = trainer.base.crop.model_dump() | {"runs": [run_name(run) for run, _ in folds]}
    path = trainer.out / "masks.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["crop"] == crop:
            return kept
    rows: list[dict[str, Any]] = []
    for k, (run, part) in enumerate(folds):
        trainer.say(f"cutting fold {k} of {PREFIX}")
        held_out = np.flatnonzero((part.frame["split"] == "test").to_numpy()).tolist()
        found = find_boxes(load(run), part, trainer.base.crop, rows=held_out)
        rows += [row | {"fold": k} for row in found.rows]
        trainer.errors.update(found.errors)
    schema = {name: BOX_COLUMNS[name] for name in rows[0]}
    frame = pl.DataFrame(rows, schema=schema)
    measured = measure_cuts(folds[0][1], boxes_by_row(frame, folds[0][1])) | {"crop": crop}
    of = {row["image_id"]: row for row in rows}
    for each in measured["images"]:
        row = of[each["image_id"]]
        each |= {"fold": row["fold"], "predicted": row["class"]}
        each["box"] = [row[key] for key in ("x0", "y0", "x1", "y1")]
    write_whole(path, json.dumps(measured, indent=1, allow_nan=False) + "\n")
    return measured
