"""`PixelMap`: every step is the exact map of what numpy or a resize does to the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.types import PixelMap


def centres(width: int, height: int) -> np.ndarray:
    """Return the (x, y) of all pixel centres, (H * W, 2), row by row."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x.ravel(), y.ravel()], axis=1)


def numbered(width: int, height: int) -> np.ndarray:
    return np.arange(width * height).reshape(height, width)


def assert_moves_as(step: PixelMap, moved: np.ndarray) -> None:
    """Assert that the map takes each pixel of a numbered picture to where it lies in `moved`."""
    assert step.size == (moved.shape[1], moved.shape[0])
    source = step.to_source(centres(*step.size))
    columns, rows = np.floor(source).astype(int).T
    np.testing.assert_allclose(source, np.floor(source) + 0.5, atol=1e-9)
    width, height = step.source_size
    np.testing.assert_array_equal(numbered(width, height)[rows, columns], moved.ravel())


def test_the_identity_moves_nothing() -> None:
    assert_moves_as(PixelMap.identity((5, 3)), numbered(5, 3))
    assert PixelMap.identity((5, 3)).scale == 1


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3, 4, 7])
def test_quarter_turns_are_those_of_numpy(turns: int) -> None:
    assert_moves_as(PixelMap.identity((5, 3)).rotate90(turns), np.rot90(numbered(5, 3), turns))


def test_a_flip_is_numpys_and_a_crop_a_slice() -> None:
    assert_moves_as(PixelMap.identity((5, 3)).flip(), np.fliplr(numbered(5, 3)))
    assert_moves_as(PixelMap.identity((5, 3)).crop(1, 2, (3, 1)), numbered(5, 3)[2:3, 1:4])


def test_steps_follow_each_other_in_the_order_in_which_they_are_written() -> None:
    picture = numbered(6, 4)
    steps = PixelMap.identity((6, 4)).crop(1, 0, (4, 3)).flip().rotate90(1)
    assert_moves_as(steps, np.rot90(np.fliplr(picture[0:3, 1:5])))
    other = PixelMap.identity((6, 4)).rotate90(1).flip().crop(1, 0, (2, 3))
    assert_moves_as(other, np.fliplr(np.rot90(picture))[0:3, 1:3])


def test_a_resize_takes_corners_to_corners() -> None:
    resized = PixelMap.identity((10, 4)).resize((5, 8))
    corners = np.array([[0.0, 0.0], [10.0, 4.0], [5.0, 2.0]])
    np.testing.assert_allclose(resized.to_result(corners), [[0, 0], [5, 8], [2.5, 4]])
    assert resized.scale == pytest.approx(1.0), "half in x, double in y"
    assert PixelMap.identity((10, 4)).resize((5, 2)).scale == pytest.approx(0.5)


def test_there_and_back_again_is_where_one_was(rng: np.random.Generator) -> None:
    points = rng.uniform(-50, 300, (40, 2))
    steps = PixelMap.identity((301, 207)).resize((120, 83)).crop(10.5, 3, (64, 64)).flip().rotate90(3)
    np.testing.assert_allclose(steps.to_source(steps.to_result(points)), points, atol=1e-9)
    np.testing.assert_allclose(steps.to_result(steps.to_source(points)), points, atol=1e-9)
    assert steps.source_size == (301, 207)


@pytest.mark.parametrize("turns", range(4))
def test_a_box_comes_back_upright_and_ordered(turns: int) -> None:
    steps = PixelMap.identity((100, 60)).resize((50, 30)).crop(5, 5, (20, 20)).flip().rotate90(turns)
    box = steps.box_to_source((0, 0, 20, 20))
    np.testing.assert_allclose(box, (10, 10, 50, 50), atol=1e-9)
    corners = steps.to_result(np.array([[20.0, 12.0], [36.0, 40.0]]))
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    np.testing.assert_allclose(steps.box_to_source((x0, y0, x1, y1)), (20, 12, 36, 40), atol=1e-9)
    assert all(isinstance(value, float) for value in box)
