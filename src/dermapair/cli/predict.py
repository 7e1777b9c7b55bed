"""`dermapair predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dermapair.cli.common import Json, finish, progress, say


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="CSV to write; beside it NAME.decisions.csv.")],
    data: Annotated[Path | None, typer.Option(help="Case folder.")] = None,
    split: Annotated[str, typer.Option(help="Only this split of --data.")] = "",
    clinical: Annotated[Path | None, typer.Option(help="One clinical photograph.")] = None,
    dermoscopic: Annotated[Path | None, typer.Option(help="One dermoscopic image.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of images, or with subfolders clinical/ and dermoscopic/.")
    ] = None,
    view: Annotated[str, typer.Option(help="What a --folder without subfolders shows.")] = "",
    swap_views: Annotated[
        bool,
        typer.Option("--swap-views", help="Exchange the two views, to see what depends on which is which."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Fail if an image cannot be read.")] = False,
    as_json: Json = False,
) -> None:
    """Predict a case folder, a folder of images, or one lesion."""
    from dermapair.data.cases import read_cases
    from dermapair.data.loose import folder_cases, one_lesion
    from dermapair.errors import DermapairError, UsageError
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.inference.predictor import load
    from dermapair.inference.stream import write_predictions

    given = [name for name, value in (("--data", data), ("--folder", folder)) if value]
    given += ["--clinical/--dermoscopic"] if clinical or dermoscopic else []
    if len(given) != 1:
        raise UsageError(
            f"expected one of --data, --folder or --clinical/--dermoscopic, got {given or 'none'}"
        )
    if split and not data:
        raise UsageError("--split: expected a case folder with it, got none; give --data")
    keep_freed_memory()
    predictor = load(run, device=device, precision=precision)
    if data:
        table = read_cases(data)
    elif folder:
        table = folder_cases(folder, views=predictor.scorer.network.views, view=view)
    else:
        table = one_lesion(clinical=clinical, dermoscopic=dermoscopic)
    with progress("predict") as tick:
        summary = write_predictions(
            predictor, table, out, split=split or None, swap_views=swap_views, progress=tick
        )
    for lesion, reason in summary["errors"]:
        say(f"cannot read an image of {lesion}: {reason}")
    if summary["without_view"]:
        say(_without_view(summary["without_view"], predictor.scorer.network.views))
    say(f"{out}: {summary['lesions']} lesions predicted, {len(summary['lost'])} not")
    if summary["decisions"]:
        say(f"{summary['decisions']}: decisions at the operating points, conformal sets, what looks unknown")
    for line in _flagged(summary):
        say(line)
    finish(summary, as_json=as_json)
    if summary["errors"] and (strict or clinical or dermoscopic or not summary["lesions"]):
        raise DermapairError(f"{len(summary['errors'])} images could not be read; they are listed above")


def _without_view(lesions: Sequence[str], views: Sequence[str]) -> str:
    """Return the line on lesions that the network cannot look at; of many, the first are named."""
    named = ", ".join(lesions[:5]) + (", ..." if len(lesions) > 5 else "")
    return f"not predicted, as they have no {' or '.join(views)} image: {len(lesions)} lesions ({named})"


def _flagged(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines on lesions that look unlike those that the network has learned from."""
    return [
        f"{n} lesions with a {view} image unlike those that the network has learned from (of ordinary ones "
        f"{summary['outside_allowed']:.1%}): no skin, another camera, or the other view; do not trust their "
        f"answers"
        for view, n in summary["flagged"].items()
        if n
    ]
