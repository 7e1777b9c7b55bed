"""From a box to the part of the original that is cut out, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermapair.config import CropSettings
from dermapair.imaging.crop import crop_of, cut
from dermapair.imaging.square import square_map, square_of
from dermapair.types import Box
from imaging.spot import bright_spot, centre_of_light

SIZE = (400, 300)
EXACT = CropSettings(margin=0, square=False, least=0, whole=1)


@pytest.mark.parametrize(
    ("box", "change", "expected"),
    [
        ((100, 50, 180, 110), {}, (100, 50, 180, 110)),
        ((100, 50, 180, 110), {"margin": 0.1}, (92, 44, 188, 116)),
        ((100, 50, 180, 110), {"square": True}, (100, 40, 180, 120)),
        ((0, 0, 80, 60), {"square": True}, (0, 0, 80, 80)),  # shifted into the image
        ((380, 290, 400, 300), {"least": 0.3}, (310, 210, 400, 300)),  # 30% of the short side
        ((200, 150, 201, 151), {"least": 0.3}, (155.5, 105.5, 245.5, 195.5)),
        ((0, 100, 400, 140), {"square": True, "whole": 0.9}, (0, 0, 400, 300)),  # wider than high: cut off
        ((10, 10, 390, 290), {"whole": 0.88}, (0, 0, 400, 300)),  # 89% of the area
        ((10, 10, 390, 290), {"whole": 0.9}, (10, 10, 390, 290)),
        (None, {}, (0, 0, 400, 300)),  # the map says nothing
    ],
)
def test_each_key_does_what_it_says(box: Box | None, change: dict[str, float], expected: Box) -> None:
    assert crop_of(box, SIZE, EXACT.model_copy(update=change)) == pytest.approx(expected)


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.floats(0, 2),
    st.booleans(),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_part_lies_in_the_image_has_an_area_and_holds_what_of_the_box_fits(
    size: tuple[int, int], at: list[float], margin: float, square: bool, least: float, whole: float
) -> None:
    x, y = sorted(at[:2]), sorted(at[2:])
    box = (x[0] * size[0], y[0] * size[1], max(x[1] * size[0], 1e-3), max(y[1] * size[1], 1e-3))
    box = (min(box[0], box[2]), min(box[1], box[3]), box[2], box[3])
    settings = CropSettings(margin=margin, square=square, least=max(least, 0.01), whole=whole)
    x0, y0, x1, y1 = crop_of(box, size, settings)
    assert 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
    slack = 1e-6 * max(size)
    assert x0 <= box[0] + slack and y0 <= box[1] + slack
    assert x1 >= box[2] - slack and y1 >= box[3] - slack


@pytest.mark.parametrize("side", [32, 64, 200])
@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_a_box_of_the_original_shows_the_same_pixels_at_any_size_of_the_input(side: int, fit: str) -> None:
    size, at = (400, 300), (150.0, 120.0)
    image = bright_spot(size, at, radius=9)
    box = (100.3, 90.0, 199.6, 180.0)
    square, _ = square_of(image, side=side, fit=fit, hair="none", box=box)
    placed = square_map(size, side=side, fit=fit, box=box)
    assert placed.to_source(np.array([centre_of_light(square)]))[0] == pytest.approx(at, abs=1.5)
    if fit == "squash":
        assert placed.box_to_source((0, 0, side, side)) == pytest.approx((100, 90, 200, 180))


def test_a_cut_keeps_every_pixel_that_the_box_touches(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut(image, (3.2, 4.0, 9.1, 8.0)), image[4:8, 3:10])
    assert cut(image, None) is image
