"""Holm's correction and the interval of one AUC; paired tests of two runs are in test_bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.metrics.binary import auc
from dermapair.metrics.comparison import delong_interval, delong_test, holm


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2 not below the one before, 0.5 x 1."""
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])


def test_holm_leaves_out_what_could_not_be_tested_and_stops_at_one() -> None:
    got = holm([np.nan, 0.6, 0.7])
    assert np.isnan(got[0])
    assert got[1:] == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_the_interval_of_an_auc_by_hand() -> None:
    """Placements 1 and 0.5 on either side: variance 0.125, 2 degrees of freedom; 0.75 has the logit ln 3."""
    found = delong_interval([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1])
    half = 4.302653 * np.sqrt(0.125) / (0.75 * 0.25)
    limits = [1 / (1 + np.exp(-np.log(3) + sign * half)) for sign in (1, -1)]
    assert (found.value, found.low, found.high) == pytest.approx((0.75, *limits), rel=1e-6)


def test_with_many_cases_the_interval_is_that_of_the_difference_to_a_score_that_knows_nothing(
    rng: np.random.Generator,
) -> None:
    y = np.arange(40_000) % 2 == 0
    s = rng.normal(size=len(y)) + y
    found, beside = delong_interval(y, s), delong_test(y, np.zeros(len(y)), s)
    assert found.value == auc(y, s)
    assert (found.low - 0.5, found.high - 0.5) == pytest.approx((beside.low, beside.high), abs=5e-5)
    assert delong_interval(y, s, level=0.5).low > found.low


def test_the_interval_does_not_depend_on_scale_or_order_and_turns_with_the_score(
    rng: np.random.Generator,
) -> None:
    y, s, order = np.arange(50) < 20, rng.normal(size=50).round(1), rng.permutation(50)
    found, turned = delong_interval(y, s), delong_interval(y, -s)
    again = delong_interval(y[order], np.exp(s[order]))
    assert (again.value, again.low, again.high) == pytest.approx((found.value, found.low, found.high))
    assert (1 - turned.high, 1 - turned.low) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize(
    ("y", "s", "value"),
    [
        ([1, 0, 0], [0.9, 0.2, 0.1], 1.0),  # one case
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 0.0),
        ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.5),
    ],
)
def test_an_auc_without_variance_has_no_interval(y: list[int], s: list[float], value: float) -> None:
    found = delong_interval(y, s)
    assert found.value == value
    assert np.isnan([found.low, found.high]).all()


def test_the_limits_lie_between_0_and_1() -> None:
    high = delong_interval([1, 1, 0, 0, 0], [0.9, 0.3, 0.4, 0.2, 0.1])
    assert 0 < high.low < high.value < high.high < 1
