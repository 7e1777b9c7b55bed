"""The HTML page of the reproduction, and the whole of it in one call."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dermapair.config import Recipe
from dermapair.config.files import write_whole
from dermapair.data.cases import MASK, CaseTable
from dermapair.data.task import build_task
from dermapair.errors import UsageError
from dermapair.evaluation import truth_of
from dermapair.inference.model import read_facts
from dermapair.models import build_network
from dermapair.report.page import environment
from dermapair.reproduce.jia2017 import figures, plan
from dermapair.reproduce.jia2017.collect import collect, curves, read_stages
from dermapair.reproduce.jia2017.masks import measure_masks
from dermapair.reproduce.jia2017.plan import planned
from dermapair.reproduce.jia2017.run import Trainer
from dermapair.training.loop import OnStep, Report

SCHEMA_VERSION = 1


def reproduce(
    base: Recipe,
    table: CaseTable,
    out: Path,
    *,
    masks: CaseTable | None = None,
    ablations: tuple[str, ...] = ("all",),
    say: Callable[[str], None] = lambda line: None,
    report: Report = lambda line: None,
    on_step: OnStep = lambda epoch, done, steps: None,
) -> dict[str, Any]:
    """Train both stages and what stands beside them, then write `reproduce.json` and `reproduce.html`.

    Args:
        base: recipe that every training changes.
        table: dermoscopic images with the splits train and val, and test where its truth is there.
        out: the folder; what has finished in it is kept.
        masks: images with lesion masks, on which the parts are measured; None: they are not.
        ablations: changes that are trained too, or how their names begin.
        say: called with a line for each training.
        report: called with each line of a journal.
        on_step: called after each step.

    Returns:
        The content of `reproduce.json`.

    Raises:
        UsageError: the task lacks a class of ISIC 2017, the network takes pairs, or an ablation is unknown.
        RunError: `out` holds trainings with other settings or data.
    """
    _check(base, table, masks)
    task = build_task(base.task, table.diagnoses)
    todo = planned(base, ablations)
    trainer = Trainer(base, out, say, report, on_step, {})
    trainer.all(todo, table)
    runs = out / "runs"
    measured = measure_masks(trainer, masks) if masks else None
    content = {
        "schema_version": SCHEMA_VERSION,
        "paper": "Jia & Shen 2017",
        "base": base.model_dump(mode="json"),
        "started_from": read_facts(trainer.run(plan.FIRST)).started_from,
        "paper_gains": {name: {"mean_auc": a, "gain": g} for name, (a, g) in plan.GAINS.items()},
        **collect(todo, runs, table, base.task, square_px=base.data.size),
        "figure_3": curves(
            runs, [first.name for first in todo.firsts if first.name in (plan.FIRST, plan.SCRATCH)]
        ),
        "masks": measured,
        "errors": trainer.errors,
    }
    part = next(iter(content["parts"]))
    rows = read_stages(trainer.run(plan.SECOND), part)["stage1"]
    examples = figures.surest(rows, truth_of(table, task, split=part).labels, task.classes)
    worst = figures.missed(measured["images"]) if measured else []
    content |= {"figure_2": {"rule": figures.RULE_2, "images": examples}}
    content |= {"figure_4": {"rule": figures.RULE_4, "images": worst}}
    write_whole(out / "reproduce.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    page = environment().get_template("jia2017.html.j2").render(
        r=content,
        aucs=plan.AUCS,
        figure_2=figures.with_maps(trainer.run(plan.FIRST), table, examples),
        figure_3=figures.curves_svg(content["figure_3"]),
        figure_4=figures.with_parts(runs, masks, worst, rule=base.crop.evidence) if masks else [],
    )  # fmt: skip
    write_whole(out / "reproduce.html", page)
    return content


def _check(base: Recipe, table: CaseTable, masks: CaseTable | None) -> None:
    """Refuse other classes, pairs, a second stage as the base, and images without masks."""
    classes = build_task(base.task, table.diagnoses).classes
    if not set(plan.CLASSES) <= set(classes):
        raise UsageError(
            f"{table.folder}: expected the classes {' and '.join(plan.CLASSES)} among those of the task, got "
            f"{', '.join(classes)}; import ISIC 2017, or name them in the recipe's section task"
        )
    if base.network.kind != "single":
        raise UsageError(
            f"recipe {base.name}: expected a network on one view (network.kind single), got "
            f"{base.network.kind}"
        )
    if base.crop.run:
        raise UsageError(f"recipe {base.name}: expected one of stage one, got crop.run; leave it empty")
    if masks and MASK not in masks.frame.columns:
        raise UsageError(
            f"{masks.folder}: expected a case folder with lesion masks (isic2017-masks), got none"
        )
    network = {"weights": "none"} if base.network.from_run else {}
    build_network(base.network.model_copy(update=network), len(classes))  # before hours of preparing
