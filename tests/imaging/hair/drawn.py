"""Skin with hairs drawn on it, of which the place is known."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dermapair.types import RGBImage

SKIN = (205, 150, 130)
LESION = (120, 80, 60)
HAIR = (60, 45, 40)
ENDS = (((60, 30), (330, 290)), ((300, 40), (420, 330)), ((40, 300), (470, 330)), ((30, 120), (250, 100)))
"""Tips (x, y) of hairs on skin of 512 x 384 pixels."""


def skin(scale: float = 1.0) -> RGBImage:
    """Return smooth skin, lighter on the right, with a round lesion of soft edge."""
    height, width = round(384 * scale), round(512 * scale)
    shade = np.linspace(0.85, 1.1, width)[None, :, None]
    image = np.broadcast_to(np.array(SKIN) * shade, (height, width, 3)).astype(np.uint8).copy()
    lesion = np.zeros((height, width), np.float32)
    cv2.circle(lesion, (width // 2, height // 2), round(60 * scale), 1.0, -1)
    lesion = cv2.GaussianBlur(lesion, (0, 0), 12 * scale)[..., None]
    return ((1 - lesion) * image + lesion * np.array(LESION)).astype(np.uint8)


def hairy(scale: float = 1.0, thickness: int = 3) -> tuple[RGBImage, NDArray[np.bool_]]:
    """Return that skin with hairs, and where they lie."""
    image = skin(scale)
    mask = np.zeros(image.shape[:2], np.uint8)
    for a, b in ENDS:
        tips = [(round(x * scale), round(y * scale)) for x, y in (a, b)]
        cv2.line(image, *tips, HAIR, round(thickness * scale))
        cv2.line(mask, *tips, 1, round(thickness * scale))
    return image, mask > 0
