"""The HTML page of the reproduction, and the whole of it in one call."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dermapair.config import Recipe
from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.data.task import build_task
from dermapair.report.page import environment
from dermapair.reproduce.ge2017 import figure3, plan
from dermapair.reproduce.ge2017.collect import collect, read_scored
from dermapair.reproduce.ge2017.plan import Choices, grouping, planned
from dermapair.reproduce.ge2017.run import train_all
from dermapair.training.loop import OnStep, Report

SCHEMA_VERSION = 1


def reproduce(
    base: Recipe,
    table: CaseTable,
    out: Path,
    *,
    choices: Choices,
    cancers: Sequence[str] = (),
    melanoma: str = "",
    say: Callable[[str], None] = lambda line: None,
    report: Report = lambda line: None,
    on_step: OnStep = lambda epoch, done, steps: None,
) -> dict[str, Any]:
    """Train every network, then write `reproduce.json` and `reproduce.html`.

    Args:
        base: recipe that every training changes: optimiser, data, epochs, the weights that all start from.
        table: pairs with the splits train, val and test.
        out: the folder; what has finished in it is kept.
        choices: seeds, comparator, CAM network, ablations.
        cancers: classes that count as cancer; empty takes those known for the data set.
        melanoma: the class that is melanoma; likewise.
        say: called with a line for each training.
        report: called with each line of a journal.
        on_step: called after each step.

    Returns:
        The content of `reproduce.json`.

    Raises:
        UsageError: the grouping is not known.
        RunError: `out` holds trainings with other settings or data.
    """
    classes = build_task(base.task, table.diagnoses).classes
    positive, one = grouping(str(table.manifest.get("adapter")), classes, cancers, melanoma)
    runs = planned(base, choices)
    train_all(base, runs, table, out, say=say, report=report, on_step=on_step)
    scored = read_scored(runs, table, out, task=base.task)
    content = {
        "schema_version": SCHEMA_VERSION,
        "paper": "Ge et al. 2017",
        "base": base.model_dump(mode="json"),
        "seeds": list(choices.seeds),
        "comparator": choices.comparator,
        "cam_backbone": choices.cam_backbone or "googlenet cut after inception4e",
        "cancers": positive,
        "melanoma": one,
        **collect(scored, runs, cancers=positive, melanoma=one, alpha=base.loss.alpha),
    }
    shown = next(run for run in runs if run.network == plan.TRIPLE_CAM and not run.change)
    entries = figure3.chosen(scored, shown)
    content["figure_3"] = {"rule": figure3.RULE, "lesions": entries}
    write_whole(out / "reproduce.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    pictures = figure3.drawn(out / "runs" / shown.folder, table, entries)
    page = environment().get_template("ge2017.html.j2").render(r=content, figure_3=pictures)
    write_whole(out / "reproduce.html", page)
    return content
