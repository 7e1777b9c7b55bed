"""Images as the bytes of a file, and as what a page can hold."""

from __future__ import annotations

import base64

import cv2

from dermapair.types import RGBImage

WIDTH_PX = 320
"""Widest picture that a page holds."""


def png(image: RGBImage) -> bytes:
    """Return the file of an image; encoded in memory, as cv2.imwrite reports a full disk by False."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def data_uri(image: RGBImage) -> str:
    """Return an image as a small JPEG that a page can hold."""
    scale = min(1.0, WIDTH_PX / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
