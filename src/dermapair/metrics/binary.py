"""One class, or a group of classes, against the rest: plain functions, by scikit-learn wherever it has them.

Letters: N cases, T thresholds. `y_true` is (N,) 0 or 1, `y_score` (N,) finite floats, higher meaning more
likely; where a probability is meant it is in [0, 1]. A case is called where its score is *above* a threshold.
NaN means "not defined".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from dermapair.errors import UsageError
from dermapair.metrics.arrays import Floats, checked_binary

LEAST_SENSITIVITY = 0.8
"""Where the partial AUC begins."""


def auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Area under the ROC curve; NaN without a case or without a non-case."""
    y, s = checked_binary(y_true, y_score)
    return float(sk.roc_auc_score(y, s)) if y.any() and not y.all() else np.nan


def average_precision(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Average precision (step-wise, not interpolated); NaN without a case or without a non-case."""
    y, s = checked_binary(y_true, y_score)
    return float(sk.average_precision_score(y, s)) if y.any() and not y.all() else np.nan


def sensitivity(y_true: ArrayLike, y_score: ArrayLike, *, threshold: float = 0.5) -> float:
    """Share of the cases with a score above the threshold (strictly); NaN without a case."""
    y, s = checked_binary(y_true, y_score)
    return float(sk.recall_score(y, s > threshold, zero_division=np.nan))


def specificity(y_true: ArrayLike, y_score: ArrayLike, *, threshold: float = 0.5) -> float:
    """Share of the non-cases with a score at most the threshold; NaN without a non-case."""
    y, s = checked_binary(y_true, y_score)
    return float(sk.recall_score(y, s > threshold, pos_label=False, zero_division=np.nan))


def roc_curve(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """False positive rates, true positive rates and falling thresholds (the first is inf), by scikit-learn.

    Raises:
        UsageError: no case or no non-case, so that there is no curve.
    """
    y, s = checked_binary(y_true, y_score)
    if y.all() or not y.any():
        raise UsageError(
            f"a ROC curve needs cases and non-cases, got {y.sum()} cases among {len(y)}; leave this class out"
        )
    fpr, tpr, thresholds = sk.roc_curve(y, s)
    return fpr, tpr, thresholds


def brier(y_true: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared distance of the probability to 0 or 1 (Brier 1950, for two classes), in [0, 1]."""
    y, p = checked_binary(y_true, probability)
    return float(((p - y) ** 2).mean())


def partial_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Area under the ROC curve above 80% sensitivity, in [0, 0.2], as ISIC 2024 scored it; NaN as for `auc`.

    Between the curve, the line of 80% sensitivity and the right side, so chance has 0.02. With cases and
    non-cases exchanged it is the area up to a false positive rate of 0.2, which scikit-learn rescales
    (McClish 1989).
    """
    y, s = checked_binary(y_true, y_score)
    if y.all() or not y.any():
        return np.nan
    most = 1 - LEAST_SENSITIVITY
    scaled = float(sk.roc_auc_score(~y, -s, max_fpr=most))
    return (2 * scaled - 1) * (most - most**2 / 2) + most**2 / 2


def specificity_at_sensitivity(y_true: ArrayLike, y_score: ArrayLike, *, sensitivity: float) -> float:
    """Highest specificity of a threshold that reaches a sensitivity on these cases; NaN as for `auc`.

    The threshold is chosen on the very cases that it is scored on. `isic.specificity_at_sensitivity` has the
    challenge's rule, which looks at fewer thresholds.
    """
    y, s = checked_binary(y_true, y_score)
    if y.all() or not y.any():
        return np.nan
    fpr, tpr, _ = sk.roc_curve(y, s, drop_intermediate=False)
    return float(1 - fpr[np.argmax(tpr >= sensitivity)])


def net_benefit(y_true: ArrayLike, probability: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Net benefit TP / N - FP / N * t / (1 - t) of calling above each threshold t (T,) in [0, 1): (T,).

    Vickers & Elkin 2006, eq. 1. In units of true positives for each case looked at; may be negative.
    """
    y, p = checked_binary(y_true, probability)
    t = np.asarray(thresholds, dtype=np.float64)
    hits, alarms = (len(x) - np.searchsorted(np.sort(x), t, "right") for x in (p[y], p[~y]))
    return np.asarray((hits - alarms * t / (1 - t)) / len(y))


def threshold_at_sensitivity(y_true: ArrayLike, y_score: ArrayLike, *, sensitivity: float) -> float:
    """Highest threshold at which calling above it reaches a sensitivity in (0, 1] on these cases.

    It lies midway between the lowest score that has to be called and the next one below, so that new cases of
    either kind may come near it; below the lowest of all scores where that one has to be called.

    Raises:
        UsageError: there is no case.
    """
    y, s = checked_binary(y_true, y_score)
    if not y.any():
        raise UsageError("a threshold needs cases to be found, got none; leave this target out")
    cases = np.sort(s[y])[::-1]
    reached = np.arange(1, len(cases) + 1) / len(cases) >= sensitivity
    return _below(s, float(cases[np.argmax(reached)]))


def youden_threshold(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Threshold with the highest sensitivity + specificity - 1 on these cases (Youden 1950).

    Of several with the same index the highest; it lies midway between two scores.

    Raises:
        UsageError: there is no case or no non-case.
    """
    y, s = checked_binary(y_true, y_score)
    fpr, tpr, thresholds = roc_curve(y, s)
    index = np.round(tpr - fpr, 12)  # equal shares may differ in their last bit
    best = int(np.argmax(index))
    return _below(s, float(thresholds[best])) if best else float(s.max())


def _below(scores: Floats, score: float) -> float:
    """Return what lies midway between a score and the next lower one, or just below the lowest."""
    lower = scores[scores < score]
    middle = (score + lower.max()) / 2 if len(lower) else np.nextafter(score, -np.inf)
    return float(middle if middle < score else lower.max())  # two neighbours have nothing between them
