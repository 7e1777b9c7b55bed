"""Hair found by a small network and filled from what lies round it."""

from __future__ import annotations

import cv2
import numpy as np

from dermapair.imaging.hair.fill import fill
from dermapair.imaging.hair.found import Found
from dermapair.imaging.hair.network import BASE, hair_probability, working_size
from dermapair.types import RGBImage

HAIR = 0.5
"""Probability above which a pixel is hair."""
EDGE = 0.25
"""Probability above which a pixel is replaced, and EDGE_WIDTH pixels round it, at a longer side of BASE."""
EDGE_WIDTH = 4 / 3


def find_learned(image: RGBImage) -> Found:
    """Find hair; its blurred edge, which is not in the mask, is replaced with it."""
    size = image.shape[1], image.shape[0]
    small = cv2.resize(image, working_size(size), interpolation=cv2.INTER_AREA)
    probability = cv2.resize(hair_probability(np.asarray(small, dtype=np.uint8)), size)
    edge = np.ones((2 * round(EDGE_WIDTH * max(size) / BASE) + 1,) * 2, np.uint8)
    return Found(probability > HAIR, lambda: fill(image, cv2.dilate(probability, edge) > EDGE))
