"""DullRazor: dark hairs found by a generalised closing, kept if long and thin, bridged from side to side.

Lee et al. 1997, in the four steps that Jia & Shen 2017, section 3.2, name without their numbers. Lengths are
in pixels of an image whose longer side is BASE and grow with the image, so that a hair is found at every
resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dermapair.imaging.hair.found import Found, Mask
from dermapair.types import RGBImage

BASE = 768


@dataclass(frozen=True)
class DullRazor:
    """The method with its keys; lengths in pixels at a longer side of BASE.

    Attributes:
        directions: line elements, evenly spread over half a turn; 4 are 0, 45, 90 and 135 degrees.
        element: length of the lines that close; wider hairs are missed.
        threshold: least difference of closing and image in any channel, of 255.
        length: least run of a hair along itself.
        width: a run across of this length or more is no hair.
        margin: pixels round a hair that are replaced with it.
    """

    directions: int = 4
    element: float = 11.0
    threshold: int = 20
    length: float = 30.0
    width: float = 10.0
    margin: float = 2.0

    def find(self, image: RGBImage) -> Found:
        """Find hair; its margin counts as hair and is replaced with it."""
        direction = self._directions_of_hair(image)
        return Found(direction > 0, lambda: self._filled(image, direction))

    def _filled(self, image: RGBImage, direction: NDArray[np.uint8]) -> RGBImage:
        """Return the image with hair replaced (steps 3 and 4)."""
        filled = image.copy()
        for k in range(self.directions):
            _bridge(filled, image, direction, k + 1, self._angle(k) + np.pi / 2)
        return adaptive_median(filled, direction > 0)

    def _angle(self, k: int) -> float:
        return np.pi * k / self.directions

    def _directions_of_hair(self, image: RGBImage) -> NDArray[np.uint8]:
        """Return (H, W): 0, or 1 + the number of the direction in which a hair runs there (steps 1 and 2)."""
        scale = max(image.shape[:2]) / BASE
        angles = [self._angle(k) for k in range(self.directions)]
        closed = np.maximum.reduce(
            [cv2.morphologyEx(image, cv2.MORPH_CLOSE, line(self.element * scale, a)) for a in angles]
        )
        candidates = (cv2.subtract(closed, image).max(axis=2) > self.threshold).astype(np.uint8)
        found = np.zeros(image.shape[:2], np.uint8)
        for k, angle in enumerate(angles):
            long = runs(candidates, self.length * scale, angle)
            wide = runs(candidates, self.width * scale, angle + np.pi / 2)
            found[(long > wide) & (found == 0)] = k + 1
        margin = round(self.margin * scale)
        return np.asarray(cv2.dilate(found, np.ones((2 * margin + 1,) * 2, np.uint8)), dtype=np.uint8)


def line(length: float, angle: float) -> NDArray[np.uint8]:
    """Return a structuring element: a line of `length` pixels, `angle` in radians from x to y."""
    half = max(1, round((length - 1) / 2))
    tip = np.rint([half * np.cos(angle), half * np.sin(angle)]).astype(int)
    x, y = np.abs(tip)
    element = np.zeros((2 * y + 1, 2 * x + 1), np.uint8)
    cv2.line(element, (int(x), int(y)), (int(x + tip[0]), int(y + tip[1])), 1)
    return np.asarray(element | element[::-1, ::-1], dtype=np.uint8)


def runs(mask: NDArray[np.uint8], length: float, angle: float) -> NDArray[np.uint8]:
    """Return (H, W) of 0 and 1: the pixels on a straight run of at least `length` pixels of the mask."""
    element = line(length, angle)
    opened = cv2.morphologyEx(
        mask, cv2.MORPH_OPEN, element, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )  # a run ends at the border
    return np.asarray(opened, dtype=np.uint8)


def _bridge(
    filled: RGBImage, image: RGBImage, direction: NDArray[np.uint8], which: int, across: float
) -> None:
    """Fill pixels of one direction from the nearest free pixels on both sides (step 3).

    The nearer of the two counts for more, as on a straight line from one to the other. Where one side has
    none inside the image, the other counts alone; where neither has, the pixel stays.
    """
    at = np.argwhere(direction == which)
    step = np.array([np.sin(across), np.cos(across)])
    total = np.zeros((len(at), 3))
    weight = np.zeros((len(at), 1))
    for sign in (-1, 1):
        place, distance = _nearest_free(direction, at, sign * step)
        there = distance > 0
        share = 1.0 / distance[there, None]
        total[there] += share * image[place[there, 0], place[there, 1]]
        weight[there] += share
    known = weight[:, 0] > 0
    at = at[known]
    filled[at[:, 0], at[:, 1]] = np.rint(total[known] / weight[known]).astype(np.uint8)


def _nearest_free(
    direction: NDArray[np.uint8], at: NDArray[np.intp], step: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the first free pixels from `at` along `step`, and how many steps away (0: none inside)."""
    place = at.copy()
    distance = np.zeros(len(at), np.int64)
    going = np.arange(len(at))
    t = 0
    while len(going):
        t += 1
        there = np.rint(at[going] + t * step).astype(np.intp)
        inside = ((there >= 0) & (there < direction.shape)).all(axis=1)
        going, there = going[inside], there[inside]
        free = direction[there[:, 0], there[:, 1]] == 0
        place[going[free]], distance[going[free]] = there[free], t
        going = going[~free]
    return place, distance


def adaptive_median(image: RGBImage, where: Mask) -> RGBImage:
    """Return the image with the impulses in `where` replaced by their median (step 4).

    In each channel the window grows from 3 over 5 to 7 pixels until its median is no extreme of it; a pixel
    that is an extreme there then becomes that median.
    """
    result = image.copy()
    open_ = np.repeat(where[..., None], 3, axis=2)
    for side in (3, 5, 7):
        window = np.ones((side, side), np.uint8)
        low, high = cv2.erode(image, window), cv2.dilate(image, window)
        median = cv2.medianBlur(image, side)
        settled = open_ & (median > low) & (median < high)
        impulse = settled & ((image <= low) | (image >= high))
        result[impulse] = median[impulse]
        open_ &= ~settled
    return result
