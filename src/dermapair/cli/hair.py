"""`dermapair hair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import Json, finish, progress, say


def hair(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write <stem>.png to.")],
    method: Annotated[str, typer.Option(help="dullrazor, oriented, learned or blackhat.")] = "dullrazor",
    mask: Annotated[bool, typer.Option("--mask", help="Write <stem>_hair.png too; 255 is hair.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Threads; 0 takes one for each core.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if an image cannot be read.")] = False,
    as_json: Json = False,
) -> None:
    """Remove hair from images; beyond its edge every pixel stays as it is."""
    from dermapair.errors import DermapairError
    from dermapair.imaging.hair.files import clean_files

    with progress("hair") as tick:
        summary = clean_files(source, out, method=method, mask=mask, workers=workers or None, progress=tick)
    images, errors = summary["images"], summary["errors"]
    for name, reason in errors:
        say(f"cannot read {name}: {reason}")
    for stem, found in images.items():
        if found["refused"]:
            say(
                f"{stem}: left as it is, as {found['hair']:.0%} of it was found, which is no hair "
                f"(the limit is {summary['most']:.0%})"
            )
    say(f"{out}: {len(images)} images written, {len(errors)} cannot be read")
    finish(summary, as_json=as_json)
    if errors and (strict or not images):
        raise DermapairError(f"{len(errors)} images cannot be read; they are listed above")
