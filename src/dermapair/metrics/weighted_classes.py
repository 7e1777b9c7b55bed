"""The metrics of `METRICS` for many weightings of the same cases at once: what the bootstrap runs on.

Letters: N cases, K classes, S bootstrap samples. Every function takes y (N,) class indices, p (N, K) and
weights (N, S), how often each sample holds each case, and returns (S,): what scikit-learn gives for the
repeated cases. A class that a sample lacks is left out of its macro mean. Inputs come checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dermapair.metrics.arrays import Bools, Floats, Ints, checked_probabilities, mean_defined, ratio
from dermapair.metrics.classification import N_BINS, confidence_bins
from dermapair.metrics.weighted import auc, average_precision, partial_auc, sums_by

WeightedMetric = Callable[[Ints, Floats, Floats], Floats]
OneAgainstRest = Callable[[Bools, Floats, Floats], Floats]


def mean_auc(classes: Sequence[int]) -> WeightedMetric:
    """The metric "mean one-against-the-rest AUC of these classes", over those that a sample holds."""
    return lambda y, p, weights: _mean_over(classes, auc, y, p, weights)


def _mean_over(classes: Sequence[int], figure: OneAgainstRest, y: Ints, p: Floats, weights: Floats) -> Floats:
    return mean_defined(np.stack([figure(y == k, p[:, k], weights) for k in classes]))


def accuracy(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Weighted share of right answers."""
    return ratio((p.argmax(axis=1) == y) @ weights, weights.sum(axis=0))


def balanced_accuracy(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean recall over the classes that a sample holds."""
    hits, present, _ = _counts(y, p, weights)
    return mean_defined(ratio(hits, present))


def macro_f1(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean F1 over the classes that a sample holds."""
    hits, present, claimed = _counts(y, p, weights)
    return mean_defined(np.where(present > 0, ratio(2 * hits, present + claimed), np.nan))


def cohen_kappa(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Agreement of answer and truth beyond chance."""
    hits, present, claimed = _counts(y, p, weights)
    total = weights.sum(axis=0)
    by_chance = ratio((present * claimed).sum(axis=0), total**2)
    return ratio(ratio(hits.sum(axis=0), total) - by_chance, 1 - by_chance)


def _counts(y: Ints, p: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (K, S) by class: right answers, cases, answers."""
    named, n = p.argmax(axis=1), p.shape[1]
    hits = sums_by(y, weights, n=n, rows=named == y)
    return hits, sums_by(y, weights, n=n), sums_by(named, weights, n=n)


def macro_auc(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean AUC over the classes of which a sample holds cases and non-cases."""
    return _mean_over(range(p.shape[1]), auc, y, p, weights)


def macro_partial_auc_80(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean area above 80% sensitivity over the same classes as `macro_auc`."""
    return _mean_over(range(p.shape[1]), partial_auc, y, p, weights)


def macro_average_precision(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean average precision over the same classes as `macro_auc`."""
    return _mean_over(range(p.shape[1]), average_precision, y, p, weights)


def log_loss(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Weighted mean of the negative log probability of the true class."""
    _, p = checked_probabilities(y, p)
    smallest = np.finfo(np.float64).eps
    losses = -np.log(np.clip(p[np.arange(len(y)), y], smallest, 1 - smallest))
    return ratio(losses @ weights, weights.sum(axis=0))


def brier(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Weighted mean of the squared distance to the one-hot truth."""
    _, p = checked_probabilities(y, p)
    return ratio(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1) @ weights, weights.sum(axis=0))


def expected_calibration_error(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Gap between confidence and accuracy, by bins with weighted counts."""
    _, p = checked_probabilities(y, p)
    gap = p.max(axis=1) - (p.argmax(axis=1) == y)
    bins = np.eye(N_BINS)[confidence_bins(p.max(axis=1), n_bins=N_BINS)]
    return ratio(abs((bins * gap[:, None]).T @ weights).sum(axis=0), weights.sum(axis=0))


WEIGHTED: dict[str, WeightedMetric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "cohen_kappa": cohen_kappa,
    "macro_auc": macro_auc,
    "macro_partial_auc_80": macro_partial_auc_80,
    "macro_f1": macro_f1,
    "macro_average_precision": macro_average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "expected_calibration_error": expected_calibration_error,
}
