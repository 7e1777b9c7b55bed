"""Maps and boxes brought back to the pixels of the image that the user gave.

Letters: h w map cells, H W pixels of the user's image.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dermapair.saliency.grid import Grid
from dermapair.types import Box, FloatArray, PixelMap

BOX_THRESHOLD = 0.2
"""Share of a map's maximum above which a pixel belongs to the box (Zhou et al. 2016)."""


def to_pixels(values: FloatArray, grid: Grid, placed: PixelMap) -> FloatArray:
    """Return a map on the user's own image.

    Args:
        values: (h, w).
        grid: where its cells lie in the network's input.
        placed: where that input lies in the image; crops, stretches, flips and quarter turns.

    Returns:
        (H, W) float32, bilinear between the cells' centres and constant beyond the outermost ones; NaN where
        the network saw no part of the pixel.
    """
    width, height = placed.source_size
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    m = placed.matrix
    if m[0, 0] == 0.0:  # a quarter turn: the input's x runs along the image's y
        across, down = m[1, 0] * x + m[1, 2], m[0, 1] * y + m[0, 2]
        values, sides = np.asarray(values).T, (placed.size[1], placed.size[0])
    else:
        across, down = m[0, 0] * x + m[0, 2], m[1, 1] * y + m[1, 2]
        values, sides = np.asarray(values), placed.size
    columns = _between(grid.cells(across), values.shape[1])
    rows = _between(grid.cells(down), values.shape[0])
    # By torch: the threads of numpy's product wait busily and would slow the next pass through a network.
    parts = (torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)) for x in (rows, values, columns.T))
    result: FloatArray = torch.linalg.multi_dot(list(parts)).numpy()
    result[:, _unseen(across, sides[0])] = np.nan
    result[_unseen(down, sides[1])] = np.nan
    return result


def _unseen(centres: FloatArray, side: int) -> NDArray[np.bool_]:
    """Return which pixels lie wholly outside an input of `side`, from where their centres lie in it."""
    half = abs(centres[1] - centres[0]) / 2 if len(centres) > 1 else np.inf
    return np.asarray((centres + half < 1e-6) | (centres - half > side - 1e-6))


def _between(cells: FloatArray, n: int) -> FloatArray:
    """Return (len(cells), n) weights of linear interpolation at positions in cells."""
    at = np.clip(cells, 0, n - 1)
    low = np.minimum(at.astype(int), max(n - 2, 0))
    high = np.minimum(low + 1, n - 1)
    weights = np.zeros((len(at), n), dtype=np.float32)
    place = np.arange(len(at))
    weights[place, low] += 1 - (at - low)
    weights[place, high] += at - low
    return weights


def find_box(
    values: FloatArray, grid: Grid, placed: PixelMap, *, threshold: float = BOX_THRESHOLD
) -> Box | None:
    """Return the box round the largest connected region of a map over a share of its maximum.

    Args:
        values: (h, w).
        grid: where its cells lie in the network's input.
        placed: where that input lies in the image.
        threshold: share of the maximum, in (0, 1).

    Returns:
        (x0, y0, x1, y1) in pixels of the user's own image, or None without positive evidence.
    """
    seen = to_pixels(values, grid, PixelMap.identity(placed.size))
    if seen.max() <= 0:
        return None
    over = (seen >= threshold * seen.max()).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(over, connectivity=8)
    largest = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    x, y, width, height = (float(value) for value in stats[largest, :4])
    return placed.box_to_source((x, y, x + width, y + height))
