"""What most public code calls DullRazor: black-hat, a threshold, inpainting; sizes as copied, in pixels."""

from __future__ import annotations

import cv2
import numpy as np

from dermapair.imaging.hair.found import Found, Mask
from dermapair.types import RGBImage

ELEMENT = 9
THRESHOLD = 10
RADIUS = 6


def find_by_blackhat(image: RGBImage) -> Found:
    """Find dark narrow things; they are inpainted (Telea 2004)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (ELEMENT, ELEMENT))
    found = cv2.GaussianBlur(cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cross), (3, 3), 0) > THRESHOLD
    return Found(found, lambda: _inpainted(image, found))


def _inpainted(image: RGBImage, mask: Mask) -> RGBImage:
    filled = cv2.inpaint(image, mask.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
    return np.asarray(filled, dtype=np.uint8)
