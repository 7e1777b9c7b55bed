"""From an upright image to the prepared square, and where its pixels came from."""

from __future__ import annotations

import cv2
import numpy as np

from dermapair.imaging.crop import cut, whole_pixels
from dermapair.imaging.hair import remove_hair
from dermapair.types import Box, PixelMap, RGBImage

LONGEST = 4
"""Longest side that "crop" resizes, in short sides; what is beyond is cut before, as it is cut anyway."""


def square_map(size: tuple[int, int], *, side: int, fit: str, box: Box | None = None) -> PixelMap:
    """Return where the prepared square lies in an original of `size` (width, height).

    Args:
        size: of the upright original, pixels.
        side: of the square, pixels.
        fit: "crop" (the short side becomes `side`, the centre is cut, aspect kept) or "squash" (both sides
            become `side`).
        box: the part of the original that it is made of, or None: all of it.
    """
    whole = PixelMap.identity(size)
    if box is not None:
        left, top, right, bottom = whole_pixels(box)
        size = right - left, bottom - top
        whole = whole.crop(left, top, size)
    if fit == "squash":
        return whole.resize((side, side))
    x0, y0, kept = _not_too_long(size)
    width, height = _short_side_to(kept, side)
    resized = whole.crop(x0, y0, kept).resize((width, height))
    return resized.crop((width - side) // 2, (height - side) // 2, (side, side))


def square_of(
    image: RGBImage, *, side: int, fit: str, hair: str, box: Box | None = None
) -> tuple[RGBImage, bool]:
    """Return the prepared square of an original, and whether hair removal refused it.

    Args:
        image: (H, W, 3) uint8 RGB, upright.
        side: as for `square_map`.
        fit: as for `square_map`.
        hair: how hair is removed first, a name in `imaging.hair.METHODS`, or "none".
        box: as for `square_map`.
    """
    if hair == "none":
        return make_square(cut(image, box), side=side, fit=fit), False
    done = remove_hair(image, hair)
    return make_square(cut(done.image, box), side=side, fit=fit), done.refused


def make_square(image: RGBImage, *, side: int, fit: str) -> RGBImage:
    """Return the prepared square, (side, side, 3) uint8 RGB; its place in the image is `square_map`."""
    if fit == "crop":
        x0, y0, kept = _not_too_long((image.shape[1], image.shape[0]))
        image = image[y0 : y0 + kept[1], x0 : x0 + kept[0]]
    height, width = image.shape[:2]
    target = (side, side) if fit == "squash" else _short_side_to((width, height), side)
    if target != (width, height):
        shrinks = target[0] * target[1] < width * height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(image, target, interpolation=method), dtype=np.uint8)
    x0, y0 = (target[0] - side) // 2, (target[1] - side) // 2
    return image[y0 : y0 + side, x0 : x0 + side]


def _not_too_long(size: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
    """Return the corner and (width, height) of the central part, at most LONGEST times as long as wide.

    A strip of 1 x 60,000 pixels would else become one of 256 x 15 million.
    """
    width, height = size
    kept = min(width, LONGEST * height), min(height, LONGEST * width)
    return (width - kept[0]) // 2, (height - kept[1]) // 2, kept


def _short_side_to(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return (width, height) with the aspect of `size` and `side` pixels on the short side."""
    width, height = size
    scale = side / min(width, height)
    return max(side, round(width * scale)), max(side, round(height * scale))
