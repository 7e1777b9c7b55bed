"""Near duplicates: pairs of images whose small grey pictures are almost perfectly correlated.

Robust to resizing, JPEG and changes of brightness, contrast and tint, as the correlation is; not to flips,
rotations and crops.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from dermapair.data.cases import CaseTable
from dermapair.errors import ImageError
from dermapair.imaging.read import read_image

SIDE = 24
CORRELATION = 0.99
CHUNK = 1024


def near_duplicates(table: CaseTable, *, correlation: float = CORRELATION) -> list[tuple[int, int]]:
    """Return pairs of rows (i < j) that show the same picture.

    Unreadable images are in no pair; `data prepare` lists them.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda row: _descriptor(table, row), range(len(table.frame))))
    return correlated_pairs(np.stack(found), correlation=correlation)


def correlated_pairs(
    descriptors: NDArray[np.float32], *, correlation: float = CORRELATION
) -> list[tuple[int, int]]:
    """Return pairs of rows (i < j) of unit-length descriptors (N, D) with a product above `correlation`."""
    pairs = []
    for start in range(0, len(descriptors), CHUNK):
        products = descriptors[start : start + CHUNK] @ descriptors[start:].T
        left, right = np.nonzero(np.triu(products, k=1) > correlation)
        pairs += [(start + int(i), start + int(j)) for i, j in zip(left, right, strict=True)]
    return pairs


def _descriptor(table: CaseTable, row: int) -> NDArray[np.float32]:
    """Return (SIDE * SIDE,) of mean 0 and length 1, or zeros for an unreadable or constant image."""
    try:
        image = read_image(table.path(row), min_side=4 * SIDE)
    except ImageError:
        return np.zeros(SIDE * SIDE, dtype=np.float32)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > 1e-3 else np.zeros_like(small)
