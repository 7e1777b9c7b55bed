"""One augmentation: its parameters, how they are drawn, what they do to pixels and to coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dermapair.config import AugmentSettings
from dermapair.types import PixelMap, RGBImage


@dataclass(frozen=True)
class Augmentation:
    """The parameters of one augmented sample, applied in this order.

    Attributes:
        x0, y0: corner of the cut in the prepared square, pixels.
        side: of the cut, pixels; it is then resized to the network's input.
        mirror: left and right are exchanged.
        turns: quarter turns counter-clockwise.
        brightness, contrast, saturation: factors; 1 leaves pixels alone. Contrast is about mid-grey (128).
    """

    x0: int
    y0: int
    side: int
    mirror: bool = False
    turns: int = 0
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0


def centre(size: int, input_side: int) -> Augmentation:
    """Return the cut of `input_side` from the centre of a square of `size`, unchanged otherwise."""
    corner = (size - input_side) // 2
    return Augmentation(corner, corner, input_side)


def draw(rng: np.random.Generator, settings: AugmentSettings, *, size: int, input_side: int) -> Augmentation:
    """Draw the parameters of one sample.

    Args:
        rng: the only source of chance; one generator per sample makes the draw independent of order.
        settings: the recipe's `augment` section.
        size: side of the prepared square, pixels.
        input_side: side of the network's input, pixels.
    """
    factor = rng.uniform(*settings.scale)
    side = min(size, max(1, round(input_side * factor)))
    free = size - side
    x0, y0 = _corner(rng, settings.crop, free)
    mirror = settings.mirror and rng.random() < 0.5
    upside_down = settings.flip and rng.random() < 0.5
    turns = int(rng.integers(4)) if settings.rotate90 else 0
    jitter = (settings.brightness, settings.contrast, settings.saturation)
    brightness, contrast, saturation = (float(rng.uniform(1 - x, 1 + x)) if x else 1.0 for x in jitter)
    # Up-down is a mirror image turned by half a turn.
    mirror, turns = (not mirror, (turns + 2) % 4) if upside_down else (mirror, turns)
    return Augmentation(x0, y0, side, bool(mirror), turns, brightness, contrast, saturation)


def _corner(rng: np.random.Generator, crop: str, free: int) -> tuple[int, int]:
    """Return the upper left corner of a cut that leaves `free` pixels of the square on each axis."""
    if crop == "random":
        x0, y0 = rng.integers(0, free + 1, size=2)
        return int(x0), int(y0)
    if crop == "five":
        return five_corners(free)[rng.integers(5)]
    return free // 2, free // 2


def five_corners(free: int) -> tuple[tuple[int, int], ...]:
    """Return (x0, y0) of the centre cut and of those in the four corners (Jia & Shen 2017, section 3.1).

    Args:
        free: pixels that the cut leaves of the square on each axis.
    """
    return (free // 2, free // 2), (0, 0), (free, 0), (0, free), (free, free)


def apply(image: RGBImage, augmentation: Augmentation, *, input_side: int) -> RGBImage:
    """Return the network's input.

    Args:
        image: prepared square, HWC uint8 RGB.
        augmentation: what to do.
        input_side: side of the result, pixels.

    Returns:
        (input_side, input_side, 3) uint8 RGB, contiguous.
    """
    a = augmentation
    cut = image[a.y0 : a.y0 + a.side, a.x0 : a.x0 + a.side]
    if a.side != input_side:
        method = cv2.INTER_AREA if a.side > input_side else cv2.INTER_LINEAR
        cut = np.asarray(cv2.resize(cut, (input_side, input_side), interpolation=method), dtype=np.uint8)
    if a.mirror:
        cut = cut[:, ::-1]
    return np.ascontiguousarray(_colour(np.rot90(cut, a.turns), a))


def _colour(image: RGBImage, a: Augmentation) -> RGBImage:
    """Apply saturation, then brightness and contrast by one table of 256 values."""
    if a.saturation != 1.0:
        image = np.ascontiguousarray(image)
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        mixed = cv2.addWeighted(image, a.saturation, grey, 1 - a.saturation, 0.0)
        image = np.asarray(mixed, dtype=np.uint8)
    if (a.brightness, a.contrast) != (1.0, 1.0):
        levels = (np.arange(256) * a.brightness - 128) * a.contrast + 128
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        image = np.asarray(cv2.LUT(np.ascontiguousarray(image), table), dtype=np.uint8)
    return image


def place(augmentation: Augmentation, square: PixelMap, *, input_side: int) -> PixelMap:
    """Return where the network's input lies in the original whose prepared square lies at `square`."""
    a = augmentation
    cut = square.crop(a.x0, a.y0, (a.side, a.side)).resize((input_side, input_side))
    return (cut.flip() if a.mirror else cut).rotate90(a.turns)
