"""The dermoscopic image: a close-up through gel and a lens, lit evenly.

It shows `colour`, `border`, `pattern`, `vessels` and `white`, and nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "brown": rgb(166, 110, 66),
    "dark": rgb(88, 66, 60),
    "red": rgb(216, 100, 104),
    "blue": rgb(78, 102, 156),
    "yellow": rgb(242, 200, 118),
}
_RADIUS = (0.31, 0.36)
_INK = (0.36, 0.30, 0.30)
_GLOW = rgb(250, 226, 222)


def draw_dermoscopic(canvas: Canvas, attributes: Mapping[str, str], tone: int) -> tuple[Picture, Outline]:
    """Return the image without hair and camera noise, and where the lesion lies.

    Args:
        canvas: the view.
        attributes: colour, border, pattern, vessels and white.
        tone: skin tone, 1 to 6.
    """
    region = outline(canvas, attributes["border"], _RADIUS)
    skin = bare_skin(canvas, tone)
    picture = np.asarray(0.72 * skin + 0.30 * _GLOW, np.float32)
    picture = tint(picture, (0.93, 0.9, 0.9), 0.35 * furrows(canvas))
    picture = _pigment(picture, canvas, region, attributes)
    picture = tint(picture, _INK, _uneven(_PATTERNS[attributes["pattern"]](canvas, region), canvas))
    picture = _WHITES[attributes["white"]](picture, canvas, region)
    picture = paint(picture, rgb(176, 6, 34), 0.92 * _VESSELS[attributes["vessels"]](canvas, region))
    return _lens(picture, canvas), region


def _pigment(picture: Picture, canvas: Canvas, region: Outline, attributes: Mapping[str, str]) -> Picture:
    rng = canvas.stream("pigment")
    alpha = step(region.rho, 1.05, 0.9)
    colour = COLOURS[attributes["colour"]] * rng.uniform(0.93, 1.07)
    picture = paint(picture, colour, np.asarray(alpha * 0.94))
    mottle = np.asarray(
        alpha * (0.7 * canvas.noise(rng, 30) + 0.4 * canvas.noise(rng, 9) + 0.2 * canvas.noise(rng, 3)),
        np.float32,
    )
    return tint(picture, (0.86, 0.84, 0.84), mottle)


def _uneven(pattern: Field, canvas: Canvas) -> Field:
    """Soften a pattern and let its strength vary over the lesion, as pigment at several depths does."""
    strength = np.clip(0.82 + 0.13 * canvas.noise(canvas.stream("depth"), 26), 0.55, 1)
    return np.asarray(canvas.blur(pattern, 0.9) * strength, np.float32)


# ---- pattern: opacity of the darker pigment ----


def _structureless(canvas: Canvas, region: Outline) -> Field:
    return np.zeros(canvas.shape, np.float32)


def _network(canvas: Canvas, region: Outline) -> Field:
    """Honeycomb lines: three plane waves whose crests are the holes, bent by noise."""
    rng = canvas.stream("pattern")
    turn, wave = rng.uniform(0, np.pi), 4 * np.pi / (np.sqrt(3) * 17 * canvas.scale)
    y, x = np.mgrid[0 : canvas.shape[0], 0 : canvas.shape[1]].astype(np.float32)
    x, y = (a + 2.5 * canvas.scale * canvas.noise(rng, 22) for a in (x, y))
    waves = [np.cos(wave * (x * np.cos(a) + y * np.sin(a))) for a in turn + np.arange(3) * np.pi / 3]
    lines = step(np.asarray(sum(waves), np.float32), 0.3, -0.7)
    return np.asarray(lines * step(region.rho, 1.06, 0.9), np.float32)


def _globules(canvas: Canvas, region: Outline) -> Field:
    rng = canvas.stream("pattern")
    points = canvas.scatter(rng, 18.5, 0.27)
    radii = rng.uniform(4.0, 7.0, len(points))
    inside = region.rho_at(points) < 0.95
    return canvas.spots(points[inside], radii[inside])


def _streaks(canvas: Canvas, region: Outline) -> Field:
    """Spokes with bulbs that leave the border all round."""
    rng = canvas.stream("pattern")
    count = int(rng.integers(22, 28))
    angles = (np.arange(count) + rng.uniform(-0.2, 0.2, count)) * 2 * np.pi / count + rng.uniform(
        0, 2 * np.pi
    )
    inner, outer = (region.at(angles, rng.uniform(*ends, count)) for ends in ((0.6, 0.78), (1.10, 1.24)))
    spokes = canvas.strokes(list(np.stack([inner, outer], axis=1)), [5.0] * count)
    return np.maximum(spokes, canvas.spots(outer, rng.uniform(3.4, 5.0, count)))


def _ridges(canvas: Canvas, region: Outline) -> Field:
    """Thick winding folds: noise of one wavelength, cut at its mean."""
    white = canvas.stream("pattern").standard_normal(canvas.shape, dtype=np.float32)
    band = canvas.blur(white, 3.6) - canvas.blur(white, 5.4)
    folds = step(np.asarray(band / band.std(), np.float32), -0.15, 0.45)
    return np.asarray(0.85 * folds * step(region.rho, 1.03, 0.93), np.float32)


_PATTERNS = {
    "structureless": _structureless,
    "network": _network,
    "globules": _globules,
    "streaks": _streaks,
    "ridges": _ridges,
}


# ---- vessels: opacity of blood ----


def _arborising(canvas: Canvas, region: Outline) -> Field:
    """Trunks that enter from the border and branch towards the other side."""
    rng = canvas.stream("vessels")
    first = rng.uniform(0, 2 * np.pi)
    lines: list[Points] = []
    widths: list[float] = []
    for angle in first + np.arange(3) * 2 * np.pi / 3 + rng.uniform(-0.3, 0.3, 3):
        trunk = _vessel(
            rng, region.at(np.array([angle]), np.array([0.98]))[0], angle + np.pi, 1.1 * region.radius
        )
        lines.append(trunk)
        widths.append(4.2)
        for start, side in zip(np.sort(rng.integers(3, 18, 4)), (1, -1, 1, -1), strict=True):
            heading = angle + np.pi + side * rng.uniform(0.4, 1.0)
            lines.append(_vessel(rng, trunk[start], heading, rng.uniform(0.35, 0.55) * region.radius))
            widths.append(2.6)
    return np.asarray(canvas.strokes(lines, widths) * step(region.rho, 1.0, 0.94), np.float32)


def _vessel(rng: np.random.Generator, start: Points, heading: float, length: float) -> Points:
    """Return a winding line, (24, 2)."""
    t = np.linspace(0, 1, 23)
    headings = heading + rng.normal(0, 0.5) * t + 0.45 * np.sin(2 * np.pi * (2.2 * t + rng.uniform()))
    steps = length / 23 * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    return np.asarray(np.vstack([start, start + np.cumsum(steps, axis=0)]))


def _dotted(canvas: Canvas, region: Outline) -> Field:
    rng = canvas.stream("vessels")
    points = canvas.scatter(rng, 17, 0.3)
    inside = region.rho_at(points) < 0.92
    return canvas.spots(points[inside], rng.uniform(2.6, 3.4, inside.sum()))


_VESSELS = {"none": _structureless, "arborising": _arborising, "dotted": _dotted}


# ---- white structures ----


def _no_white(picture: Picture, canvas: Canvas, region: Outline) -> Picture:
    return picture


def _cysts(picture: Picture, canvas: Canvas, region: Outline) -> Picture:
    """Milia-like cysts: bright round dots with a glow."""
    rng = canvas.stream("white")
    points = canvas.scatter(rng, 32, 0.3)
    points = points[region.rho_at(points) < 0.85]
    dots = canvas.spots(points, rng.uniform(4.5, 6.5, len(points)))
    return paint(picture, rgb(255, 252, 232), np.asarray(np.maximum(dots, 0.6 * canvas.blur(dots, 2.5))))


def _scar(picture: Picture, canvas: Canvas, region: Outline) -> Picture:
    """A white patch in the middle with frayed edges."""
    rng = canvas.stream("white")
    edge = region.rho + 0.07 * canvas.noise(rng, 7)
    return paint(picture, rgb(250, 240, 234), 0.92 * step(edge, 0.56, 0.44))


def _veil(picture: Picture, canvas: Canvas, region: Outline) -> Picture:
    """A blue-white haze over one side."""
    rng = canvas.stream("white")
    x, y = region.at(rng.uniform(0, 2 * np.pi, 1), np.array([0.35]))[0]
    yy, xx = np.mgrid[0 : canvas.shape[0], 0 : canvas.shape[1]]
    distance = np.hypot(xx - x, yy - y).astype(np.float32) / region.radius + 0.10 * canvas.noise(rng, 14)
    alpha = 0.84 * step(distance, 0.85, 0.4) * step(region.rho, 1.0, 0.9)
    return paint(picture, rgb(166, 190, 236), np.asarray(alpha, np.float32))


_WHITES = {"none": _no_white, "cysts": _cysts, "scar": _scar, "veil": _veil}


# ---- the instrument ----


def _lens(picture: Picture, canvas: Canvas) -> Picture:
    """Even light, gel bubbles and the dark rim of the lens, which some images show as a black ring."""
    rng = canvas.stream("lens")
    points = rng.uniform(0, canvas.shape[::-1], (int(rng.integers(0, 6)), 2))
    radii = rng.uniform(2.5, 7, len(points))
    bubbles = canvas.spots(points, radii) - canvas.spots(points, radii - 1.2)
    picture = paint(picture, rgb(255, 255, 255), 0.5 * np.clip(canvas.blur(bubbles, 0.6), 0, 1))
    field, _ = light(canvas)
    h, w = canvas.shape
    yy, xx = np.mgrid[0:h, 0:w]
    distance = np.hypot(xx - w / 2, yy - h / 2).astype(np.float32) / h
    rim = 1 - rng.uniform(0.35, 0.6) * step(distance, 0.45, 0.85)
    if rng.uniform() < 0.3:
        rim = rim * step(distance, 0.72, 0.69)
    return np.asarray(picture * (rim * (0.5 + 0.5 * field))[..., None], np.float32)
