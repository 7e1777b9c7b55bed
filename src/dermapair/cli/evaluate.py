"""`dermapair evaluate` and `dermapair report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, figures_line, finish, say


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="CSV or Parquet of `dermapair predict`.")],
    data: Annotated[Path, typer.Option(help="Case folder with the truth.")],
    out: Annotated[Path, typer.Option(help="JSON to write.")],
    run: Annotated[Path | None, typer.Option(help="Run whose task groups or renames diagnoses.")] = None,
    split: Annotated[
        str, typer.Option(help="Split to score; found by itself if all predicted lesions are in one.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Score predictions against the truth, with 95% intervals."""
    from dermapair.config.files import write_whole
    from dermapair.data.cases import read_cases
    from dermapair.evaluation import evaluate_file

    task = None
    if run:
        from dermapair.inference.model import read_facts  # imports torch

        task = read_facts(run).as_task()
    results = evaluate_file(predictions, read_cases(data), task=task, split=split or None)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, json.dumps(results, indent=2, allow_nan=False) + "\n")
    say(f"{out}: {results['n_lesions']} lesions of the split {results['split']}, 95% intervals")
    if results["not_predicted"]:
        say(f"{len(results['not_predicted'])} lesions of the split are not in the predictions")
    if results["other_splits"]:
        say(f"{results['other_splits']} predicted lesions are not in this split and were left out")
    for line in figures_line(results):
        say(line)
    finish({"results": results}, as_json=as_json)


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    as_json: Json = False,
) -> None:
    """Write the run's HTML page again."""
    from dermapair.report import write_report

    page = write_report(run)
    say(f"report: {page}")
    finish({"report": str(page)}, as_json=as_json)
