"""`dermapair explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, finish, say


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write maps, boxes and explanation.json to.")],
    clinical: Annotated[Path | None, typer.Option(help="Clinical photograph.")] = None,
    dermoscopic: Annotated[Path | None, typer.Option(help="Dermoscopic image.")] = None,
    readout: Annotated[
        str, typer.Option(help="Explain clinical, dermoscopic, cross or both; empty: each view's own.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Json = False,
) -> None:
    """Draw which pixels of a lesion's images speak for each class."""
    from dermapair.inference.predictor import load
    from dermapair.report.explanation import write_explanation

    explanation = load(run, device=device).explain(clinical=clinical, dermoscopic=dermoscopic)
    files = {
        view: path
        for view, path in (("clinical", clinical), ("dermoscopic", dermoscopic))
        if view in explanation.placed and path
    }
    written = write_explanation(explanation, files, out, readout=readout or None)
    for warning in written["warnings"]:
        say(f"note: {warning}")
    say(f"{out / 'explanation.json'}: {', '.join(written['views'])}, {len(explanation.classes)} classes each")
    finish(written, as_json=as_json)
