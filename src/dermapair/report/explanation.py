"""The files of an explanation: overlays, raw maps, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dermapair.config.files import write_whole
from dermapair.errors import DermapairError
from dermapair.imaging.crop import whole_pixels
from dermapair.inference.explanation import Explanation
from dermapair.report.pictures import png
from dermapair.saliency.overlay import overlay
from dermapair.types import Box, RGBImage, View

SCHEMA_VERSION = 1
FRAME = (255, 255, 255)
"""Colour of the line round the part that stage two looks at."""


def write_explanation(explanation: Explanation, out: Path, *, readout: str | None = None) -> dict[str, Any]:
    """Write `<view>_<class>.png`, `<view>.npy` (K x h x w) and, last, `explanation.json`.

    Of a run of two stages also `<view>_stage_one.png`: the map that said where to look, and the part cut out.

    Overlays of one view share one scale, whose top is the largest value of its maps, so that they can be
    compared: a class without evidence looks like one.

    Args:
        explanation: of one lesion.
        out: the folder; made where it is missing.
        readout: what the maps explain; None is each view's own readout.

    Returns:
        The content of `explanation.json`.

    Raises:
        UsageError: the lesion lacks that readout.
        DermapairError: a file cannot be written.
    """
    views: dict[str, Any] = {}
    try:
        for view in explanation.placed:
            if view in explanation.maps_for(readout or view):
                out.mkdir(parents=True, exist_ok=True)
                views[view] = _write_view(explanation, view, out, readout=readout or view)
    except OSError as error:
        raise DermapairError(f"{out}: the explanation could not be written ({error})") from error
    content = {
        "schema_version": SCHEMA_VERSION,
        "classes": list(explanation.classes),
        "probabilities": {r: p.tolist() for r, p in explanation.prediction.probabilities.items()},
        "stages": {
            stage: {r: p.tolist() for r, p in of.items()}
            for stage, of in explanation.prediction.stages.items()
        },
        "decisions": {name: asdict(d) for name, d in explanation.prediction.decisions.items()},
        "conformal_set": list(explanation.prediction.conformal_set),
        "views": views,
        "boxes": {view: views[view]["boxes"][views[view]["predicted"]] for view in views},
        "warnings": list(explanation.warnings),
    }
    write_whole(out / "explanation.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def _write_view(explanation: Explanation, view: View, out: Path, *, readout: str) -> dict[str, Any]:
    """Write the maps of one view, raw and over its image, and return what `explanation.json` says of them."""
    files = [f"{view}_{name}.png" for name in _file_names(explanation.classes)]
    boxes = [explanation.box(view, k, readout=readout) for k in range(len(files))]
    top = float(explanation.top(view, readout=readout).max())
    np.save(out / f"{view}.npy", explanation.maps_for(readout)[view])
    for k, file in enumerate(files):
        values = explanation.to_pixels(view, k, readout=readout)
        drawn = overlay(explanation.images[view], values, top=top, evidence=boxes[k] is not None)
        (out / file).write_bytes(png(drawn))
    return {
        "explains": readout,
        "method": explanation.method(readout),
        "predicted": explanation.classes[explanation.predicted(readout)],
        "top": top,
        "boxes": dict(zip(explanation.classes, boxes, strict=True)),
        "files": dict(zip(explanation.classes, files, strict=True)),
    } | _write_stage_one(explanation, view, out)


def _write_stage_one(explanation: Explanation, view: View, out: Path) -> dict[str, Any]:
    """Write stage one's map of the class that it predicts and return what `explanation.json` says of it."""
    first = explanation.stage_one.get(view)
    if first is None:
        return {}
    k, cut = first.predicted(view), explanation.cuts[view]
    name = f"{view}_stage_one.png"
    (out / name).write_bytes(png(with_cut(first, view, cut, rule=explanation.rule)))
    return {"stage_one": {"predicted": first.classes[k], "cut": cut, "file": name}}


def with_cut(first: Explanation, view: View, cut: Box, *, rule: str) -> RGBImage:
    """Return the map by which stage one cut over the image, and a frame round the part that is cut out."""
    values = first.evidence(view, rule)
    top = float(np.nanmax(values))
    drawn = overlay(first.images[view], values, top=top, evidence=top > 0)
    x0, y0, x1, y1 = whole_pixels(cut)
    thick = max(1, round(max(drawn.shape) / 256))
    cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), FRAME, thick)
    return drawn


def _file_names(classes: Sequence[str]) -> list[str]:
    """Return class names as parts of file names, no two the same, also where case does not count."""
    names: list[str] = []
    for k, each in enumerate(classes):
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in each)
        while name.lower() in [other.lower() for other in names]:
            name += f"_{k}"
        names.append(name)
    return names
