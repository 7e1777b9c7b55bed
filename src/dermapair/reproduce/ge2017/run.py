"""Trains what is planned, run by run, and tests each with the views swapped; what is done stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable
from dermapair.inference.model import read_facts
from dermapair.inference.predictor import load
from dermapair.inference.stream import write_predictions
from dermapair.reproduce.experiment import run_experiment
from dermapair.reproduce.finished import check_finished
from dermapair.reproduce.ge2017.plan import Planned, maps_of, recipe_of
from dermapair.training.loop import OnStep, Report

SWAPPED = "swapped.csv"


def train_all(
    base: Recipe,
    runs: Sequence[Planned],
    table: CaseTable,
    out: Path,
    *,
    say: Callable[[str], None],
    report: Report = lambda line: None,
    on_step: OnStep = lambda epoch, done, steps: None,
) -> None:
    """Train every run that has not finished; a half-made one goes on where it stopped.

    Args:
        base: recipe of all runs.
        runs: in the order in which they need each other.
        table: with the splits train, val and test.
        out: gets `runs/<name>`.
        say: called with a line for each run.
        report: called with each line of a journal.
        on_step: called after each step.

    Raises:
        RunError: a folder holds a run with other settings or data.
    """
    for number, run in enumerate(runs, start=1):
        folder = out / "runs" / run.folder
        recipe = recipe_of(base, run, maps=str((out / "runs" / maps_of(run, runs).folder).resolve()))
        if (folder / "manifest.json").is_file():
            check_finished(folder, recipe, table)
        else:
            say(f"{number} of {len(runs)}: {run.folder}")
            run_experiment(recipe, table, folder, resume=True, report=report, on_step=on_step)
        if not (folder / SWAPPED).is_file():
            predictor = load(folder, precision=read_facts(folder).precision)  # as it was scored unswapped
            write_predictions(predictor, table, folder / SWAPPED, split="test", swap_views=True)
