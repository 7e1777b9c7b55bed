"""Strata of rare classes, the jackknife, and intervals made from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dermapair.errors import UsageError
from dermapair.metrics import METRICS
from dermapair.metrics.bootstrap import bootstrap
from dermapair.metrics.resampling import RARE, left_out, resamples, strata_of
from dermapair.metrics.weighted_classes import WEIGHTED


def drawn(*args: object, **kwargs: object) -> np.ndarray:
    return np.concatenate(list(resamples(*args, **kwargs)), axis=1)  # type: ignore[arg-type]


def test_a_rare_class_is_in_every_sample_as_often_as_in_the_cases() -> None:
    y = np.array([0] * 50 + [1] * 3 + [2] * RARE)
    weights = drawn(len(y), groups=None, n_samples=500, seed=0, y_true=y)
    assert (weights[y == 1].sum(axis=0) == 3).all()
    assert (weights[y == 2].sum(axis=0) != RARE).any()  # as many as that are not rare
    assert (weights.sum(axis=0) == len(y)).all()
    without = drawn(len(y), groups=None, n_samples=500, seed=0, y_true=y, strata="none")
    assert (without[y == 1].sum(axis=0) == 0).any()
    assert np.array_equal(without, drawn(len(y), groups=None, n_samples=500, seed=0))


def test_a_patient_belongs_to_the_rarest_class_that_any_lesion_has() -> None:
    """Class 2 has two patients, class 1 three; patient 0 has both, patient 5 neither."""
    y = np.array([1, 2, 2, 1, 1, *[0] * 30])
    patients = np.array([0, 0, 1, 2, 3, *range(5, 35)])
    strata = strata_of(np.unique(patients, return_inverse=True)[1], y)
    assert strata[:4].tolist() == [3, 3, 2, 2]
    assert (strata[4:] == 0).all()
    weights = drawn(len(y), groups=patients, n_samples=50, seed=1, y_true=y)
    assert (weights[0] == weights[1]).all()  # drawn as a whole all the same
    assert (weights[[0, 2]].sum(axis=0) == 2).all()


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown strata 'class'; known: auto, none"):
        drawn(3, groups=None, n_samples=1, seed=0, y_true=[0, 1, 1], strata="class")
    with pytest.raises(UsageError, match="unknown method 'student'; known: basic, bca, percentile"):
        bootstrap([0, 1], np.eye(2), groups=None, metrics=["accuracy"], method="student")


def test_the_jackknife_leaves_out_one_group_at_a_time() -> None:
    (weights,) = left_out(np.array([0, 1, 0, 2]))
    assert weights.T.tolist() == [[0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 0]]


def test_bca_is_that_of_scipy_for_the_accuracy() -> None:
    rng = np.random.default_rng(0)
    hits = (rng.random(60) < 0.85).astype(int)
    got = bootstrap(
        np.zeros(60, int),
        np.eye(2)[1 - hits],
        groups=None,
        metrics=["accuracy"],
        n_samples=20_000,
        method="bca",
    )["accuracy"]
    want = stats.bootstrap((hits,), np.mean, n_resamples=20_000, method="BCa", rng=1).confidence_interval
    assert (got.low, got.high) == pytest.approx((want.low, want.high), abs=1 / 60)
    plain = bootstrap(
        np.zeros(60, int), np.eye(2)[1 - hits], groups=None, metrics=["accuracy"], n_samples=20_000
    )
    assert got.low < plain["accuracy"].low + 1e-9  # skewed to the left


def test_bca_of_too_many_cases_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermapair.metrics.bootstrap.MOST_LEFT_OUT", 8)
    with pytest.raises(UsageError, match="cases times groups up to 8, got 3 cases in 3 groups"):
        bootstrap([0, 1, 1], np.eye(2)[[0, 1, 0]], groups=None, metrics=["accuracy"], method="bca")


def test_the_calibration_error_has_an_interval_that_resampling_does_not_drive_up() -> None:
    """Of perfect probabilities every resample has a higher error than the cases, and those than the truth."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), size=400)
    y = (p.cumsum(axis=1) < rng.random((400, 1))).sum(axis=1)
    how = {"groups": None, "metrics": ["expected_calibration_error", "accuracy"], "n_samples": 500}
    usual, basic = (bootstrap(y, p, **how, method=method) for method in ("percentile", "basic"))  # type: ignore[arg-type]
    name = "expected_calibration_error"
    assert usual[name] == basic[name]
    assert usual[name].value == METRICS[name](y, p)
    samples = drawn(400, groups=None, n_samples=500, seed=0, y_true=y)
    resampled = WEIGHTED[name](y, p, samples)
    assert usual[name].low == pytest.approx(2 * usual[name].value - np.quantile(resampled, 0.975))
    assert np.mean(resampled > usual[name].value) > 0.6
    accuracy = usual["accuracy"]
    turned = 2 * accuracy.value - accuracy.high, 2 * accuracy.value - accuracy.low
    assert (basic["accuracy"].low, basic["accuracy"].high) == pytest.approx(turned)
