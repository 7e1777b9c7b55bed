"""`dermapair demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, figures_line, finish, progress, say
from dermapair.cli.train import epoch_line


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("dermapair-demo"),
    as_json: Json = False,
) -> None:
    """Everything, end to end, on drawn lesions whose best possible accuracy is known."""
    from dermapair.config import load_recipe
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.reproduce.demo import run_demo

    keep_freed_memory()
    epochs = load_recipe("demo").train.epochs
    with progress("train") as tick:
        summary = run_demo(
            out,
            say=say,
            report=lambda line: say(epoch_line(line, "both", "accuracy")),
            on_step=lambda epoch, done, steps: tick((epoch - 1) * steps + done, epochs * steps),
        )
    for line in figures_line(summary["results"]):
        say(line)
    for readout, limit in summary["bayes_accuracy"].items():
        value = summary["results"]["readouts"][readout]["accuracy"]["value"]
        say(f"  {readout:<12} reached {value:.3f} of at most {limit:.3f} (Bayes accuracy)")
    say(f"report: {summary['report']}")
    finish(summary, as_json=as_json)
