"""`dermapair compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, finish, say


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; with --data also predictions files.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    data: Annotated[
        Path | None, typer.Option(help="Case folder: patients, and the truth of predictions files.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The run that all others are compared with; else the first.")
    ] = None,
    readout: Annotated[str, typer.Option(help="clinical, dermoscopic, cross or both.")] = "both",
    split: Annotated[str, typer.Option(help="Which part.")] = "test",
    metrics: Annotated[str, typer.Option(help="Names with commas between them; empty: the usual ones.")] = "",
    samples: Annotated[int, typer.Option(min=1, help="Bootstrap samples.")] = 2000,
    as_json: Json = False,
) -> None:
    """Put runs in one table, with paired differences, their intervals and tests."""
    from dermapair.data.cases import read_cases
    from dermapair.errors import UsageError, unknown_choice
    from dermapair.evaluation.compare import DEFAULT_METRICS
    from dermapair.evaluation.compare import compare as compare_runs
    from dermapair.evaluation.compared import read_compared
    from dermapair.report.comparison import write_comparison
    from dermapair.report.comparison_tables import headline, plain_text, tables
    from dermapair.types import READOUTS

    if readout not in READOUTS:
        raise UsageError(f"--readout: {unknown_choice('name', readout, READOUTS)}")
    table = read_cases(data) if data else None
    compared = read_compared(runs, split=split, readout=readout, table=table, reference=reference)
    names = [name.strip() for name in metrics.split(",")] if metrics else DEFAULT_METRICS
    content = compare_runs(compared, metrics=names, n_samples=samples)
    paths = write_comparison(content, out)
    for line in plain_text(tables(content)[0]):
        say(line)
    say(headline(content))
    left_out = {name: n for name, n in compared.left_out.items() if n}
    if left_out:
        named = ", ".join(f"{n} of {name}" for name, n in left_out.items())
        say(f"lesions that not all runs have scored are left out: {named}")
    say(f"comparison: {paths[-1]}")
    finish({"files": [str(path) for path in paths], "comparison": content}, as_json=as_json)
