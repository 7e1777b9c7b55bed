"""The program `dermapair`: its commands, and how its errors look."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dermapair import __version__
from dermapair.cli import (
    boxes,
    calibrate,
    compare,
    data,
    demo,
    doctor,
    evaluate,
    explain,
    hair,
    predict,
    reproduce,
    submission,
    train,
)
from dermapair.errors import DermapairError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, explain and measure classifiers of skin lesions from a clinical photograph and a "
    "dermoscopic image. Research use only.",
)
app.command()(demo.demo)
app.add_typer(data.app, name="data")
app.command()(hair.hair)
app.command()(train.train)
app.command()(predict.predict)
app.command()(explain.explain)
app.command()(boxes.boxes)
app.command()(calibrate.calibrate)
app.command()(evaluate.evaluate)
app.command()(evaluate.report)
app.command()(compare.compare)
app.command()(reproduce.reproduce)
app.command()(submission.submission)
app.command()(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the program; an error of ours is one sentence and its exit code, not a traceback."""
    try:
        app()
    except DermapairError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # no space, no permission, a file where a folder should be
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
