"""Building blocks of the drawings: random streams, noise, spots, outlines, blending.

Pictures are (H, W, 3) float32 RGB in [0, 1], fields and masks (H, W) float32; lengths are in pixels at a
short side of 256 and are scaled by `Canvas.scale`. What the parts mean is left to the siblings.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Field = NDArray[np.float32]
Points = NDArray[np.float64]

_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates
_HARMONICS = np.arange(2, 14)


def stream(seed: int, lesion: int, name: str) -> np.random.Generator:
    """Return the random stream of one part of one lesion: no part can shift the numbers of another."""
    return np.random.default_rng(
        np.random.SeedSequence([seed, lesion], spawn_key=(zlib.crc32(name.encode()),))
    )


@dataclass(frozen=True)
class Canvas:
    """One view of one lesion to be drawn: its size and its random streams.

    Attributes:
        view: clinical or dermoscopic.
        seed: seed of the whole set.
        lesion: index of the lesion in the set.
        size_px: short side; the long side is 4/3 of it.
    """

    view: str
    seed: int
    lesion: int
    size_px: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.size_px, round(self.size_px * 4 / 3)

    @property
    def scale(self) -> float:
        """Pixels per pixel of the 256 px design."""
        return self.size_px / 256

    def stream(self, name: str) -> np.random.Generator:
        """Return the random stream of one part of this view."""
        return stream(self.seed, self.lesion, f"{self.view}/{name}")

    def shared_stream(self, name: str) -> np.random.Generator:
        """Return a random stream that both views of the lesion share."""
        return stream(self.seed, self.lesion, f"lesion/{name}")

    def noise(self, rng: np.random.Generator, sigma: float) -> Field:
        """Return smooth noise of zero mean and unit deviation whose features are about `sigma` wide."""
        step = max(1.0, sigma * self.scale)
        coarse = rng.standard_normal([int(n / step) + 3 for n in self.shape], dtype=np.float32)
        size = [round(n * step) for n in coarse.shape[::-1]]
        fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[: self.shape[0], : self.shape[1]]
        return np.asarray((fine - fine.mean()) / (fine.std() + 1e-6), np.float32)

    def scatter(self, rng: np.random.Generator, spacing: float, jitter: float = 0.35) -> Points:
        """Return points of a shaken hexagonal grid over the whole canvas, (n, 2) as x, y."""
        step = spacing * self.scale
        rows, columns = (int(n / step) + 2 for n in (self.shape[0] / 0.87, self.shape[1]))
        y, x = np.mgrid[0:rows, 0:columns].astype(float)
        grid = np.stack([x + 0.5 * (y % 2), y * 0.87], axis=-1).reshape(-1, 2)
        return np.asarray((grid + rng.uniform(-jitter, jitter, grid.shape)) * step)

    def spots(self, points: Points, radii: NDArray[np.float64]) -> Field:
        """Return a mask of smooth-edged discs; radii in design pixels, (n,)."""
        mask = np.zeros(self.shape, np.uint8)
        fixed = np.rint(points * 2**_SHIFT).astype(int).tolist()
        for centre, radius in zip(
            fixed, np.rint(radii * self.scale * 2**_SHIFT).astype(int).tolist(), strict=True
        ):
            cv2.circle(mask, centre, radius, 255, -1, cv2.LINE_AA, _SHIFT)
        return as_field(mask)

    def strokes(self, lines: list[Points], widths: list[float]) -> Field:
        """Return a mask of smooth-edged curves; widths in design pixels."""
        mask = np.zeros(self.shape, np.uint8)
        for line, width in zip(lines, widths, strict=True):
            fixed = np.rint(line * 2**_SHIFT).astype(np.int32)
            cv2.polylines(mask, [fixed], False, 255, max(1, round(width * self.scale)), cv2.LINE_AA, _SHIFT)
        return as_field(mask)

    def blur(self, field: Field, sigma: float) -> Field:
        """Return a field (or picture) blurred by a Gaussian of `sigma` design pixels."""
        return np.asarray(cv2.GaussianBlur(field, (0, 0), max(0.3, sigma * self.scale)), np.float32)


@dataclass(frozen=True)
class Outline:
    """Where the lesion lies in one view, in polar coordinates about its centre.

    Attributes:
        centre: x, y in pixels.
        radius: mean radius in pixels.
        rho: (H, W) distance from the centre as a share of the outline's: 1 on the outline, less inside.
        profile: radius of the outline by angle, (720,) over a full turn.
    """

    centre: Points
    radius: float
    rho: Field
    profile: NDArray[np.float64]

    def at(self, angle: NDArray[np.float64], rho: NDArray[np.float64]) -> Points:
        """Return the points at angles (radians) and shares of the outline, (n, 2) as x, y."""
        r = rho * self.profile[(angle / (2 * np.pi) * 720).astype(int) % 720]
        return np.asarray(self.centre + np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1))

    def rho_at(self, points: Points) -> NDArray[np.float64]:
        """Return the share of the outline at points, (n,); far outside the canvas it is that of its rim."""
        x, y = np.rint(points).astype(int).T
        h, w = self.rho.shape
        return np.asarray(self.rho[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)], np.float64)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(H, W), 255 inside."""
        return np.where(self.rho < 1, 255, 0).astype(np.uint8)


def outline(canvas: Canvas, border: str, radius: tuple[float, float]) -> Outline:
    """Place the lesion: one shape for both views, turned, moved and scaled in each.

    Args:
        canvas: the view.
        border: regular (nearly an ellipse) or irregular (lobes and notches).
        radius: range of the mean radius as a share of the short side.
    """
    shape, place = canvas.shared_stream("outline"), canvas.stream("place")
    strength, phase = shape.uniform(0.6, 1, len(_HARMONICS)), shape.uniform(0, 2 * np.pi, len(_HARMONICS))
    regular = np.where(_HARMONICS == 2, 0.10, 0.018 * (_HARMONICS < 6))
    irregular = np.select([_HARMONICS <= 4, _HARMONICS <= 7], [0.12, 0.055], 0.03)
    turn = np.arange(720) / 720 * 2 * np.pi + place.uniform(0, 2 * np.pi)
    waves = np.cos(np.outer(turn, _HARMONICS) + phase)
    bumps = waves @ (strength * (irregular if border == "irregular" else regular))
    mean = place.uniform(*radius) * canvas.size_px
    centre = (np.array(canvas.shape[::-1]) / 2) + place.uniform(-0.05, 0.05, 2) * canvas.size_px
    profile = mean * np.clip(1 + bumps, 0.45, 1.38)
    dx, dy = (np.arange(n, dtype=np.float32) - c for n, c in zip(canvas.shape[::-1], centre, strict=True))
    x, y = np.meshgrid(dx.astype(np.float32), dy.astype(np.float32))
    r, angle = cv2.cartToPolar(x, y)
    index = (np.asarray(angle) * (720 / (2 * np.pi))).astype(np.int32) % 720
    return Outline(
        centre, float(mean), np.asarray(r / profile.astype(np.float32)[index], np.float32), profile
    )


def as_field(mask: NDArray[np.uint8]) -> Field:
    """Return a uint8 mask as a field in [0, 1]."""
    return mask.astype(np.float32) / np.float32(255)


def step(field: Field, low: float, high: float) -> Field:
    """Return the smooth step from 0 at `low` to 1 at `high`; falls where `low` > `high`."""
    t = np.clip((field - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def rgb(red: int, green: int, blue: int) -> NDArray[np.float32]:
    """Return an 8-bit sRGB colour in [0, 1], (3,)."""
    return np.array([red, green, blue], np.float32) / np.float32(255)


def paint(picture: Picture, colour: NDArray[np.float32], alpha: Field) -> Picture:
    """Lay a colour, (3,) or a picture, over a picture with opacity `alpha`."""
    return np.asarray(picture + alpha[..., None] * (colour - picture), np.float32)


def tint(picture: Picture, factor: tuple[float, float, float], alpha: Field) -> Picture:
    """Multiply the picture by a colour factor with strength `alpha`."""
    return np.asarray(picture * (1 + alpha[..., None] * (np.array(factor, np.float32) - 1)), np.float32)
