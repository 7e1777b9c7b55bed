"""The clinical photograph: a lesion amid skin, seen from some way off in slanting light.

It shows `colour`, `border`, `elevation`, `surface` and `surroundings`, and nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from dermapair.data.phantom.canvas import (
    Canvas,
    Field,
    Outline,
    Picture,
    Points,
    outline,
    paint,
    rgb,
    step,
    tint,
)
from dermapair.data.phantom.skin import bare_skin, furrows, light

COLOURS = {
    "brown": rgb(132, 82, 48),
    "dark": rgb(52, 38, 36),
    "red": rgb(188, 66, 66),
    "blue": rgb(62, 80, 122),
    "yellow": rgb(228, 184, 98),
}
_RADIUS = (0.20, 0.25)


def draw_clinical(canvas: Canvas, attributes: Mapping[str, str], tone: int) -> tuple[Picture, Outline]:
    """Return the photograph without hair and camera noise, and where the lesion lies.

    Args:
        canvas: the view.
        attributes: colour, border, elevation, surface and surroundings.
        tone: skin tone, 1 to 6.
    """
    region = outline(canvas, attributes["border"], _RADIUS)
    field, direction = light(canvas)
    picture = _SURROUNDINGS[attributes["surroundings"]](bare_skin(canvas, tone), canvas, region)
    picture = _pigment(picture, canvas, region, attributes)
    picture, bumps = _SURFACES[attributes["surface"]](picture, canvas, region)
    height, shadow = _elevation(canvas, region, attributes["elevation"], direction)
    picture = tint(picture, (0.55, 0.5, 0.5), shadow)
    relief = (0.10 + 0.08 * step(region.rho, 0.9, 1.1)) * furrows(canvas)
    picture = _shade(picture, np.asarray(height + relief + bumps, np.float32), field, direction)
    return _dull(picture), region


def _pigment(picture: Picture, canvas: Canvas, region: Outline, attributes: Mapping[str, str]) -> Picture:
    rng = canvas.stream("pigment")
    alpha = step(region.rho, 1.05, 0.93)
    colour = COLOURS[attributes["colour"]] * rng.uniform(0.93, 1.07)
    picture = paint(picture, colour, np.asarray(alpha * 0.93))
    mottle = np.asarray(alpha * (0.35 * canvas.noise(rng, 16) + 0.25 * canvas.noise(rng, 5)), np.float32)
    picture = tint(picture, (0.84, 0.82, 0.82), mottle)
    if attributes["border"] == "irregular":  # asymmetry: one side is darker
        angle = rng.uniform(0, 2 * np.pi, 1)
        x, y = region.at(angle, np.array([0.6]))[0]
        yy, xx = np.mgrid[0 : canvas.shape[0], 0 : canvas.shape[1]]
        distance = np.hypot(xx - x, yy - y).astype(np.float32) / region.radius
        picture = tint(picture, (0.6, 0.58, 0.6), np.asarray(alpha * step(distance, 0.8, 0.3)))
    return picture


def _plain(picture: Picture, canvas: Canvas, region: Outline) -> Picture:
    return picture


def _reddened(picture: Picture, canvas: Canvas, region: Outline) -> Picture:
    edge = 0.12 * canvas.noise(canvas.stream("redness"), 18)
    return tint(picture, (1.0, 0.55, 0.55), step(region.rho + edge, 2.1, 1.25))


def _freckled(picture: Picture, canvas: Canvas, region: Outline) -> Picture:
    rng = canvas.stream("freckles")
    points = canvas.scatter(rng, 27, 0.42)
    radii = rng.uniform(2.8, 7.0, len(points)) * (rng.uniform(size=len(points)) < 0.85)
    points, radii = points[radii > 0], radii[radii > 0]
    return tint(picture, (0.70, 0.56, 0.45), canvas.blur(canvas.spots(points, radii), 1.5))


_SURROUNDINGS = {"plain": _plain, "reddened": _reddened, "freckled": _freckled}


def _smooth(picture: Picture, canvas: Canvas, region: Outline) -> tuple[Picture, Field]:
    return picture, np.zeros(canvas.shape, np.float32)


def _scaly(picture: Picture, canvas: Canvas, region: Outline) -> tuple[Picture, Field]:
    """White flakes with raised edges over the whole lesion."""
    rng = canvas.stream("scale")
    field = canvas.noise(rng, 8) + 0.35 * canvas.noise(rng, 3)
    flakes = np.asarray(step(field, 0.15, 0.45) * step(region.rho, 1.02, 0.9), np.float32)
    return paint(picture, rgb(244, 238, 228), 0.85 * flakes), 1.2 * canvas.blur(flakes, 0.8)


def _crusted(picture: Picture, canvas: Canvas, region: Outline) -> tuple[Picture, Field]:
    """A raw, dark red centre under broken amber crust."""
    rng = canvas.stream("crust")
    edge = region.rho + 0.09 * canvas.noise(rng, 9)
    raw = step(edge, 0.74, 0.66)
    plates = np.asarray(step(canvas.noise(rng, 9), -0.25, 0.05) * step(edge, 0.72, 0.62), np.float32)
    picture = paint(picture, rgb(112, 20, 22), 0.93 * raw)
    picture = paint(picture, rgb(198, 144, 66), 0.93 * plates)
    return picture, np.asarray(2.0 * canvas.blur(plates, 1.0) - 1.5 * raw, np.float32)


_SURFACES = {"smooth": _smooth, "scaly": _scaly, "crusted": _crusted}


def _elevation(canvas: Canvas, region: Outline, elevation: str, direction: Points) -> tuple[Field, Field]:
    """Return the height of the lesion, in pixels, and the opacity of the shadow that it casts."""
    if elevation == "flat":
        return np.zeros(canvas.shape, np.float32), np.zeros(canvas.shape, np.float32)
    if elevation == "raised":
        height, reach = 8.0 * canvas.scale * step(region.rho, 1.03, 0.70), 0.16
    else:
        height = 0.85 * region.radius * np.sqrt(np.clip(1 - np.minimum(region.rho, 1) ** 2, 0, 1))
        reach = 0.42
    inside = step(region.rho, 1.02, 0.98)
    x, y = -reach * region.radius * direction
    moved = cv2.warpAffine(inside, np.array([[1, 0, x], [0, 1, y]], np.float32), canvas.shape[::-1])
    shadow = canvas.blur(np.asarray(moved, np.float32), 3) * (1 - inside)
    return canvas.blur(np.asarray(height, np.float32), 1.2), np.asarray(shadow, np.float32)


def _shade(picture: Picture, height: Field, field: Field, direction: Points) -> Picture:
    """Light the relief: Lambert's shading and a highlight where it faces half way between lamp and camera."""
    dx, dy = (
        cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8),
        cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8),
    )
    length = np.sqrt(1 + dx**2 + dy**2)
    towards = -(dx * direction[0] + dy * direction[1])
    lambert = np.clip((1 + 0.55 * towards) / length, 0.28, 1.45)
    half = (0.92 + 0.39 * towards) / length  # cosine between normal and half-way vector
    gloss = 0.6 * np.clip(half, 0, 1) ** 60 * step(np.abs(towards), 0.2, 0.45)
    return np.asarray(
        picture * (field * lambert)[..., None] + gloss[..., None].astype(np.float32), np.float32
    )


def _dull(picture: Picture) -> Picture:
    """Return the colours of a plain camera: paler and darker than those through a dermatoscope."""
    grey = picture.mean(axis=2, keepdims=True)
    return np.asarray(0.94 * (grey + 0.86 * (picture - grey)), np.float32)
