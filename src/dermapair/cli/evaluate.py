"""`dermapair evaluate` and `dermapair report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, figures_line, finish, progress, say


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="CSV or Parquet of `dermapair predict`.")],
    data: Annotated[Path, typer.Option(help="Case folder with the truth.")],
    out: Annotated[Path, typer.Option(help="JSON to write.")],
    run: Annotated[
        Path | None, typer.Option(help="Run that made them: its task, and its decisions judged too.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Split to score; found by itself if all predicted lesions are in one.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Score predictions against the truth, with 95% intervals."""
    from dermapair.config.files import write_whole
    from dermapair.data.cases import read_cases
    from dermapair.evaluation import evaluate_file

    facts = None
    if run:
        from dermapair.inference.model import read_facts  # imports torch

        facts = read_facts(run)
    results = evaluate_file(predictions, read_cases(data), facts=facts, split=split or None)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, json.dumps(results, indent=2, allow_nan=False) + "\n")
    if run:
        say(f"operating points and sets are those of {run.name}: the predictions must be its own")
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
    pictures: Annotated[
        int, typer.Option(min=0, help="Also a page of failures with images and maps: so many of each kind.")
    ] = 0,
    data: Annotated[Path | None, typer.Option(help="With --pictures: case folder of the run.")] = None,
    as_json: Json = False,
) -> None:
    """Write the page and the model card again; with --pictures also a page of failures (shows patients)."""
    from dermapair.errors import UsageError
    from dermapair.report import write_report

    if bool(pictures) != (data is not None):
        raise UsageError("--pictures and --data go together; give the number and the case folder, or neither")
    page = write_report(run)
    say(f"report: {page}")
    written = {"report": str(page)}
    if data is not None:
        from dermapair.data.cases import read_cases
        from dermapair.inference.predictor import load
        from dermapair.report.failures import write_pictures

        with progress("pictures") as tick:
            failures = write_pictures(run, load(run), read_cases(data), most=pictures, progress=tick)
        say(f"failures, with pictures of patients: {failures}")
        written["pictures"] = str(failures)
    finish(written, as_json=as_json)
