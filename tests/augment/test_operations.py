"""Augmentation: drawn from a generator alone, applied exactly, and mapped back to the original."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from dermapair.augment import Augmentation, apply, centre, draw, place
from dermapair.config import AugmentSettings
from dermapair.imaging.square import make_square, square_map
from imaging.spot import bright_spot, centre_of_light

SIZE, INPUT = 40, 32
ALL = AugmentSettings(
    mirror=True, flip=True, rotate90=True, crop="random", scale=(0.8, 1.2), brightness=0.2, contrast=0.2,
    saturation=0.2,
)  # fmt: skip


@pytest.fixture
def square(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def draws(settings: AugmentSettings, n: int = 300, seed: int = 0) -> list[Augmentation]:
    rng = np.random.default_rng(seed)
    return [draw(rng, settings, size=SIZE, input_side=INPUT) for _ in range(n)]


def test_five_cuts_are_the_corners_and_the_centre_each_as_often(rng: np.random.Generator) -> None:
    settings = AugmentSettings(crop="five")
    drawn = [draw(rng, settings, size=256, input_side=224) for _ in range(2000)]
    places = Counter((a.x0, a.y0) for a in drawn)
    assert set(places) == {(16, 16), (0, 0), (32, 0), (0, 32), (32, 32)}
    assert min(places.values()) > 320


def test_the_generator_alone_decides() -> None:
    assert draws(ALL, seed=3) == draws(ALL, seed=3)
    assert draws(ALL, seed=3) != draws(ALL, seed=4)


def test_settings_that_are_off_draw_the_centre_cut(square: np.ndarray) -> None:
    assert set(draws(AugmentSettings(), n=5)) == {centre(SIZE, INPUT)}
    np.testing.assert_array_equal(apply(square, centre(SIZE, INPUT), input_side=INPUT), square[4:36, 4:36])


def test_every_draw_cuts_inside_the_square_and_every_place_occurs() -> None:
    drawn = draws(ALL, n=2000)
    assert all(min(a.x0, a.y0) >= 0 and max(a.x0, a.y0) + a.side <= SIZE for a in drawn)
    sides = [a.side for a in drawn]
    assert (min(sides), max(sides)) == (26, 38)
    fixed = draws(AugmentSettings(crop="random"), n=500)
    assert {a.x0 for a in fixed} == {a.y0 for a in fixed} == set(range(SIZE - INPUT + 1))


def test_factors_are_drawn_around_one() -> None:
    drawn = draws(ALL, n=500)
    for name in ("brightness", "contrast", "saturation"):
        values = [getattr(a, name) for a in drawn]
        assert 0.8 <= min(values) < 0.82
        assert 1.18 < max(values) <= 1.2


@pytest.mark.parametrize(
    ("settings", "results"),
    [
        ({"mirror": True}, [lambda x: x, np.fliplr]),
        ({"flip": True}, [lambda x: x, np.flipud]),
        ({"mirror": True, "flip": True}, [lambda x: x, np.fliplr, np.flipud, lambda x: np.rot90(x, 2)]),
        ({"rotate90": True}, [lambda x, k=k: np.rot90(x, k) for k in range(4)]),
    ],
    ids=["mirror", "flip", "both", "turns"],
)
def test_an_orientation_is_exactly_numpys_and_as_frequent_as_the_others(
    square: np.ndarray, settings: dict[str, bool], results: list
) -> None:
    cut = square[4:36, 4:36]
    counts = np.zeros(len(results))
    for a in draws(AugmentSettings(**settings), n=400):
        made = apply(square, a, input_side=INPUT)
        same = [np.array_equal(made, result(cut)) for result in results]
        assert sum(same) == 1
        counts += same
    assert np.abs(counts / counts.sum() - 1 / len(results)).max() < 0.08


def test_all_eight_orientations_occur_and_no_other(square: np.ndarray) -> None:
    orientations = AugmentSettings(mirror=True, flip=True, rotate90=True)
    made = {apply(square, a, input_side=INPUT).tobytes() for a in draws(orientations)}
    cut = square[4:36, 4:36]
    want = {np.rot90(side, k).tobytes() for side in (cut, np.fliplr(cut)) for k in range(4)}
    assert made == want


def test_brightness_contrast_and_saturation_of_known_pixels() -> None:
    colour = np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8)
    plain = centre(8, 8)

    def pixel(**values: float) -> list[int]:
        return apply(colour, replace(plain, **values), input_side=8)[0, 0].tolist()

    assert pixel() == [200, 100, 50]
    assert pixel(brightness=0.5) == [100, 50, 25]
    assert pixel(brightness=2.0) == [255, 200, 100]
    assert pixel(contrast=0.5) == [164, 114, 89]
    assert pixel(contrast=2.0) == [255, 72, 0]
    assert pixel(saturation=0.0) == [124] * 3, "the luma of (200, 100, 50)"
    assert pixel(brightness=0.5, contrast=2.0) == [72, 0, 0], "brightness comes first"


def test_applying_leaves_the_square_alone_and_returns_its_own_memory(square: np.ndarray) -> None:
    before = square.copy()
    square.flags.writeable = False  # as that of a store
    for a in draws(ALL, n=20):
        made = apply(square, a, input_side=INPUT)
        assert made.flags.c_contiguous
        assert (made.shape, made.dtype) == ((INPUT, INPUT, 3), np.uint8)
    np.testing.assert_array_equal(square, before)


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize(("mirror", "turns"), list(product([False, True], range(4))))
@pytest.mark.parametrize("cut", [(5, 2, 64), (9, 0, 71), (18, 11, 50)], ids=str)
def test_a_bright_spot_is_found_again_in_the_original(
    fit: str, mirror: bool, turns: int, cut: tuple[int, int, int]
) -> None:
    size, at = (201, 135), np.array([108.0, 61.0])
    square = make_square(bright_spot(size, at, radius=7), side=80, fit=fit)
    a = Augmentation(*cut, mirror=mirror, turns=turns)
    made = apply(square, a, input_side=64)
    placed = place(a, square_map(size, side=80, fit=fit), input_side=64)
    assert (placed.source_size, placed.size) == (size, (64, 64))
    np.testing.assert_allclose(placed.to_source(centre_of_light(made)[None])[0], at, atol=0.3)
    row, column = np.unravel_index(made[..., 0].argmax(), made.shape[:2])
    brightest = placed.to_source(np.array([[column + 0.5, row + 0.5]]))[0]
    assert np.abs(brightest - at).max() <= 1.5 / min(placed.scale, 1)
