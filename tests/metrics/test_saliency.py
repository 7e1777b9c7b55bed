"""Figures of maps, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.errors import UsageError
from dermapair.metrics.saliency import area_under, box_iou, mass_inside, pointing_game, rank_correlation

NAN = np.nan
MASK = np.array([[0, 1, 1], [0, 1, 1]], dtype=bool)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]], 1.0),
        ([[3.0, 1.0, 1.0], [2.0, 0.0, 0.0]], 0.0),
        ([[3.0, 3.0, 3.0], [0.0, 3.0, 0.0]], 0.75),
        ([[NAN, 3.0, 1.0], [NAN, 0.0, 0.0]], 1.0),
        ([[2.0, NAN, 1.0], [0.0, NAN, NAN]], 0.0),
        ([[0.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], 0.0),
        ([[NAN, NAN, NAN], [NAN, NAN, NAN]], 0.0),
    ],
    ids=["hit", "miss", "three of four tie inside", "unseen", "lesion unseen", "no evidence", "nothing seen"],
)
def test_the_pointing_game_asks_where_the_maximum_of_what_was_seen_lies(
    values: list[list[float]], expected: float
) -> None:
    assert pointing_game(np.array(values), MASK) == expected


def test_mass_inside_is_the_share_of_positive_mass() -> None:
    values = np.array([[1.0, 2.0, NAN], [-5.0, 1.0, -3.0]])
    assert mass_inside(values, MASK) == 0.75
    assert np.isnan(mass_inside(np.array([[0.0, -1.0, NAN]] * 2), MASK))


def test_a_constant_map_has_the_share_of_the_lesion_in_both_figures() -> None:
    assert pointing_game(np.ones((2, 3)), MASK) == mass_inside(np.ones((2, 3)), MASK) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((2.0, 1.0, 5.0, 3.0), 1.0),
        ((2.0, 1.0, 5.0, 2.0), 0.5),
        ((3.0, 2.0, 5.0, 5.0), 2 / (6 + 6 - 2)),
        ((2.5, 1.0, 5.0, 3.0), 5 / 6),
        ((0.0, 1.0, 2.0, 3.0), 0.0),
        (None, 0.0),
    ],
    ids=["same", "upper half", "corner", "half a pixel", "beside it", "no box"],
)
def test_the_iou_of_a_box_and_the_box_of_the_mask(
    box: tuple[float, float, float, float] | None, expected: float
) -> None:
    mask = np.zeros((6, 6), dtype=bool)
    mask[1, 2] = mask[2, 4] = True  # its box is (2, 1, 5, 3)
    assert box_iou(box, mask) == pytest.approx(expected, abs=1e-12)


def test_an_empty_mask_has_no_iou() -> None:
    assert np.isnan(box_iou((0.0, 0.0, 1.0, 1.0), np.zeros((3, 3), dtype=bool)))


def test_the_area_under_a_curve_is_its_mean_height() -> None:
    assert area_under([1.0, 0.0]) == 0.5
    assert area_under([1.0, 0.5, 0.5, 0.0, 0.0]) == pytest.approx((0.75 + 0.5 + 0.25 + 0) / 4)
    assert area_under([0.3] * 21) == pytest.approx(0.3)
    with pytest.raises(UsageError, match=r"at least two points, got shape \(1,\)"):
        area_under([1.0])


def test_the_rank_correlation_sees_order_alone_where_both_maps_are_known() -> None:
    a = np.array([[1.0, 2.0], [3.0, NAN]])
    assert rank_correlation(a, np.array([[1.0, 10.0], [100.0, 0.0]])) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)
    assert rank_correlation([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == pytest.approx(0.5)  # 1 - 6 * 2 / (3 * 8)
    assert np.isnan(rank_correlation([1.0, 2.0], [5.0, 5.0]))


def test_maps_and_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"of one shape, got \(2, 2\) and \(2, 3\)"):
        pointing_game(np.ones((2, 2)), MASK)
