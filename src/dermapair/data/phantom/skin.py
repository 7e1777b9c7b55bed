"""What both views share and no attribute touches: skin, hair, the camera's noise.

The lesion on it is left to `clinical` and `dermoscopic`.
"""

from __future__ import annotations

import cv2
import numpy as np

from dermapair.data.phantom.canvas import Canvas, Field, Picture, Points, paint, rgb, tint

SKIN_TONES = {
    1: rgb(244, 216, 200),
    2: rgb(236, 200, 176),
    3: rgb(222, 180, 148),
    4: rgb(202, 156, 122),
    5: rgb(174, 126, 96),
    6: rgb(146, 102, 78),
}
"""Colour of the skin by `skin_tone`: 1 very light to 6 very dark, in the order of Fitzpatrick's types."""

_MELANIN, _BLOOD = (0.86, 0.76, 0.66), (0.98, 0.84, 0.84)
_HAIR_COLOURS = (rgb(26, 20, 18), rgb(58, 38, 26), rgb(96, 66, 42))


def bare_skin(canvas: Canvas, tone: int) -> Picture:
    """Return skin of a tone (1 to 6) with uneven melanin and blood, without relief or light."""
    rng = canvas.stream("skin")
    flat = np.broadcast_to(
        SKIN_TONES[tone] * rng.uniform(0.96, 1.04, 3).astype(np.float32), (*canvas.shape, 3)
    )
    melanin = 0.20 * canvas.noise(rng, 60) + 0.10 * canvas.noise(rng, 14)
    blood = 0.22 * canvas.noise(rng, 40) + 0.12 * canvas.noise(rng, 9)
    return tint(tint(flat, _MELANIN, melanin), _BLOOD, blood)


def furrows(canvas: Canvas) -> Field:
    """Return the height of the skin's fine relief: crossing furrows and pores, about unit deviation."""
    rng = canvas.stream("furrows")
    first = rng.uniform(0, np.pi)
    angles = (first, first + rng.uniform(0.9, 1.4))
    bands = sum(_grain(canvas, rng, angle) for angle in angles)
    points = canvas.scatter(rng, rng.uniform(13, 20), 0.45)
    pores = canvas.blur(canvas.spots(points, rng.uniform(0.6, 1.5, len(points))), 0.7)
    return np.asarray(bands / 1.4 - 3 * pores, np.float32)


def _grain(canvas: Canvas, rng: np.random.Generator, angle: float) -> Field:
    """Return noise drawn out along one direction, unit deviation."""
    half = round(7 * canvas.scale) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1] / canvas.scale
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-((along / 4.5) ** 2) - (across / 1.1) ** 2)
    field = cv2.filter2D(canvas.noise(rng, 1), -1, kernel.astype(np.float32))
    return np.asarray(field / field.std(), np.float32)


def light(canvas: Canvas) -> tuple[Field, Points]:
    """Return uneven light, about 1, and the direction (x, y) from which it comes."""
    rng = canvas.stream("light")
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.22)
    direction = np.array([np.cos(angle), np.sin(angle)])
    h, w = canvas.shape
    y, x = (np.mgrid[0:h, 0:w] - np.array([h, w])[:, None, None] / 2) / h
    field = 1 + slope * (x * direction[0] + y * direction[1]) + rng.uniform(-0.08, 0.06)
    return np.asarray(field + 0.02 * canvas.noise(rng, 90), np.float32), direction


def hairs(canvas: Canvas, width: float) -> Field:
    """Return the opacity of the hairs; about half of the lesions have none, in either view."""
    density = canvas.shared_stream("hair").uniform()
    rng = canvas.stream("hair")
    count = 0 if density < 0.5 else rng.integers(3, 10) if density < 0.9 else rng.integers(12, 22)
    lines = [_hair(canvas, rng) for _ in range(count)]
    return canvas.strokes(lines, [width * rng.uniform(0.8, 1.5) for _ in lines])


def _hair(canvas: Canvas, rng: np.random.Generator) -> Points:
    """Return one hair: a quadratic Bezier curve, (20, 2)."""
    start = rng.uniform(0, canvas.shape[::-1])
    angle, length = rng.normal(rng.choice([0.6, 2.4]), 0.5), rng.uniform(60, 190) * canvas.scale
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    middle = (start + end) / 2 + rng.normal(0, 0.15 * length, 2)
    t = np.linspace(0, 1, 20)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end)


def lay_hairs(picture: Picture, canvas: Canvas, opacity: Field) -> Picture:
    """Paint hairs of one colour over the picture, each with a faint shadow."""
    colour = _HAIR_COLOURS[canvas.shared_stream("hair colour").integers(len(_HAIR_COLOURS))]
    shift = np.array([[1, 0, 2 * canvas.scale], [0, 1, 2 * canvas.scale]], np.float32)
    shadow = cv2.warpAffine(opacity, shift, canvas.shape[::-1])
    return paint(tint(picture, (0.8, 0.8, 0.8), canvas.blur(np.asarray(shadow), 1)), colour, 0.9 * opacity)


def photograph(picture: Picture, canvas: Canvas, blur: float, noise: float) -> Picture:
    """Return the picture as a camera gives it: a little soft, grainy and off in colour."""
    rng = canvas.stream("camera")
    grain = noise * rng.standard_normal(canvas.shape, dtype=np.float32)
    balance = rng.uniform(0.97, 1.03, 3).astype(np.float32)
    return np.asarray(canvas.blur(picture, blur) * balance + grain[..., None], np.float32)
