"""Trains what is planned, run by run; what is done stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable, write_cases
from dermapair.data.duplicates import near_duplicates
from dermapair.data.split import Fold, split_cases
from dermapair.data.store import open_store, prepare
from dermapair.reproduce.boxes import make_boxes
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
    """

    base: Recipe
    out: Path
    say: Callable[[str], None]
    report: Report
    on_step: OnStep

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
            return run
        self.say(f"training {name}")
        passing = bool(recipe.data.boxes) and open_store(table, recipe.data) is None
        store = prepare(table, recipe.data)
        run_experiment(recipe, table, run, resume=True, report=self.report, on_step=self.on_step)
        if passing:  # the parts of one training are of no use to another, and there may be many
            shutil.rmtree(store.folder)
        return run

    def second(self, second: Second, table: CaseTable, folds: list[Path]) -> Path:
        """Cut by the maps of a stage one, and train on the parts."""
        run, boxes = (
            self.run(second.first).resolve(),
            (self.out / "boxes" / f"{second.name}.parquet").resolve(),
        )
        crop = recipe_of(self.base, second.name, second.keys).crop
        if not boxes.is_file():
            self.say(f"cutting by the maps of {second.first}" + (" and of the folds" if folds else ""))
            make_boxes(run, table, boxes, settings=crop, folds=folds)
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
        pairs = near_duplicates(part)
        tables = [
            split_cases(part, val=VAL, test=0.0, seed=0, force=True, duplicates=pairs, fold=Fold(k, FOLDS))
            for k in range(FOLDS)
        ]
        return [
            (self.train(f"{prefix}-{k}", recipe_of(self.base, f"{prefix} {k}"), each), each)
            for k, each in enumerate(tables)
        ]
