"""From an upright image to the prepared square, and where its pixels came from."""

from __future__ import annotations

import cv2

from dermapair.types import PixelMap, RGBImage


def square_map(size: tuple[int, int], *, side: int, fit: str) -> PixelMap:
    """Return where the prepared square lies in an original of `size` (width, height).

    Args:
        size: of the upright original, pixels.
        side: of the square, pixels.
        fit: "crop" (the short side becomes `side`, the centre is cut, aspect kept) or "squash" (both sides
            become `side`).
    """
    whole = PixelMap.identity(size)
    if fit == "squash":
        return whole.resize((side, side))
    width, height = _short_side_to(size, side)
    return whole.resize((width, height)).crop((width - side) // 2, (height - side) // 2, (side, side))


def make_square(image: RGBImage, *, side: int, fit: str) -> RGBImage:
    """Return the prepared square, (side, side, 3) uint8 RGB; its place in the image is `square_map`."""
    height, width = image.shape[:2]
    target = (side, side) if fit == "squash" else _short_side_to((width, height), side)
    if target != (width, height):
        shrinks = target[0] * target[1] < width * height
        image = cv2.resize(image, target, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    x0, y0 = (target[0] - side) // 2, (target[1] - side) // 2
    return image[y0 : y0 + side, x0 : x0 + side]


def _short_side_to(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return (width, height) with the aspect of `size` and `side` pixels on the short side."""
    width, height = size
    scale = side / min(width, height)
    return max(side, round(width * scale)), max(side, round(height * scale))
