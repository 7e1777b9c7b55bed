"""The largest gap between groups, and its test under no gap and under a true one."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.errors import UsageError
from dermapair.metrics.groups import largest_gap
from dermapair.metrics.resampling import resamples


def test_the_largest_gap_is_between_the_lowest_and_the_highest_group() -> None:
    """Chance alone makes gaps of 0.1, 0.3 and 0.5; the one seen is 0.4."""
    values = np.array([0.5, 0.1, 0.3])
    shifts = np.array([[0.0, 0.1, 0.2], [0.1, 0.1, -0.3], [0.0, -0.2, 0.0]])
    a, b, gap = largest_gap(values, values[:, None] + shifts, level=0.5)
    assert (a, b, gap.value) == (1, 0, 0.4)
    assert (gap.low, gap.high) == pytest.approx((0.4 - 0.3, 0.4 + 0.3))
    assert gap.p_value == (1 + 1) / (3 + 1)


def test_what_is_not_defined_is_left_out() -> None:
    values, samples = np.array([np.nan, 0.2, 0.6]), np.array([[0.9, 0.9], [0.2, np.nan], [0.6, 0.6]])
    a, b, gap = largest_gap(values, samples)
    assert (a, b) == (1, 2)
    assert (gap.value, gap.p_value) == (pytest.approx(0.4), 0.5)
    undefined = largest_gap(values, np.full((3, 2), np.nan))[2]
    assert np.isnan([undefined.low, undefined.high, undefined.p_value]).all()


@pytest.mark.parametrize(
    ("values", "samples"), [([0.1], [[0.1]]), ([0.1, np.nan], [[0.1]] * 2), ([1, 2], [1, 2])]
)
def test_fewer_than_two_groups_are_refused(values: list[float], samples: list[float]) -> None:
    with pytest.raises(UsageError, match="leave this figure out"):
        largest_gap(values, samples)


def p_values(
    right: tuple[float, ...], *, sizes: tuple[int, ...], lesions: int = 1, n: int = 400
) -> np.ndarray:
    """Return p-values of the largest gap in accuracy, of groups whose patients have some lesions each."""
    group, found = np.repeat(np.arange(len(sizes)), sizes), []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        patient = rng.random(len(group)) < np.array(right)[group]
        hit, of = np.repeat(patient, lesions), np.repeat(group, lesions)  # one patient's lesions are alike
        inside = np.eye(len(sizes))[of].T
        weights = np.concatenate(
            list(
                resamples(
                    len(hit), groups=np.repeat(np.arange(len(group)), lesions), n_samples=300, seed=seed
                )
            ),
            1,
        )
        samples = (inside * hit) @ weights / (inside @ weights)
        found.append(largest_gap((inside * hit).sum(axis=1) / inside.sum(axis=1), samples)[2].p_value)
    return np.array(found)


@pytest.mark.parametrize("lesions", [1, 3])
def test_without_a_gap_five_in_a_hundred_are_called_one_however_many_groups(lesions: int) -> None:
    """Five groups, of unlike sizes: a test of the chosen pair alone would call a quarter of them."""
    p = p_values((0.7,) * 5, sizes=(30, 60, 90, 120, 60), lesions=lesions)
    assert 0.02 <= (p < 0.05).mean() <= 0.08  # 0.05 -/+ 2.8 standard errors
    assert 0.05 <= (p < 0.1).mean() <= 0.15


def test_a_true_gap_is_found() -> None:
    p = p_values((0.6, 0.9), sizes=(80, 80), n=100)
    assert (p < 0.05).mean() > 0.9
