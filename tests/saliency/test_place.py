"""Cells placed by receptive fields, maps and boxes brought back to the user's pixels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from dermapair.augment import Augmentation, apply, place
from dermapair.errors import DermapairError
from dermapair.imaging.square import make_square, square_map
from dermapair.models import build_trunk
from dermapair.models.trunk import Stage, Trunk, ended
from dermapair.saliency.grid import Grid, measure_grid
from dermapair.saliency.overlay import overlay
from dermapair.saliency.place import find_box, to_pixels
from dermapair.types import PixelMap


def test_unpadded_vgg_gap_has_its_centres_where_the_method_says() -> None:
    trunk = ended(build_trunk("vgg16", weights="none"), extra=1024, unpadded=2)
    grid = measure_grid(trunk, stage=-1, side=224)
    assert grid.step == 16
    assert grid.first - 0.5 == pytest.approx(39.5, abs=0.01)  # the method counts pixel centres from 0


@pytest.mark.parametrize(
    ("name", "first", "step"),
    [
        ("vgg16", 8.0, 16),  # cells lie in the middle of 16 x 16 px
        ("squeezenet1_1", 15.5, 16),
        ("googlenet", 22.5, 32),
        ("mobilenetv2_100", 0.5, 32),  # strided 3 x 3 convolutions with padding 1 look to the upper left
        ("resnet18", 0.5, 32),
        ("efficientnet_b0", 0.5, 32),  # its gates see the whole image and move nothing
        ("densenet121", 14.5, 32),
    ],
)
def test_cells_of_backbones_lie_at_the_centres_of_their_receptive_fields(
    name: str, first: float, step: int
) -> None:
    trunk = build_trunk(name, weights="none")
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    grid = measure_grid(trunk, stage=-1, side=224)
    assert (grid.first, grid.step) == (pytest.approx(first, abs=0.02), step)
    assert all(torch.equal(value, before[key]) for key, value in trunk.state_dict().items())


def test_a_stage_in_the_middle_has_a_grid_of_its_own() -> None:
    trunk = build_trunk("resnet18", weights="none")
    grid = measure_grid(trunk, stage=1, side=224)
    assert (grid.first, grid.step) == (pytest.approx(0.5, abs=0.01), 4)


def test_cells_on_an_uneven_grid_are_refused() -> None:
    trunk = Trunk([nn.Conv2d(3, 4, 3, stride=2)], [Stage("wrong", 1, 4, 8)])
    with pytest.raises(
        DermapairError, match=r"maps of 'wrong': expected cells 8 pixels apart, measured 2\.00"
    ):
        measure_grid(trunk, stage=0, side=64)


AUGMENTATIONS = [
    Augmentation(x0, y0, side, mirror, turns)
    for (x0, y0, side), mirror, turns in product([(0, 0, 64), (9, 4, 48)], [False, True], range(4))
]
GRID = Grid(4.0, 8.0)


def map_of(image: np.ndarray) -> np.ndarray:
    """The mean of 8 x 8 px as a map, with cells at 4 + 8 i."""
    side = image.shape[0] // 8
    return image[..., 0].astype(float).reshape(side, 8, side, 8).mean(axis=(1, 3)) - 60


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_a_bright_spot_comes_back_as_a_box_round_it(augmentation: Augmentation, fit: str) -> None:
    image = np.full((120, 150, 3), 40, dtype=np.uint8)
    image[50:66, 60:76] = 255
    square = make_square(image, side=64, fit=fit)
    pixels = apply(square, augmentation, input_side=64)
    placed = place(augmentation, square_map((150, 120), side=64, fit=fit), input_side=64)
    values = map_of(pixels)
    x0, y0, x1, y1 = find_box(values, GRID, placed)
    assert x0 <= 62 and y0 <= 52 and x1 >= 74 and y1 >= 64, (x0, y0, x1, y1)
    assert (x0 + x1) / 2 == pytest.approx(68, abs=8)
    assert (y0 + y1) / 2 == pytest.approx(58, abs=8)
    on_image = to_pixels(values, GRID, placed)
    assert on_image.shape == (120, 150)
    row, column = np.unravel_index(np.nanargmax(on_image), on_image.shape)
    assert 44 <= row <= 72 and 54 <= column <= 82


def test_a_map_is_bilinear_between_centres_constant_beyond_and_nan_outside() -> None:
    values = np.array([[0.0, 8.0], [16.0, 24.0]])
    placed = PixelMap.identity((24, 20)).crop(4, 2, (16, 16))
    got = to_pixels(values, GRID, placed)
    assert np.isnan(got[:2]).all() and np.isnan(got[18:]).all()
    assert np.isnan(got[:, :4]).all() and np.isnan(got[:, 20:]).all()
    assert got[2, 4] == 0.0 and got[17, 19] == 24.0  # the corners are beyond the centres
    assert got[2, 8] == pytest.approx(0.5)  # 4.5 px is 1/16 of the way from 4 to 12


@pytest.mark.parametrize("values", [np.zeros((2, 2)), -np.ones((2, 2)), np.full((2, 2), -3.0)])
def test_no_positive_evidence_has_no_box_and_says_so(values: np.ndarray) -> None:
    placed = PixelMap.identity((16, 16))
    assert find_box(values, GRID, placed) is None
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    drawn = overlay(image, np.zeros((200, 300)) + values.max(), top=1.0, evidence=False)
    assert drawn.shape == image.shape
    corner = drawn[:50]
    assert (corner[..., 0] == corner[..., 1]).all(), "grey"
    assert (drawn[90:110] == 255).all(axis=2).any(), "with words over it"


def test_a_constant_positive_map_covers_the_input() -> None:
    placed = PixelMap.identity((20, 16)).crop(2, 0, (16, 16))
    assert find_box(np.ones((2, 2)), GRID, placed) == (2, 0, 18, 16)


def test_the_box_is_that_of_the_largest_region() -> None:
    values = np.zeros((4, 8))
    values[0, 0], values[2:, 5:] = 10.0, 4.0
    x0, _, x1, _ = find_box(values, GRID, PixelMap.identity((64, 32)))
    assert x0 > 32 and x1 == 64


def test_a_tall_overlay_is_that_of_its_parts() -> None:
    rng = np.random.default_rng(0)
    image, values = rng.integers(0, 256, (700, 5, 3), dtype=np.uint8), rng.random((700, 5))
    drawn = overlay(image, values, top=1.0)
    parts = [overlay(image[rows], values[rows], top=1.0) for rows in (slice(0, 100), slice(100, 700))]
    np.testing.assert_array_equal(drawn, np.concatenate(parts))


def test_an_overlay_has_the_size_of_the_image_and_is_dark_where_nothing_was_seen() -> None:
    image = np.full((30, 40, 3), 200, dtype=np.uint8)
    values = np.full((30, 40), np.nan)
    values[:, 10:30] = np.linspace(-1, 1, 20)
    drawn = overlay(image, values, top=1.0)
    assert drawn.shape == image.shape
    assert (drawn[:, :10] == 80).all()
    assert len(np.unique(drawn[:, 10:19].reshape(-1, 3), axis=0)) == 1, "negative values look like 0"
    assert drawn[0, 29, 0] > drawn[0, 22, 0]


def test_a_peak_that_no_pixel_reaches_is_no_evidence() -> None:
    """Cells of VGG-16 lie between pixels; a weak peak is negative at every pixel round it."""
    values = np.full((14, 14), -1.0)
    values[5, 5] = 0.03
    assert find_box(values, Grid(8.0, 16.0), PixelMap.identity((224, 224))) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 1000), (1000, 1), (3, 2)])
def test_of_a_tiny_or_narrow_image_some_pixel_is_seen(size: tuple[int, int]) -> None:
    placed = place(Augmentation(4, 4, 32), square_map(size, side=40, fit="crop"), input_side=32)
    got = to_pixels(np.ones((4, 4)), GRID, placed)
    assert got.shape == size[::-1]
    assert (got[~np.isnan(got)] == 1).all() and not np.isnan(got).all()
