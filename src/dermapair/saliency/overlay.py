"""A map drawn over the user's own image."""

from __future__ import annotations

import cv2
import matplotlib
import numpy as np

from dermapair.types import FloatArray, RGBImage

COLOURS = "viridis"
"""Perceptually uniform, and told apart by colour-blind readers (van der Walt & Smith 2015)."""
ROWS = 256
"""Rows drawn at a time: a large picture takes little more memory than itself."""
NO_EVIDENCE = "no positive evidence"


def overlay(image: RGBImage, values: FloatArray, *, top: float, evidence: bool = True) -> RGBImage:
    """Return the image with a map over it.

    Args:
        image: (H, W, 3) uint8 RGB.
        values: (H, W); NaN where the network saw nothing, which is drawn dark and grey.
        top: the value drawn brightest, above 0; the same for maps that are to be compared.
        evidence: whether the map has positive evidence: a box (`place.find_box`).

    Returns:
        (H, W, 3) uint8 RGB. Negative values are drawn as 0. Without evidence the image is grey and says so.
    """
    if not evidence:
        return _written(_grey(image), NO_EVIDENCE)
    result = np.empty_like(image)
    for row in range(0, len(image), ROWS):
        part = slice(row, row + ROWS)
        result[part] = _mixed(image[part], values[part], top)
    return result


def _grey(image: RGBImage) -> RGBImage:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def _mixed(image: RGBImage, values: FloatArray, top: float) -> RGBImage:
    """Return some rows of the image with the map over them."""
    unseen = np.isnan(values)
    share = np.clip(np.nan_to_num(values) / top, 0.0, 1.0).astype(np.float32)
    table = (matplotlib.colormaps[COLOURS](np.arange(256))[:, :3] * 255).astype(np.float32)
    colour = table[np.rint(share * 255).astype(np.uint8)]
    alpha = (0.1 + 0.5 * share)[..., None]
    mixed = (1 - alpha) * image + alpha * colour
    mixed[unseen] = _grey(image)[unseen] * 0.4
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def _written(image: RGBImage, words: str) -> RGBImage:
    """Write words over the middle of an image, as large as fits."""
    height, width = image.shape[:2]
    font = cv2.FONT_HERSHEY_SIMPLEX
    (length, rise), _ = cv2.getTextSize(words, font, 1.0, 2)
    scale = 0.8 * width / length
    thick = max(1, round(2 * scale))
    corner = (round(0.1 * width), round(height / 2 + scale * rise / 2))
    result = np.ascontiguousarray(image)
    for colour, weight in (((0, 0, 0), 3 * thick), ((255, 255, 255), thick)):
        cv2.putText(result, words, corner, font, scale, colour, weight, cv2.LINE_AA)
    return result
