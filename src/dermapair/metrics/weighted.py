"""The metrics of `METRICS` for many weightings of the same cases at once: what the bootstrap runs on.

Letters: N cases, K classes, S bootstrap samples. Every function takes y (N,) class indices, p (N, K) and
weights (N, S), how often each sample holds each case, and returns (S,): what scikit-learn gives for the
repeated cases. Those of one class against the rest take positive (N,) and score (N,) instead of y and p.
Sorting is done once per class, not per sample. A class that a sample lacks is left out of its macro mean.
Inputs come checked.
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


def binary_accuracy(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Share of right answers in each sample, a case being called at > 0.5, strictly."""
    return ratio(((score > 0.5) == positive) @ weights, weights.sum(axis=0))


def sensitivity(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Share of each sample's cases that score > 0.5."""
    return ratio((score[positive] > 0.5) @ weights[positive], weights[positive].sum(axis=0))


def specificity(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Share of each sample's non-cases that score at most 0.5."""
    return ratio((score[~positive] <= 0.5) @ weights[~positive], weights[~positive].sum(axis=0))


def specificity_at_sensitivities(
    positive: Bools, score: Floats, weights: Floats, *, sensitivities: Sequence[float]
) -> Floats:
    """1 - FPR of the first point of scikit-learn's default ROC curve that reaches each sensitivity, (T, S).

    NaN in a sample without a case or without a non-case.
    """
    order = np.argsort(-score, kind="stable")
    starts = np.unique(-score[order], return_index=True)[1]
    ranked = weights[order]
    cases = np.add.reduceat(ranked * positive[order, None], starts, axis=0)  # (L, S), L falling scores
    others = np.add.reduceat(ranked, starts, axis=0) - cases
    kept = _curve_points(cases, others)
    tpr, fpr = (ratio(np.cumsum(steps, axis=0), steps.sum(axis=0)) for steps in (cases, others))
    firsts = np.stack([(kept & (tpr >= t)).argmax(axis=0) for t in sensitivities])
    return np.where(np.isnan(tpr[-1]), np.nan, 1 - fpr[firsts, np.arange(weights.shape[1])])


def _curve_points(cases: Floats, others: Floats) -> Bools:
    """Tell which scores (L, S) are points of each sample's default ROC curve, by their cases and non-cases.

    `drop_intermediate` leaves out a point that the curve reaches by the same step as it leaves it, the first
    and the last excepted; scores that a sample lacks are no points of it.
    """
    n_levels = len(cases)
    present = cases + others > 0
    level = np.where(present, np.arange(n_levels, dtype=np.int32)[:, None], np.int32(n_levels))
    at_or_after = np.minimum.accumulate(level[::-1], axis=0)[::-1]
    after = np.vstack([at_or_after[1:], np.full((1, cases.shape[1]), n_levels, dtype=np.int32)])
    ends = (level == at_or_after[0]) | (after == n_levels)
    following = np.minimum(after, n_levels - 1)
    turns = np.take_along_axis(cases, following, axis=0) != cases
    turns |= np.take_along_axis(others, following, axis=0) != others
    return np.asarray(present & (ends | turns))


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
