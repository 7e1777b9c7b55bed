"""The files of a measurement of maps: `maps.json`, and the lesions whose boxes fit worst and best, drawn.

Failures are chosen by the measured overlap with the lesion mask, not by eye.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.data.masks import read_mask
from dermapair.errors import DermapairError
from dermapair.inference.predictor import Predictor
from dermapair.metrics.saliency import Mask
from dermapair.report.pictures import png
from dermapair.saliency.overlay import overlay
from dermapair.types import Box, RGBImage, View

EACH = 6
"""Lesions drawn from either end."""
WHITE, BLACK, VERMILLION = (255, 255, 255), (0, 0, 0), (213, 94, 0)


def write_maps(
    predictor: Predictor, table: CaseTable, measured: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """Write `maps/<worst or best>_<rank>_<view>.png` and, last, `maps.json`.

    Drawn over each image: the map of the class that the view's own readout predicts, the outline of the
    lesion mask (white) and the map's box (vermillion).

    Args:
        predictor: the run that was measured.
        table: the cases that it was measured on.
        measured: by `evaluation.measure_maps`.
        out: the folder; made where it is missing. A run's own folder puts the figures into its report.

    Returns:
        The content of `maps.json`: `measured`, and `drawn`, a row of `lesions` by the name of its picture.

    Raises:
        DermapairError: a file cannot be written.
    """
    drawn = _chosen(measured["lesions"])
    rows = {image: row for row, image in enumerate(table.frame["image_id"])}
    try:
        (out / "maps").mkdir(parents=True, exist_ok=True)
        for name, each in drawn.items():
            picture = _drawn(predictor, table, rows[each["image_id"]], each["view"])
            (out / "maps" / name).write_bytes(png(picture))
    except OSError as error:
        raise DermapairError(f"{out}: the maps could not be written ({error})") from error
    content = {**measured, "drawn": drawn}
    write_whole(out / "maps.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def _chosen(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the rows to draw by the names of their files: of the worst and the best lesions, by mean IoU."""
    of: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of.setdefault(row["lesion_id"], []).append(row)
    order = sorted(of, key=lambda lesion: np.mean([row["box_iou"] for row in of[lesion]]))
    n = min(EACH, (len(order) + 1) // 2)
    ends = {"worst": order[:n], "best": order[n:][::-1][:EACH]}
    return {
        f"{end}_{rank}_{row['view']}.png": row
        for end, lesions in ends.items()
        for rank, lesion in enumerate(lesions, start=1)
        for row in of[lesion]
    }


def _drawn(predictor: Predictor, table: CaseTable, row: int, view: View) -> RGBImage:
    """Return one image with its map, mask and box."""
    path = table.path(row)
    # A view's own readout does not look at the other view, so this one is enough.
    explanation = predictor.explain(
        clinical=path if view == "clinical" else None, dermoscopic=path if view == "dermoscopic" else None
    )
    k = explanation.predicted(view)
    values, box = explanation.to_pixels(view, k), explanation.box(view, k)
    top = float(explanation.top(view)[k])
    image = overlay(explanation.images[view], values, top=top, evidence=box is not None)
    return outlined(image, read_mask(table, row, max_pixels=predictor.scorer.data.max_pixels), box)


def outlined(image: RGBImage, mask: Mask, box: Box | None) -> RGBImage:
    """Return an image with the outline of a mask in white and a box in vermillion, both edged in black.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W).
        box: (x0, y0, x1, y1) in pixels of the image, half-open, or None.
    """
    result, thin = image.copy(), max(1, min(image.shape[:2]) // 150)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for edge in (BLACK, None):
        width = thin if edge is None else 3 * thin
        cv2.drawContours(result, outlines, -1, edge or WHITE, width)
        if box is not None:
            x0, y0, x1, y1 = (round(value) for value in box)
            cv2.rectangle(result, (x0, y0), (x1 - 1, y1 - 1), edge or VERMILLION, width)
    return result
