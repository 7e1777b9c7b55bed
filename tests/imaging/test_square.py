"""The prepared square: its size, its pixels, and where they lie in the original."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.imaging.square import make_square, square_map
from imaging.spot import bright_spot, centre_of_light

SIZES = [(64, 64), (301, 207), (207, 301), (63, 65), (40, 31), (1000, 90), (97, 800), (5, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("side", [64, 33])
def test_any_picture_becomes_a_square(size: tuple[int, int], fit: str, side: int) -> None:
    square = make_square(np.full((size[1], size[0], 3), 77, dtype=np.uint8), side=side, fit=fit)
    assert square.shape == (side, side, 3)
    assert square.dtype == np.uint8
    assert (square == 77).all()
    placed = square_map(size, side=side, fit=fit)
    assert (placed.source_size, placed.size) == (size, (side, side))


def test_a_square_of_the_right_size_is_left_alone(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
    for fit in ("crop", "squash"):
        np.testing.assert_array_equal(make_square(image, side=48, fit=fit), image)
        np.testing.assert_array_equal(square_map((48, 48), side=48, fit=fit).matrix, np.eye(2, 3))


def test_crop_takes_the_centre_with_the_aspect_kept(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (32, 51, 3), dtype=np.uint8)
    np.testing.assert_array_equal(make_square(image, side=32, fit="crop"), image[:, 9:41])
    assert square_map((51, 32), side=32, fit="crop").box_to_source((0, 0, 32, 32)) == (9, 0, 41, 32)
    assert square_map((600, 450), side=224, fit="crop").matrix[0, 0] == pytest.approx(224 / 450, rel=1e-2)


def test_squash_keeps_the_whole_picture() -> None:
    whole = square_map((301, 207), side=64, fit="squash").box_to_source((0, 0, 64, 64))
    np.testing.assert_allclose(whole, (0, 0, 301, 207), atol=1e-9)


@pytest.mark.parametrize("size", [(301, 207), (207, 301), (130, 131), (900, 120), (50, 37)], ids=str)
@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("side", [64, 97])
def test_a_bright_spot_is_found_again_at_its_place_in_the_original(
    size: tuple[int, int], fit: str, side: int
) -> None:
    short = min(size)
    for offset in ((0, 0), (-0.2, 0.15), (0.17, -0.21)):
        at = np.array([size[0] / 2 + offset[0] * short, size[1] / 2 + offset[1] * short])
        square = make_square(bright_spot(size, at, radius=short / 16), side=side, fit=fit)
        found = square_map(size, side=side, fit=fit).to_source(centre_of_light(square)[None])[0]
        np.testing.assert_allclose(found, at, atol=0.25)


def test_a_strip_is_squared_without_an_image_as_long_as_a_street() -> None:
    strip = np.zeros((1, 60_000, 3), dtype=np.uint8)
    strip[:, 29_999:30_001] = 255
    square = make_square(strip, side=64, fit="crop")
    assert square.shape == (64, 64, 3)
    placed = square_map((60_000, 1), side=64, fit="crop")
    np.testing.assert_allclose(placed.to_source(np.array([[32.0, 32.0]])), [[30_000, 0.5]])
    assert (square[:, 16:48] > 200).all()
