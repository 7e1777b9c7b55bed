"""The demonstration: draw phantom lesions, train Triple-Net on them, compare it with the Bayes accuracy.

Needs no data, no weights and no network access.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dermapair.config import load_recipe
from dermapair.data.adapters.phantom import draw
from dermapair.data.cases import CaseTable, write_cases
from dermapair.data.split import split_cases
from dermapair.data.store import prepare
from dermapair.errors import RunError
from dermapair.reproduce.experiment import run_experiment
from dermapair.training.loop import OnStep, Report

LESIONS = 1500
SIZE_PX = 128


def run_demo(
    out: Path,
    *,
    say: Callable[[str], None],
    report: Report = lambda line: None,
    on_step: OnStep = lambda epoch, done, steps: None,
    lesions: int = LESIONS,
) -> dict[str, Any]:
    """Draw, split, prepare, train, evaluate and report.

    Args:
        out: folder; gets `cases` and `run`.
        say: called with a line for each step.
        report: called with each line of the journal.
        on_step: called after each step.
        lesions: how many to draw.

    Returns:
        `results`, `bayes_accuracy` by readout, `report` and `seconds`.

    Raises:
        RunError: `out` holds a demonstration already.
    """
    if (out / "run").exists():
        raise RunError(f"{out}: holds a demonstration already; delete it or choose another --out")
    began = time.time()
    say(f"drawing {lesions} phantom lesions, each with a clinical and a dermoscopic picture")
    table = _cases(out / "cases", lesions)
    recipe = load_recipe("demo")
    prepare(table, recipe.data)
    say(f"training {recipe.network.kind} on {recipe.network.backbone} from random weights")
    results = run_experiment(recipe, table, out / "run", report=report, on_step=on_step)
    return {
        "results": results,
        "bayes_accuracy": table.manifest["bayes_accuracy"],
        "report": str(out / "run" / "report.html"),
        "seconds": round(time.time() - began, 1),
    }


def _cases(folder: Path, lesions: int) -> CaseTable:
    """Draw and split."""
    table = write_cases(draw(folder, lesions=lesions, seed=0, size_px=SIZE_PX), folder)
    return write_cases(split_cases(table, val=0.15, test=0.15, seed=0), folder)
