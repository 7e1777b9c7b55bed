"""`dermapair data check`: the audit of case folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermapair.cli.common import NAMED, Json, finish, progress, say


def check(
    cases: Annotated[
        list[Path], typer.Argument(metavar="CASES...", help="Case folders, compared with each other too.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for check.json and check.html; by default CASES/check.")
    ] = None,
    most: Annotated[int, typer.Option(min=0, help="Pairs shown in each section of the page.")] = 200,
    as_json: Json = False,
) -> None:
    """Open every image; list what is unreadable, occurs twice or leaks. Exit code 1 where a leak is found."""
    from dermapair.data.audit import audit, folder_of
    from dermapair.data.cases import read_cases
    from dermapair.errors import DermapairError, UsageError
    from dermapair.report.check import write_check

    if len({path.resolve() for path in cases}) < len(cases):
        raise UsageError("expected different case folders, got one of them twice; name each once")
    tables = [read_cases(folder, leaks=True) for folder in cases]
    with progress("read") as tick:
        content = audit(tables, progress=tick)
    page = write_check(content, tables, out or folder_of(content), most=most)
    pairs, swapped = content["pairs"], content["swapped_views"]
    summary = {
        "images": content["images"],
        "unreadable": len(content["unreadable"]),
        "masks": len(content["masks"]),
        "exact_duplicates": sum(pair["kind"] == "exact" for pair in pairs),
        "near_duplicates": sum(pair["kind"] == "near" for pair in pairs),
        "diagnoses_differ": sum(pair["diagnoses_differ"] for pair in pairs),
        "swapped_views": None if swapped is None else len(swapped),
        "leaks": content["leaks"],
    }
    for image in content["unreadable"][:NAMED]:
        say(f"cannot read {image['image_id']} ({image['path']}): {image['reason']}")
    if len(content["unreadable"]) > NAMED:
        say(f"{len(content['unreadable']) - NAMED} more cannot be read; check.json names them")
    for name, value in summary.items():
        say(f"{name.replace('_', ' ')}: {'not tested' if value is None else value}")
    say(f"page: {page}")
    finish(summary | {"page": str(page), "check": str(page.with_suffix(".json"))}, as_json=as_json)
    if len(content["unreadable"]) == content["images"]:
        raise DermapairError(
            f"none of the {content['images']} images can be read, so nothing was compared; {page} has the "
            f"reasons"
        )
    if content["leaks"]:
        raise DermapairError(
            f"found the same picture, lesion or patient in two splits or folders, {content['leaks']} times; "
            f"look at {page}, then leave one of each two out, or split again with `dermapair data split` "
            f"(--force gives official splits up, and with them the comparison with others)"
        )
