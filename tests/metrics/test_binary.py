"""Figures of one target: by hand, by scikit-learn, and for many weightings at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as sk

from dermapair.errors import UsageError
from dermapair.metrics import binary, weighted

# falling scores: case, case, other, case, other, other, other, case, other, other
Y = np.array([1, 1, 0, 1, 0, 0, 0, 1, 0, 0], dtype=bool)
S = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
CURVE = np.array([0.05, 0.25, 0.5, 0.75])
FIGURES: dict[str, tuple[Callable[..., object], Callable[..., np.ndarray]]] = {
    "auc": (binary.auc, weighted.auc),
    "average precision": (binary.average_precision, weighted.average_precision),
    "partial AUC": (binary.partial_auc, weighted.partial_auc),
    "Brier": (binary.brier, weighted.binary_brier),
    "specificity at 0.7": (
        partial(binary.specificity_at_sensitivity, sensitivity=0.7),
        partial(weighted.specificity_at_sensitivity, sensitivity=0.7),
    ),
    "specificity at 1": (
        partial(binary.specificity_at_sensitivity, sensitivity=1.0),
        partial(weighted.specificity_at_sensitivity, sensitivity=1.0),
    ),
    "net benefit": (
        partial(binary.net_benefit, thresholds=CURVE),
        partial(weighted.net_benefit, thresholds=CURVE),
    ),
}
RANKS = ["auc", "average precision", "partial AUC", "specificity at 0.7", "specificity at 1"]


def test_values_by_hand() -> None:
    assert binary.auc(Y, S) == pytest.approx((6 + 6 + 5 + 2) / 24)
    assert binary.partial_auc(Y, S) == pytest.approx(
        0.2 * 2 / 6
    )  # the last case, of specificity 2/6, ends at 1
    assert binary.specificity_at_sensitivity(Y, S, sensitivity=0.75) == pytest.approx(5 / 6)
    assert binary.specificity_at_sensitivity(Y, S, sensitivity=0.76) == pytest.approx(2 / 6)
    assert binary.brier([1, 0], [0.7, 0.4]) == pytest.approx((0.09 + 0.16) / 2)


def test_net_benefit_by_hand() -> None:
    """Above 0.5: three cases, one other; above 0.25: three and four; above 0.05: all cases, five others."""
    want = [(4 - 5 / 19) / 10, (3 - 4 / 3) / 10, (3 - 1) / 10, 2 / 10]
    assert binary.net_benefit(Y, S, CURVE) == pytest.approx(want)
    everyone = binary.net_benefit(Y, np.ones(10), CURVE)
    assert everyone == pytest.approx([0.4 - 0.6 * t / (1 - t) for t in CURVE])


def test_a_perfect_ranking_and_chance_have_known_partial_areas() -> None:
    assert binary.partial_auc([0, 0, 1], [0.1, 0.2, 0.3]) == pytest.approx(0.2)
    assert binary.partial_auc([0, 1, 0, 1], [0.5] * 4) == pytest.approx(0.02)


@pytest.mark.parametrize("seed", range(4))
def test_partial_auc_is_the_area_of_the_curve_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, s = rng.random(60) < 0.3, rng.integers(12, size=60) / 12
    fpr, tpr, _ = sk.roc_curve(y, s)
    heights = np.linspace(0.8, 1, 20_001)
    at = np.interp(heights, tpr + np.arange(len(tpr)) * 1e-12, fpr)  # a step goes straight up
    assert binary.partial_auc(y, s) == pytest.approx(float(np.trapezoid(1 - at, heights)), abs=1e-4)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("levels", [4, 1000])
def test_each_sample_is_what_the_repeated_cases_give(name: str, share: float, levels: int) -> None:
    rng = np.random.default_rng(5)
    y, s = rng.random(30) < share, rng.integers(levels, size=30) / levels
    weights = rng.multinomial(30, np.ones(30) / 30, size=60).T.astype(float)
    plain, many = FIGURES[name]
    rows = [np.repeat(np.arange(30), w.astype(int)) for w in weights.T]
    want = np.stack([np.asarray(plain(y[r], s[r])) for r in rows], axis=-1)
    np.testing.assert_allclose(many(y, s, weights), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_depends_on_the_order_of_the_cases(name: str, rng: np.random.Generator) -> None:
    order = rng.permutation(10)
    plain = FIGURES[name][0]
    assert plain(Y[order], S[order]) == pytest.approx(plain(Y, S))


@pytest.mark.parametrize("name", RANKS)
def test_figures_of_ranks_depend_on_nothing_else(name: str) -> None:
    plain = FIGURES[name][0]
    assert plain(Y, np.log(S)) == pytest.approx(plain(Y, S))


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("y", [np.zeros(10, bool), np.ones(10, bool)])
def test_figures_of_ranks_need_cases_and_others(name: str, y: np.ndarray) -> None:
    plain, many = FIGURES[name]
    assert np.isnan(plain(y, S))  # type: ignore[call-overload]
    assert np.isnan(many(y, S, np.ones((10, 2)))).all()


@pytest.mark.parametrize(
    ("sensitivity", "between"), [(0.5, (0.7, 0.8)), (0.75, (0.5, 0.6)), (0.76, (0.1, 0.2))]
)
def test_the_threshold_is_the_highest_that_reaches_the_sensitivity(
    sensitivity: float, between: tuple[float, float]
) -> None:
    threshold = binary.threshold_at_sensitivity(Y, S, sensitivity=sensitivity)
    assert threshold == pytest.approx(np.mean(between))
    assert binary.sensitivity(Y, S, threshold=threshold) >= sensitivity
    assert binary.sensitivity(Y, S, threshold=between[1]) < sensitivity


def test_a_threshold_below_the_lowest_score_calls_everyone() -> None:
    threshold = binary.threshold_at_sensitivity([1, 0], [0.2, 0.5], sensitivity=1.0)
    assert threshold < 0.2
    assert threshold == pytest.approx(0.2)
    with pytest.raises(UsageError, match="a threshold needs cases"):
        binary.threshold_at_sensitivity([0, 0], [0.2, 0.5], sensitivity=0.9)


def test_two_neighbouring_numbers_are_told_apart_by_a_threshold() -> None:
    low = 0.3
    high = float(np.nextafter(low, 1))
    threshold = binary.threshold_at_sensitivity([1, 0], [high, low], sensitivity=1.0)
    assert low <= threshold < high


def test_youden_takes_the_best_sum_of_sensitivity_and_specificity() -> None:
    """Above 0.55: 3/4 + 5/6 = 1.583, the most."""
    assert binary.youden_threshold(Y, S) == pytest.approx(0.55)
    with pytest.raises(UsageError, match="needs cases and non-cases"):
        binary.youden_threshold([1, 1], [0.2, 0.5])


def test_youden_of_a_ranking_worse_than_chance_calls_nobody() -> None:
    threshold = binary.youden_threshold([1, 0], [0.2, 0.5])
    assert not (np.array([0.2, 0.5]) > threshold).any()
