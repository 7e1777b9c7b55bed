"""The page of an audit: what was found, with the pictures of each pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.errors import ImageError
from dermapair.imaging.read import read_image
from dermapair.report.pictures import WIDTH_PX, data_uri
from dermapair.report.template import plain_environment

KINDS: dict[str, str] = {
    "leak": "Leaks: one picture in two splits, or in two folders",
    "diagnoses": "One picture, two diagnoses",
    "lesions": "One picture under two lesion ids",
    "same": "Two images of one lesion that are the same picture",
}
"""The sections of the page, in order; a pair is in the first that fits."""


def write_check(content: dict[str, Any], tables: Sequence[CaseTable], out: Path, *, most: int = 200) -> Path:
    """Write `check.json`, and `check.html`, which holds small pictures of the pairs.

    Args:
        content: by `data.audit.audit`.
        tables: the case folders, in the same order.
        out: the folder; made where it is missing.
        most: pairs and lesions shown in each section; `check.json` has all.

    Returns:
        The path of the page.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "check.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    files = {
        (name, image): table.root / path
        for name, table in zip(content["folders"], tables, strict=True)
        for image, path in table.frame.select("image_id", "path").iter_rows()
    }
    by_kind: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for pair in content["pairs"]:
        by_kind[_kind(pair)].append(pair)
    template = plain_environment().get_template("check.html.j2")
    page = template.render(
        check=content,
        by_kind=by_kind,
        kinds=KINDS,
        most=most,
        swapped=_swapped(content, tables, most),
        picture=lambda image: _picture(files[image["folder"], image["image_id"]]),
    )
    write_whole(out / "check.html", page)
    return out / "check.html"


def _kind(pair: dict[str, Any]) -> str:
    if pair["leak"]:
        return "leak"
    if pair["diagnoses_differ"]:
        return "diagnoses"
    return "same" if pair["same_lesion"] else "lesions"


def _swapped(content: dict[str, Any], tables: Sequence[CaseTable], most: int) -> list[dict[str, Any]]:
    """Return the lesions whose views look exchanged, with their images."""
    of = dict(zip(content["folders"], tables, strict=True))
    found = []
    for lesion in (content["swapped_views"] or [])[:most]:
        frame = of[lesion["folder"]].frame
        rows = frame.filter(frame["lesion_id"] == lesion["lesion_id"]).select("image_id", "view")
        found.append({**lesion, "images": [{"folder": lesion["folder"], **row} for row in rows.to_dicts()]})
    return found


def _picture(path: Path) -> str:
    """Return one small picture as a data URI, or "" where the file cannot be read any more."""
    try:
        return data_uri(read_image(path, min_side=WIDTH_PX))
    except ImageError:
        return ""
