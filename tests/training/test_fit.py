"""Fitted weights of the readouts in `both`."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.inference.scores import combine, softmax
from dermapair.training.fit import fit_weights


def test_the_known_best_weight_is_found() -> None:
    """Two readouts that are right in turn: with p and 1 - p the best weight is the share of each."""
    n, right = 100, 70
    labels = np.zeros(n, dtype=np.int64)
    sure, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    first = np.array([sure] * right + [wrong] * (n - right))
    weights = fit_weights({"clinical": first, "dermoscopic": 1 - first}, labels)
    assert weights["clinical"] == pytest.approx(0.7, abs=1e-3)
    assert sum(weights.values()) == pytest.approx(1.0)


def test_a_readout_that_knows_nothing_gets_almost_no_weight(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, size=200)
    good = softmax(np.eye(3)[labels] * 4 + rng.normal(size=(200, 3)))
    bad = softmax(rng.normal(size=(200, 3)) * 4)
    assert fit_weights({"clinical": good, "cross": bad}, labels)["cross"] < 0.1


def test_missing_views_and_lost_lesions_do_not_disturb_the_fit(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, size=60)
    each = {
        r: softmax(np.eye(3)[labels] * k + rng.normal(size=(60, 3)))
        for r, k in (("clinical", 1), ("cross", 3))
    }
    want = fit_weights(each, labels)
    lost = {r: np.concatenate([p, np.full((5, 3), np.nan)]) for r, p in each.items()}
    got = fit_weights(lost, np.concatenate([labels, np.zeros(5, dtype=np.int64)]))
    assert got == pytest.approx(want, abs=1e-6)


def test_fitted_weights_are_never_worse_than_equal_ones(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, size=80)
    each = {
        r: softmax(rng.normal(size=(80, 3)) + k * np.eye(3)[labels])
        for r, k in (("clinical", 0.5), ("cross", 2))
    }
    rows = np.arange(80)
    fitted = -np.log(combine(each, fit_weights(each, labels))[rows, labels]).mean()
    equal = -np.log(combine(each, {"clinical": 1.0, "cross": 1.0})[rows, labels]).mean()
    assert fitted <= equal + 1e-9
