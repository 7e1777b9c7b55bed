"""Is a map true? Figures of one map against the mask of the lesion, against another map, or of a curve.

Pure functions of arrays. Where maps come from, and what is removed from an image to make a curve, is left to
`evaluation`.

Letters: H W pixels of an image.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from dermapair.errors import UsageError
from dermapair.types import Box, FloatArray

Mask = NDArray[np.bool_]
"""(H, W), True inside the lesion."""


def pointing_game(values: FloatArray, mask: Mask) -> float:
    """Return whether a map's maximum lies in the lesion (pointing game: Zhang et al. 2018, IJCV).

    Without their tolerance of 15 pixels round the target.

    Args:
        values: (H, W); NaN where the network saw nothing.
        mask: the lesion.

    Returns:
        1 or 0; of several pixels that share the maximum, the share inside. A map without a positive value
        points nowhere and counts as a miss, 0.

    Raises:
        UsageError: the shapes differ.
    """
    seen = _seen(values, mask)
    if not seen.any() or values[seen].max() <= 0:
        return 0.0
    return float(mask[values == values[seen].max()].mean())


def mass_inside(values: FloatArray, mask: Mask) -> float:
    """Return the share of a map's positive mass that lies in the lesion, in [0, 1].

    Args:
        values: (H, W); NaN where the network saw nothing.
        mask: the lesion.

    Returns:
        NaN for a map without a positive value: there is nothing to share out.

    Raises:
        UsageError: the shapes differ.
    """
    positive = np.where(_seen(values, mask), np.maximum(np.nan_to_num(values), 0.0), 0.0)
    total = float(positive.sum(dtype=np.float64))
    return float(positive[mask].sum(dtype=np.float64)) / total if total > 0 else np.nan


def box_iou(box: Box | None, mask: Mask) -> float:
    """Return intersection over union of a box and the smallest box round the lesion.

    Args:
        box: (x0, y0, x1, y1), pixels, half-open; None (no positive evidence) has an IoU of 0.
        mask: the lesion.

    Returns:
        In [0, 1]; NaN for an empty mask, which has no box.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.nan
    if box is None:
        return 0.0
    x0, y0, x1, y1 = box
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    width, height = min(x1, right) - max(x0, left), min(y1, bottom) - max(y0, top)
    common = max(width, 0.0) * max(height, 0.0)
    return float(common / ((x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - common))


def share_inside(box: Box, mask: Mask) -> float:
    """Return the share of a lesion's pixels that a box holds, in [0, 1].

    Args:
        box: (x0, y0, x1, y1), pixels, half-open; a pixel that it touches counts as inside.
        mask: the lesion.

    Returns:
        NaN for an empty mask.
    """
    x0, y0, x1, y1 = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
    total = int(mask.sum())
    return float(mask[y0:y1, x0:x1].sum() / total) if total else np.nan


def area_under(curve: ArrayLike) -> float:
    """Return the mean height of a deletion or insertion curve by trapezoids (RISE: Petsiuk et al. 2018).

    Args:
        curve: at least two probabilities at even steps over [0, 1], the share of pixels removed or inserted.

    Raises:
        UsageError: fewer than two points.
    """
    heights = np.asarray(curve, dtype=np.float64)
    if heights.ndim != 1 or len(heights) < 2:
        raise UsageError(
            f"expected a curve of at least two points, got shape {heights.shape}; take more steps"
        )
    return float(np.trapezoid(heights, dx=1 / (len(heights) - 1)))


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's correlation of two maps, over the pixels that both have.

    The figure of the sanity check of Adebayo et al. 2018: maps that hardly change when the weights are drawn
    anew explain the image, not the network.

    Args:
        a: a map; NaN where there is nothing.
        b: likewise, of the same shape.

    Returns:
        In [-1, 1]; NaN where one of them is constant.

    Raises:
        UsageError: the shapes differ.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    _same_shape(x, y)
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if not len(x) or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(stats.spearmanr(x, y).statistic)


def _seen(values: FloatArray, mask: Mask) -> Mask:
    _same_shape(values, mask)
    return ~np.isnan(values)


def _same_shape(a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
    if a.shape != b.shape:
        raise UsageError(
            f"expected two arrays of one shape, got {a.shape} and {b.shape}; bring them to one size"
        )
