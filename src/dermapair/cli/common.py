"""What commands share: messages, progress and the JSON object that `--json` prints last."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable object last.")]
Progress = Callable[[int, int], None]
NAMED = 20
"""Things that a message names one by one; of more it says how many, or where they are listed."""


def say(text: str) -> None:
    """Print a line for people, on standard error so that standard output stays machine-readable."""
    print(text, file=sys.stderr, flush=True)


def finish(summary: dict[str, Any], *, as_json: bool) -> None:
    """Print the JSON object, if it was asked for."""
    if as_json:
        print(json.dumps(summary))


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Yield a function of (done, total): a bar on a terminal, a line for every tenth elsewhere."""
    if sys.stderr.isatty():
        with _bar() as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    tenths = [-1]

    def line(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth != tenths[0]:  # a second training starts again
            tenths[0] = tenth
            say(f"{what}: {done} of {total}")

    yield line


def _bar() -> Any:
    """Return rich's progress display on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def figures_line(results: dict[str, Any]) -> list[str]:
    """Return one line of figures for each readout of `results.json`."""
    lines = []
    for readout, figures in results["readouts"].items():
        parts = []
        for name in ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1"):
            f = figures[name]
            value = (
                "not defined"
                if f["value"] is None
                else f"{f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})"
            )
            parts.append(f"{name.replace('_', ' ')} {value}")
        lines.append(f"  {readout:<12} {', '.join(parts)}")
    return lines
