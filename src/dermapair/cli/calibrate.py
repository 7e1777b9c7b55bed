"""`dermapair calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from dermapair.cli.common import Json, figures_line, finish, progress, say


def calibrate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="The case folder that it was trained on.")],
    method: Annotated[
        str, typer.Option(help="temperature, vector or none; empty: as the run's recipe.")
    ] = "",
    coverage: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the conformal sets; 0: as the run's recipe.")
    ] = 0.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Json = False,
) -> None:
    """Fit calibration, operating points, conformal sets and what tells unknown pictures of a run again."""
    from dermapair.config import load_recipe
    from dermapair.config.recipe import Calibrate
    from dermapair.data.cases import read_cases
    from dermapair.errors import UsageError, unknown_choice
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.inference.model import read_facts
    from dermapair.reproduce.recalibrate import recalibrate

    if method and method not in get_args(Calibrate):
        raise UsageError(f"--method: {unknown_choice('name', method, get_args(Calibrate))}")
    if coverage == 1:
        raise UsageError(
            "--coverage: expected less than 1, as sets of every class always hold the truth, got 1"
        )
    read_facts(run)  # says what is wrong with the folder, if anything
    keep_freed_memory()
    how = load_recipe(run / "recipe.toml").predict
    how = how.model_copy(update={"calibrate": method or how.calibrate, "coverage": coverage or how.coverage})
    with progress("calibrate") as tick:
        results = recalibrate(run, read_cases(data), how=how, device=device, progress=tick)
    for line in calibration_lines(results):
        say(line)
    for line in figures_line(results):
        say(line)
    say(f"report: {run / 'report.html'}")
    finish({"run": str(run), "results": results}, as_json=as_json)


def calibration_lines(results: dict[str, Any]) -> list[str]:
    """Return what a person wants to know of calibration and operating points."""
    found = results.get("calibration") or {}
    lines = []
    for readout, entry in found.get("readouts", {}).items():
        before, after = (entry[when]["expected_calibration_error"]["value"] for when in ("before", "after"))
        temperature = f"temperature {entry['temperature']:.3f}, " if entry["temperature"] else ""
        lines.append(f"  {readout:<12} {temperature}calibration error {before:.3f} before, {after:.3f} after")
    for name, point in (results.get("operating_points") or {}).items():
        reached = ", ".join(_figure(point, key) for key in ("sensitivity", "specificity"))
        lines.append(f"  {name}: above {point['threshold']:.4f}; on {results['split']} {reached}")
    for view, judged in ((results.get("outside") or {}).get("views") or {}).items():
        lines.append(f"  {view} unlike training's: {_figure(judged, 'flagged')} on {results['split']}")
    return lines


def _figure(point: dict[str, dict[str, float]], key: str) -> str:
    f = point[key]
    return (
        f"{key} not defined"
        if f["value"] is None
        else f"{key} {f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})"
    )
