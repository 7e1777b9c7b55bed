"""The metrics of `METRICS` for many weightings of the same cases at once: what the bootstrap runs on.

Letters: N cases, K classes, S bootstrap samples. Every function takes y (N,) class indices, p (N, K) and
weights (N, S), how often each sample holds each case, and returns (S,): what scikit-learn gives for the
repeated cases. Sorting is done once per class, not per sample. A class that a sample lacks is left out of
its macro mean. Inputs come checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dermapair.metrics.classification import (
    N_BINS,
    Bools,
    Floats,
    Ints,
    checked_probabilities,
    confidence_bins,
    mean_defined,
    ratio,
)

WeightedMetric = Callable[[Ints, Floats, Floats], Floats]


def auc(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """AUC in each sample: weight of the (case, non-case) pairs in right order, ties counting half."""
    order = np.argsort(score[~positive], kind="stable")
    others = score[~positive][order]
    below = np.zeros((len(others) + 1, weights.shape[1]))
    np.cumsum(weights[~positive][order], axis=0, out=below[1:])
    won = below[np.searchsorted(others, score[positive], "left")]
    won += below[np.searchsorted(others, score[positive], "right")]
    mine = weights[positive]
    return ratio(np.einsum("ns,ns->s", mine, won), 2 * mine.sum(axis=0) * below[-1])


def average_precision(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Average precision in each sample: mean over the cases of the precision at their own score."""
    order = np.argsort(-score, kind="stable")
    above = np.searchsorted(-score[order], -score[positive], "right") - 1
    ranked = weights[order]
    everyone = np.cumsum(ranked, axis=0)
    cases = np.cumsum(ranked * positive[order, None], axis=0)
    precision = np.nan_to_num(ratio(cases[above], everyone[above]))
    total = weights[positive].sum(axis=0)
    defined = weights[~positive].sum(axis=0) > 0
    return np.where(defined, ratio((weights[positive] * precision).sum(axis=0), total), np.nan)


def mean_auc(classes: Sequence[int]) -> WeightedMetric:
    """The metric "mean one-against-the-rest AUC of these classes", over those that a sample holds."""
    return lambda y, p, weights: mean_defined(np.stack([auc(y == k, p[:, k], weights) for k in classes]))


def _one_hot(labels: Ints, n_classes: int) -> Floats:
    return np.eye(n_classes)[labels]


def accuracy(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Weighted share of right answers."""
    return ratio((p.argmax(axis=1) == y) @ weights, weights.sum(axis=0))


def balanced_accuracy(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean recall over the classes that a sample holds."""
    truth, right = _one_hot(y, p.shape[1]), p.argmax(axis=1) == y
    return mean_defined(ratio((truth * right[:, None]).T @ weights, truth.T @ weights))


def macro_f1(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean F1 over the classes that a sample holds."""
    truth, predicted = _one_hot(y, p.shape[1]), _one_hot(p.argmax(axis=1), p.shape[1])
    hits, present, claimed = ((a.T @ weights) for a in (truth * predicted, truth, predicted))
    return mean_defined(np.where(present > 0, ratio(2 * hits, present + claimed), np.nan))


def macro_auc(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean AUC over the classes of which a sample holds cases and non-cases."""
    return mean_auc(range(p.shape[1]))(y, p, weights)


def macro_average_precision(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Mean average precision over the same classes as `macro_auc`."""
    per_class = [average_precision(y == k, p[:, k], weights) for k in range(p.shape[1])]
    return mean_defined(np.stack(per_class))


def log_loss(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Weighted mean of the negative log probability of the true class."""
    _, p = checked_probabilities(y, p)
    smallest = np.finfo(np.float64).eps
    losses = -np.log(np.clip(p[np.arange(len(y)), y], smallest, 1 - smallest))
    return ratio(losses @ weights, weights.sum(axis=0))


def brier(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Weighted mean of the squared distance to the one-hot truth."""
    _, p = checked_probabilities(y, p)
    return ratio(((p - _one_hot(y, p.shape[1])) ** 2).sum(axis=1) @ weights, weights.sum(axis=0))


def expected_calibration_error(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Gap between confidence and accuracy, by bins with weighted counts."""
    _, p = checked_probabilities(y, p)
    gap = p.max(axis=1) - (p.argmax(axis=1) == y)
    bins = _one_hot(confidence_bins(p.max(axis=1), n_bins=N_BINS), N_BINS)
    return ratio(abs((bins * gap[:, None]).T @ weights).sum(axis=0), weights.sum(axis=0))


WEIGHTED: dict[str, WeightedMetric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_auc": macro_auc,
    "macro_f1": macro_f1,
    "macro_average_precision": macro_average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "expected_calibration_error": expected_calibration_error,
}
