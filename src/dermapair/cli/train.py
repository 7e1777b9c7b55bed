"""`dermapair train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dermapair.cli.common import Json, figures_line, finish, progress, say


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe in the package, or a TOML file.")],
    data: Annotated[Path, typer.Option(help="Case folder with a split.")],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key.")] = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a half-made run.")] = False,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at an image that cannot be read.")] = False,
    as_json: Json = False,
) -> None:
    """Train a recipe on a case folder, then evaluate it and write its report."""
    from dermapair.config import load_recipe
    from dermapair.data.cases import read_cases
    from dermapair.data.store import open_store
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.reproduce.experiment import run_experiment

    _check_devices(accelerator, devices)
    keep_freed_memory()
    loaded = load_recipe(recipe, overrides=set_)
    table = read_cases(data)
    store = open_store(table, loaded.data)
    say(f"pixels: {store.folder if store else 'original files; data prepare --recipe makes it faster'}")
    with progress("train") as tick:
        results = run_experiment(
            loaded,
            table,
            out,
            resume=resume,
            accelerator=accelerator,
            devices=devices,
            strict=strict,
            report=lambda line: say(epoch_line(line, loaded.train.readout, loaded.train.metric)),
            on_step=lambda epoch, done, steps: tick((epoch - 1) * steps + done, loaded.train.epochs * steps),
        )
    if not results:  # only the first of several processes writes
        return
    say(f"{out}: {results['n_lesions']} lesions of the split {results['split']}, 95% intervals")
    for line in figures_line(results):
        say(line)
    say(f"report: {out / 'report.html'}")
    finish({"run": str(out), "results": results}, as_json=as_json)


def _check_devices(accelerator: str, devices: int) -> None:
    """Refuse devices that this machine does not have, which Fabric would do in a traceback."""
    import torch

    from dermapair.errors import UsageError, unknown_choice

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = int(torch.backends.mps.is_available())
    there = {"cpu": devices, "cuda": cuda, "mps": mps, "gpu": mps or cuda}
    there["auto"] = there["gpu"] or devices
    if accelerator not in there:
        raise UsageError(f"--accelerator: {unknown_choice('name', accelerator, there)}")
    if devices > there[accelerator]:
        raise UsageError(
            f"--accelerator {accelerator}: expected {devices} such devices on this machine, got "
            f"{there[accelerator]}; take --accelerator cpu, or fewer --devices"
        )


def epoch_line(line: dict[str, Any], readout: str, metric: str) -> str:
    """Return what a person wants to know of one epoch."""
    losses = ", ".join(f"{name} {value:.3f}" for name, value in line["loss"].items())
    mark = " *" if line["best_epoch"] == line["epoch"] else ""
    value = line["val"][readout][metric]
    bad = f", {len(line['unreadable'])} lesions with unreadable images" if line["unreadable"] else ""
    return (
        f"epoch {line['epoch']}: loss {losses}; validation {readout} {metric} {value:.4f}{mark}; "
        f"{line['images_per_s']:.0f} images/s, {line['train_s'] + line['val_s']:.0f} s{bad}"
    )
