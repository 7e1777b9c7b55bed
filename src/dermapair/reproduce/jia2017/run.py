"""Trains what is planned, run by run; what is done stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from dermapair.config import CropSettings, Recipe
from dermapair.data.boxes import check_rule, read_box_frame
from dermapair.data.cases import CaseTable, write_cases
from dermapair.data.duplicates import near_duplicates
from dermapair.data.split import Fold, split_cases
from dermapair.data.store import prepare, unreadable
from dermapair.errors import TableError
from dermapair.reproduce.boxes import make_boxes, run_name
from dermapair.reproduce.experiment import run_experiment
from dermapair.reproduce.finished import check_finished
from dermapair.reproduce.jia2017.plan import FOLDS, Plan, Second, recipe_of
from dermapair.training.loop import OnStep, Report

VAL = 0.05
"""Share of a fold's training part on which its epochs are only watched."""


@dataclass(frozen=True)
class Trainer:
    """Trains into one folder.

    Attributes:
        base: recipe of all trainings.
        out: gets `runs/<name>`, `boxes/<name>.parquet` and `folds/`.
        say: called with a line for each training.
        report, on_step: as for `run_experiment`.
        errors: image id -> why it could not be read, filled on the way.
    """

    base: Recipe
    out: Path
    say: Callable[[str], None]
    report: Report
    on_step: OnStep
    errors: dict[str, str]

    def run(self, name: str) -> Path:
        """Return the folder of a run."""
        return self.out / "runs" / name

    def all(self, plan: Plan, table: CaseTable) -> None:
        """Train all that is planned on the official parts.

        Raises:
            RunError: a folder holds a run with other settings or data.
        """
        for first in plan.firsts:
            self.train(first.name, recipe_of(self.base, first.name, first.keys), table)
        folds = [run for run, _ in self.folds("fold", table)] if plan.cross_fitted else []
        for second in plan.seconds:
            self.second(second, table, folds if second.cross_fitted else [])

    def train(self, name: str, recipe: Recipe, table: CaseTable) -> Path:
        """Train one run that has not finished, on prepared pixels; a half-made one goes on."""
        run = self.run(name)
        if (run / "manifest.json").is_file():
            check_finished(run, recipe, table)
            self.errors.update(json.loads((run / "manifest.json").read_text())["data"]["unreadable_images"])
            return run
        self.say(f"training {name}")
        store = prepare(table, recipe.data)
        self.errors.update(unreadable(store))
        run_experiment(recipe, table, run, resume=True, report=self.report, on_step=self.on_step)
        if recipe.data.boxes:  # the parts of one training are of no use to another, and there may be many
            shutil.rmtree(store.folder)
        return run

    def second(self, second: Second, table: CaseTable, folds: list[Path]) -> Path:
        """Cut by the maps of a stage one, and train on the parts."""
        run, boxes = (
            self.run(second.first).resolve(),
            (self.out / "boxes" / f"{second.name}.parquet").resolve(),
        )
        crop = recipe_of(self.base, second.name, second.keys).crop
        if not _current(boxes, [run, *folds], crop):
            self.say(f"cutting by the maps of {second.first}" + (" and of the folds" if folds else ""))
            found = make_boxes(run, table, boxes, settings=crop, folds=folds)
            self.errors.update(found["errors"])
        stages = {"crop.run": str(run), "data.boxes": str(boxes)}
        return self.train(second.name, recipe_of(self.base, second.name, second.keys, stages), table)

    def folds(
        self, prefix: str, table: CaseTable, *, split: str | None = "train"
    ) -> list[tuple[Path, CaseTable]]:
        """Train a cross-validation on one part of a table, None: on all of it; return runs and their tables.

        Near duplicates are kept together. Each run's test part is its fold. The tables share one folder, and
        so its prepared pixels.
        """
        frame = table.frame if split is None else table.frame.filter(pl.col("split") == split)
        frame = frame.with_columns(split=pl.lit(None, dtype=pl.String))
        part = write_cases(replace(table, frame=frame, folder=None), self.out / "folds" / prefix)
        pairs = near_duplicates(part).pairs
        tables = [
            split_cases(part, val=VAL, test=0.0, seed=0, force=True, duplicates=pairs, fold=Fold(k, FOLDS))
            for k in range(FOLDS)
        ]
        return [
            (self.train(f"{prefix}-{k}", recipe_of(self.base, f"{prefix} {k}"), each), each)
            for k, each in enumerate(tables)
        ]


def _current(boxes: Path, runs: list[Path], crop: CropSettings) -> bool:
    """Return whether a file of boxes is there, cut by these runs with these settings."""
    if not boxes.is_file():
        return False
    try:
        check_rule(boxes, crop)
    except TableError:
        return False
    return set(read_box_frame(boxes)["run"]) <= {run_name(run) for run in runs}
