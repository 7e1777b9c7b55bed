"""`dermapair boxes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, finish, progress, say


def boxes(
    run: Annotated[Path, typer.Argument(help="Run folder of stage one.")],
    data: Annotated[Path, typer.Option(help="Case folder.")],
    out: Annotated[Path, typer.Option(help="File to write, for example boxes.parquet.")],
    fold: Annotated[
        list[Path], typer.Option(help="Run of one fold, for lesions that RUN has learned; give one for each.")
    ] = [],  # noqa: B006
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key, such as crop.margin=0.2.")
    ] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Json = False,
) -> None:
    """Write where stage two looks: the region of each image that the map of its predicted class points at."""
    from dermapair.config import load_recipe
    from dermapair.data.cases import read_cases
    from dermapair.errors import DermapairError
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.reproduce.boxes import make_boxes

    keep_freed_memory()
    settings = load_recipe(run / "recipe.toml", overrides=set_).crop
    with progress("boxes") as tick:
        summary = make_boxes(
            run, read_cases(data), out, settings=settings, folds=fold, device=device, progress=tick
        )
    for image, reason in summary["errors"]:
        say(f"cannot read {image}: {reason}")
    say(
        f"{out}: {summary['images']} boxes, {summary['cross_fitted']} of them cross-fitted; "
        f"{len(summary['errors'])} images cannot be read"
    )
    finish(summary, as_json=as_json)
    if summary["errors"] and not summary["images"]:
        raise DermapairError(f"{len(summary['errors'])} images cannot be read; they are listed above")
