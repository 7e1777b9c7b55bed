"""A picture with one bright spot at a known place, to follow pixels through a geometry."""

from __future__ import annotations

import numpy as np


def bright_spot(size: tuple[int, int], at: tuple[float, float], radius: float) -> np.ndarray:
    """Return a dark picture of (width, height) with a round bright spot at (x, y), HWC uint8."""
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    level = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * radius**2))
    return np.repeat(np.rint(level).astype(np.uint8)[..., None], 3, axis=2)


def centre_of_light(image: np.ndarray) -> np.ndarray:
    """Return the (x, y) of the centre of the light, in pixels."""
    light = image[..., 0].astype(float)
    x, y = np.arange(light.shape[1]) + 0.5, np.arange(light.shape[0]) + 0.5
    return np.array([light.sum(axis=0) @ x, light.sum(axis=1) @ y]) / light.sum()
