"""Metrics of one set of predictions: plain functions of arrays, by scikit-learn wherever it has them.

Letters: N cases, K classes. `y_true` is (N,) class indices in 0..K-1; `scores` is (N, K) finite floats,
higher means more likely; `probabilities` are scores in [0, 1] whose rows sum to 1. The predicted class is
the argmax, the first one of equals. NaN means "not defined": a class without a case has no recall, AUC,
F1 or precision, and a class that every case has no AUC. Macro means run over the classes where the value is
defined; `classes_without_cases` names the ones left out. The challenges' own rules live in `isic`,
intervals in `bootstrap`; nothing here draws or writes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

from dermapair.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

N_BINS = 15  # of the expected calibration error; Guo et al. 2017 use 15


def checked(y_true: ArrayLike, scores: ArrayLike) -> tuple[Ints, Floats]:
    """Return class indices (N,) and scores (N, K) as int64 and float64.

    Raises:
        UsageError: wrong shapes, no case, a class index outside 0..K-1, or a score that is not finite.
    """
    y, s = _numbers(y_true, "y_true"), _numbers(scores, "scores")
    if y.ndim != 1 or s.ndim != 2 or len(y) != len(s) or len(y) < 1 or s.shape[1] < 2:
        raise UsageError(
            f"expected y_true (N,) and scores (N, K) with N >= 1 and K >= 2, got {y.shape} and {s.shape}; "
            "hand over one row of K scores for each case"
        )
    _refuse(~np.isin(y, np.arange(s.shape[1])), y, f"y_true: expected a class index in 0..{s.shape[1] - 1}")
    _refuse(np.any(~np.isfinite(s), axis=1), s, "scores: expected finite numbers")
    return y.astype(np.int64), s


def checked_binary(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Bools, Floats]:
    """Return truth (N,) as booleans and scores (N,) as float64; raises UsageError as `checked` does."""
    y, s = _numbers(y_true, "y_true"), _numbers(y_score, "y_score")
    if y.ndim != 1 or y.shape != s.shape or len(y) < 1:
        raise UsageError(
            f"expected y_true and y_score of one shape (N,) with N >= 1, got {y.shape} and {s.shape}; "
            "hand over one score for each case"
        )
    _refuse(~np.isin(y, (0, 1)), y, "y_true: expected 0 or 1")
    _refuse(~np.isfinite(s), s, "y_score: expected finite numbers")
    return y.astype(bool), s


def checked_probabilities(y_true: ArrayLike, probabilities: ArrayLike) -> tuple[Ints, Floats]:
    """Like `checked`, for probabilities: in [0, 1], rows sum to 1 within 1e-3 (rescaled to exactly 1)."""
    y, p = checked(y_true, probabilities)
    bad = (p < 0).any(axis=1) | (p > 1).any(axis=1) | (abs(p.sum(axis=1) - 1) > 1e-3)
    _refuse(bad, p, "probabilities: expected values in [0, 1] that sum to 1")
    return y, p / p.sum(axis=1, keepdims=True)


def _numbers(values: ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: expected an array of numbers ({error}); hand over numbers only") from error


def _refuse(bad: Bools, values: Floats, expected: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise UsageError(
            f"{expected}, got {values[row]} in row {row} ({bad.sum()} such rows of {len(bad)}); "
            "correct or leave out these cases"
        )


def mean_defined(values: Floats) -> Floats:
    """Mean over the first axis of the values that are not NaN; NaN where there is none."""
    count = (~np.isnan(values)).sum(axis=0)
    return ratio(np.nansum(values, axis=0), count)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Quotient as float64, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient


def classes_without_cases(y_true: ArrayLike, *, n_classes: int) -> tuple[int, ...]:
    """Class indices in 0..n_classes-1 that no case has: those that macro means leave out."""
    return tuple(sorted(set(range(n_classes)) - set(np.asarray(y_true).tolist())))


# --- one class against the rest: y_true (N,) 0 or 1, y_score (N,) ---


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


# --- per class: (N,), (N, K) -> (K,) with NaN where not defined ---


def per_class_recall(y_true: ArrayLike, scores: ArrayLike) -> Floats:
    """Recall (sensitivity) of each class by argmax, (K,); NaN for a class without a case."""
    return _by_argmax(sk.recall_score, y_true, scores)


def per_class_precision(y_true: ArrayLike, scores: ArrayLike) -> Floats:
    """Precision of each class by argmax, (K,); NaN for a class without a case or never predicted."""
    return _by_argmax(sk.precision_score, y_true, scores)


def per_class_f1(y_true: ArrayLike, scores: ArrayLike) -> Floats:
    """F1 of each class by argmax, (K,); NaN for a class without a case, 0 for one never predicted."""
    return _by_argmax(sk.f1_score, y_true, scores)


def per_class_auc(y_true: ArrayLike, scores: ArrayLike) -> Floats:
    """AUC of each class against the rest, (K,); NaN for a class that no case, or every case, has."""
    y, s = checked(y_true, scores)
    return np.array([auc(y == k, s[:, k]) for k in range(s.shape[1])])


def per_class_average_precision(y_true: ArrayLike, scores: ArrayLike) -> Floats:
    """Average precision of each class against the rest, (K,); NaN as in `per_class_auc`."""
    y, s = checked(y_true, scores)
    return np.array([average_precision(y == k, s[:, k]) for k in range(s.shape[1])])


def _by_argmax(metric: Callable[..., Floats], y_true: ArrayLike, scores: ArrayLike) -> Floats:
    y, s = checked(y_true, scores)
    labels = np.arange(s.shape[1])
    values = metric(y, s.argmax(axis=1), labels=labels, average=None, zero_division=np.nan)
    return np.where(np.isin(labels, y), values, np.nan)


def confusion_matrix(y_true: ArrayLike, scores: ArrayLike) -> Ints:
    """Counts (K, K): row is the true class, column the predicted class."""
    y, s = checked(y_true, scores)
    return np.asarray(sk.confusion_matrix(y, s.argmax(axis=1), labels=np.arange(s.shape[1])), np.int64)


# --- one number: the members of METRICS, all (y_true, probabilities) -> float ---


def accuracy(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Share of the cases whose argmax is the true class."""
    y, s = checked(y_true, scores)
    return float(sk.accuracy_score(y, s.argmax(axis=1)))


def balanced_accuracy(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Mean recall over the classes that have at least one case."""
    return float(mean_defined(per_class_recall(y_true, scores)))


def macro_f1(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Mean F1, by argmax, over the classes that have at least one case."""
    return float(mean_defined(per_class_f1(y_true, scores)))


def macro_auc(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Mean one-against-the-rest AUC over the classes with at least one case and one non-case, else NaN."""
    return float(mean_defined(per_class_auc(y_true, scores)))


def macro_average_precision(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Mean one-against-the-rest average precision over the same classes as `macro_auc`, else NaN."""
    return float(mean_defined(per_class_average_precision(y_true, scores)))


def log_loss(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative natural logarithm of the true class's probability (clipped at 2.2e-16)."""
    y, p = checked_probabilities(y_true, probabilities)
    return float(sk.log_loss(y, p, labels=np.arange(p.shape[1])))


def brier(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Brier score, the mean squared distance to the one-hot truth, in [0, 2] for every K (K = 2 too)."""
    y, p = checked_probabilities(y_true, probabilities)
    return float(sk.brier_score_loss(y, p, labels=np.arange(p.shape[1]), scale_by_half=False))


def confidence_bins(confidence: Floats, *, n_bins: int) -> Ints:
    """Bin index (N,) of each confidence: equal widths over [0, 1], each open below and closed above."""
    return np.digitize(confidence, np.linspace(0, 1, n_bins + 1)[1:-1], right=True)


def expected_calibration_error(y_true: ArrayLike, probabilities: ArrayLike, *, n_bins: int = N_BINS) -> float:
    """Mean gap between confidence and accuracy of the predicted class, in [0, 1].

    Guo et al. 2017 (arXiv 1706.04599), eq. 3: bins ((m - 1) / n_bins, m / n_bins] of the largest
    probability, weighted by their number of cases.
    """
    y, p = checked_probabilities(y_true, probabilities)
    confidence = p.max(axis=1)
    gap = confidence - (p.argmax(axis=1) == y)
    return float(abs(np.bincount(confidence_bins(confidence, n_bins=n_bins), gap)).sum() / len(y))


Metric = Callable[[ArrayLike, ArrayLike], float]

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_auc": macro_auc,
    "macro_f1": macro_f1,
    "macro_average_precision": macro_average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "expected_calibration_error": expected_calibration_error,
}

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "expected_calibration_error"})
HIGHER_IS_BETTER: dict[str, bool] = {name: name not in LOWER_IS_BETTER for name in METRICS}
