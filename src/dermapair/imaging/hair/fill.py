"""Masked pixels filled from what lies round them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dermapair.types import RGBImage

LONGEST = 384
"""Longer side, pixels, of the image that is inpainted: what is filled in is smooth anyway."""
RADIUS = 3
"""Pixels of that image that inpainting looks at."""
SMOOTH = 1.8
"""Standard deviation of the blur after it, pixels: inpainting carries on the noise at the edge as streaks."""


def fill(image: RGBImage, mask: NDArray[np.bool_]) -> RGBImage:
    """Return the image with masked pixels inpainted (Telea 2004) and smoothed, every other as it was.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W), True where pixels are replaced. Where all of them are, the image comes back as it is.
    """
    if not mask.any() or mask.all():
        return image.copy()
    scale = min(1.0, LONGEST / max(mask.shape))
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    wanted = mask.astype(np.uint8)
    touched = cv2.resize(wanted * 255, size, interpolation=cv2.INTER_AREA) > 0
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    inpainted = cv2.inpaint(small, touched.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
    smooth = cv2.GaussianBlur(inpainted, (0, 0), SMOOTH)
    filled = cv2.resize(smooth, (image.shape[1], image.shape[0]))
    return np.asarray(cv2.copyTo(filled, wanted, image.copy()), dtype=np.uint8)
