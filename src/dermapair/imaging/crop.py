"""From a box that a map points at to the part of the original that stage two looks at."""

from __future__ import annotations

import math

from dermapair.config import CropSettings
from dermapair.types import Box, RGBImage


def crop_of(box: Box | None, size: tuple[int, int], settings: CropSettings) -> Box:
    """Return the part of an image that is cut out for a box (method of Jia & Shen 2017, section 3.3).

    The paper gives no rule; this one widens the box by `margin`, makes it square and at least `least` of the
    image's short side, and shifts it into the image. A square wider than the image loses what is outside.

    Args:
        box: (x0, y0, x1, y1) in pixels of the upright original, or None: the map says nothing.
        size: (width, height) of the upright original.
        settings: the recipe's `crop` section.

    Returns:
        (x0, y0, x1, y1) inside the image; the whole image where there is no box, or where the part would be
        more than `whole` of its area.
    """
    everything = (0.0, 0.0, float(size[0]), float(size[1]))
    if box is None:
        return everything
    sides = [(1 + 2 * settings.margin) * side for side in (box[2] - box[0], box[3] - box[1])]
    if settings.square:
        sides = [max(sides)] * 2
    sides = [max(side, settings.least * min(size)) for side in sides]
    x0, x1 = _inside((box[0] + box[2]) / 2, sides[0], size[0])
    y0, y1 = _inside((box[1] + box[3]) / 2, sides[1], size[1])
    part = (x1 - x0) * (y1 - y0) / (size[0] * size[1])
    return everything if part > settings.whole else (x0, y0, x1, y1)


def _inside(middle: float, side: float, length: int) -> tuple[float, float]:
    """Return start and end of a side round a middle, shifted into [0, length] and cut to it."""
    side = min(side, length)
    start = min(max(middle - side / 2, 0.0), length - side)
    return start, start + side


def whole_pixels(box: Box) -> tuple[int, int, int, int]:
    """Return the smallest box of whole pixels that holds a box."""
    return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])


def cut(image: RGBImage, box: Box | None) -> RGBImage:
    """Return the whole pixels of an image that a box touches; None is the image as it is."""
    if box is None:
        return image
    x0, y0, x1, y1 = whole_pixels(box)
    return image[y0:y1, x0:x1]
