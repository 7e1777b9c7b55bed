"""`dermapair submission`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, finish, progress, say


def submission(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    challenge: Annotated[str, typer.Option(help="isic2017, isic2018, isic2019 or milk10k.")],
    out: Annotated[Path, typer.Option(help="CSV to write.")],
    data: Annotated[
        Path | None, typer.Option(help="Case folder to predict; without it, the run's own predictions.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which part; empty: all of --data.")] = "test",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    as_json: Json = False,
) -> None:
    """Write a file for an ISIC challenge, and check it by the scorer's rules."""
    from dermapair.data.cases import read_cases
    from dermapair.evaluation.submission import make_submission
    from dermapair.inference.allocator import keep_freed_memory

    keep_freed_memory()
    table = read_cases(data) if data else None
    with progress("predict") as tick:
        summary = make_submission(
            run,
            out,
            challenge=challenge,
            table=table,
            split=split,
            device=device,
            precision=precision,
            progress=tick,
        )
    if summary["thresholds"]:
        named = ", ".join(f"{name} {t:.3f}" for name, t in summary["thresholds"].items())
        say(f"thresholds placed at 0.5, fitted on {summary['fitted_on']} validation lesions: {named}")
    if summary["absent"]:
        say(f"{', '.join(summary['absent'])}: 0.0 in every row, as the run has not learned that class")
    if summary["ties_broken"]:
        say(
            f"{summary['ties_broken']} rows had a tie for the largest value, which would count as wrong: "
            f"the class that is first in the run keeps it"
        )
    say(f"{out}: {summary['rows']} rows for {challenge}, checked")
    finish(summary, as_json=as_json)
