"""`dermapair explain`: one lesion, or with --data a measurement of the maps of many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dermapair.cli.common import Json, finish, progress, say


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; with --data, the run's own for its report.")],
    clinical: Annotated[Path | None, typer.Option(help="Clinical photograph.")] = None,
    dermoscopic: Annotated[Path | None, typer.Option(help="Dermoscopic image.")] = None,
    readout: Annotated[
        str, typer.Option(help="Explain clinical, dermoscopic, cross or both; empty: each view's own.")
    ] = "",
    data: Annotated[
        Path | None, typer.Option(help="Case folder: measure the maps of its lesions against their masks.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="With --data: this split, or all; empty: test, as training has seen the others."),
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="With --data: at most so many lesions; 0: all.")] = 0,
    faithful: Annotated[
        int, typer.Option(min=0, help="With --data: lesions for deletion curves and randomised weights.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="With --data: of every draw.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Json = False,
) -> None:
    """Draw which pixels of a lesion's images speak for each class, or measure whether such maps are true."""
    from dermapair.errors import UsageError
    from dermapair.inference.predictor import load

    if data is not None:
        if clinical or dermoscopic or readout:
            raise UsageError(
                "--data measures the maps of a case folder; leave out --clinical, --dermoscopic and --readout"
            )
        how = {"limit": limit, "faithful": faithful, "seed": seed}
        finish(_measure(run, data, out, split=split, device=device, **how), as_json=as_json)
        return
    if split or limit or faithful or seed:
        raise UsageError("--split, --limit, --faithful and --seed go with --data; name the case folder")
    from dermapair.report.explanation import write_explanation

    explanation = load(run, device=device).explain(clinical=clinical, dermoscopic=dermoscopic)
    written = write_explanation(explanation, out, readout=readout or None)
    for warning in written["warnings"]:
        say(f"note: {warning}")
    say(f"{out / 'explanation.json'}: {', '.join(written['views'])}, {len(explanation.classes)} classes each")
    finish(written, as_json=as_json)


def _measure(
    run: Path, data: Path, out: Path, *, split: str, limit: int, faithful: int, seed: int, device: str
) -> dict[str, Any]:
    """Measure the maps of a case folder, write them and say the figures."""
    from dermapair.data.cases import read_cases
    from dermapair.evaluation.maps import measure_maps
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.inference.predictor import load
    from dermapair.report.maps import write_maps

    keep_freed_memory()
    predictor, table = load(run, device=device), read_cases(data)
    part = None if split == "all" else split or "test"
    with progress("explain") as tick:
        measured = measure_maps(
            predictor,
            table,
            split=part,
            limit=limit,
            seed=seed,
            faithful=faithful,
            progress=tick,
        )
    written = write_maps(predictor, table, measured, out)
    for lesion, reason in written["errors"]:
        say(f"cannot explain {lesion}: {reason}")
    say(f"{out / 'maps.json'}: {written['n_lesions']} lesions, {len(written['drawn'])} images drawn")
    for view, figures in written["views"].items():
        for name, found in (figures["baselines"] | figures["readouts"]).items():
            say(f"  {view:<12} {_line(name, found)}")
    return written


def _line(name: str, figures: dict[str, Any]) -> str:
    """Return pointing game and box IoU of one readout as text."""
    parts = []
    for key, words in (("pointing_game", "pointing game"), ("box_iou", "box IoU")):
        f = figures[key]
        parts.append(f"{words} {f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})")
    return f"{name:<7} {', '.join(parts)}"
