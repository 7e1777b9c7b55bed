"""Lesion masks of a case table: read, and checked against the image that they belong to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermapair.data.cases import MASK, CaseTable
from dermapair.errors import ImageError
from dermapair.imaging.read import DEFAULT_MAX_PIXELS, image_size, read_image

INSIDE = 127
"""Grey values above it are lesion."""


def has_mask(table: CaseTable, row: int) -> bool:
    """Return whether an image has a lesion mask."""
    return MASK in table.frame.columns and table.frame[MASK][row] is not None


def mask_problem(table: CaseTable, row: int) -> str | None:
    """Return why the lesion mask of an image cannot be used; None where it can."""
    try:
        read_mask(table, row)
    except ImageError as error:
        return str(error)
    return None


def read_mask(table: CaseTable, row: int, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.bool_]:
    """Return the (H, W) lesion mask of an image, True inside the lesion.

    Args:
        table: the cases.
        row: of the image.
        max_pixels: largest width x height, as `data.max_pixels` of a recipe.

    Raises:
        ImageError: mask or image cannot be read, the mask does not have the size of the upright image, or it
            holds no lesion.
    """
    path, image = table.root / str(table.frame[MASK][row]), table.path(row)
    mask: NDArray[np.bool_] = read_image(path, max_pixels=max_pixels).mean(axis=2) > INSIDE
    height, width = mask.shape
    expected = image_size(image, max_pixels=max_pixels)
    if (width, height) != expected:
        raise ImageError(
            path,
            f"expected a mask of {expected[0]} x {expected[1]} pixels as its upright image {image}, "
            f"got {width} x {height}; draw it on that image",
        )
    if not mask.any():
        raise ImageError(path, f"expected a lesion, brighter than {INSIDE}, got none; leave the mask out")
    return mask
