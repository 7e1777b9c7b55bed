"""Does the part that stage one cuts out hold the lesion? Boxes against masks (Jia & Shen 2017, figure 4)."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from dermapair.data.boxes import Boxes
from dermapair.data.cases import CaseTable
from dermapair.data.masks import has_mask, read_mask
from dermapair.errors import ImageError, UsageError
from dermapair.evaluation.evaluate import plain
from dermapair.metrics.bootstrap import bootstrap_mean
from dermapair.metrics.saliency import box_iou, share_inside

FIGURES = ("iou", "kept", "part", "lesion", "whole", "under_half")


def measure_cuts(table: CaseTable, boxes: Boxes) -> dict[str, Any]:
    """Hold cut parts against lesion masks.

    Args:
        table: the cases; masks in the extra column `mask`.
        boxes: row of the table -> the part that stage two looks at.

    Returns:
        `n` images with a mask, and as means with 95% intervals (bootstrap over patients where known, else
        lesions): `iou` of the part with the smallest box round the lesion; `kept`, the share of the lesion's
        pixels inside the part; `part` and `lesion`, the area of the part and of the lesion's box as shares of
        the image; `whole`, the share of images that stay whole; `under_half`, that of images whose part holds
        less than half of the lesion. `images`: the same for each image, with its id. `errors`: (image id,
        reason) of masks that cannot be read.

    Raises:
        UsageError: no image with a box has a mask that can be read.
    """
    rows = [row for row in sorted(boxes) if has_mask(table, row)]
    errors: list[list[str]] = []
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda row: _measured(table, boxes, row, errors), rows))
    kept = [(row, each) for row, each in zip(rows, found, strict=True) if each]
    if not kept:
        why = f"{len(errors)} that cannot be read, the first: {errors[0][1]}" if errors else "none"
        raise UsageError(
            f"{table.folder or table.root}: expected boxed images with lesion masks (column mask), got {why}"
        )
    groups = [table.frame["patient_id"][row] or table.frame["lesion_id"][row] for row, _ in kept]
    images = [{"image_id": str(table.frame["image_id"][row])} | dict(each) for row, each in kept]
    means = {
        name: plain(bootstrap_mean([float(each[name]) for _, each in kept], groups=groups))
        for name in FIGURES
    }
    return {"n": len(kept), **means, "images": images, "errors": sorted(errors)}


def _measured(
    table: CaseTable, boxes: Boxes, row: int, errors: list[list[str]]
) -> Mapping[str, float | bool] | None:
    """Return the figures of one image; None, and a line in `errors`, where its mask cannot be read."""
    try:
        mask = read_mask(table, row)
    except ImageError as error:
        errors.append([str(table.frame["image_id"][row]), str(error)])
        return None
    box, (height, width) = boxes[row], mask.shape
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    kept, part = share_inside(box, mask), (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
    return {
        "iou": box_iou(box, mask),
        "kept": kept,
        "part": part,
        "lesion": float((ys[-1] - ys[0] + 1) * (xs[-1] - xs[0] + 1) / (width * height)),
        "whole": bool(part > 1 - 1e-9),
        "under_half": bool(kept < 0.5),
    }
