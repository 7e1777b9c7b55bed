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
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from dermapair.metrics.arrays import Floats, Ints, checked, checked_probabilities, mean_defined
from dermapair.metrics.binary import auc, average_precision, partial_auc

SAMPLED_AT_ONCE = 4_000_000  # 32 MB of float64
N_BINS = 15  # of the expected calibration error; Guo et al. 2017 use 15


def classes_without_cases(y_true: ArrayLike, *, n_classes: int) -> tuple[int, ...]:
    """Class indices in 0..n_classes-1 that no case has: those that macro means leave out."""
    return tuple(sorted(set(range(n_classes)) - set(np.asarray(y_true).tolist())))


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


def cohen_kappa(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Agreement of answer (argmax) and truth beyond chance (Cohen 1960); NaN where all are of one class."""
    y, s = checked(y_true, scores)
    named = s.argmax(axis=1)
    if len(np.union1d(y, named)) < 2:
        return np.nan
    return float(sk.cohen_kappa_score(y, named))


def macro_auc(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Mean one-against-the-rest AUC over the classes with at least one case and one non-case, else NaN."""
    return float(mean_defined(per_class_auc(y_true, scores)))


def macro_partial_auc_80(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Mean area above 80% sensitivity (`binary.partial_auc`) over the same classes as `macro_auc`."""
    y, s = checked(y_true, scores)
    return float(mean_defined(np.array([partial_auc(y == k, s[:, k]) for k in range(s.shape[1])])))


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


def calibration_error_if_perfect(probabilities: ArrayLike, *, n_samples: int = 1000, seed: int = 0) -> Floats:
    """Calibration error (n_samples,) that these very probabilities (N, K) would show if they were true.

    It is not 0, as bins hold few cases. Whether an answer is right is drawn with its confidence (consistency
    resampling: Bröcker & Smith 2007).
    """
    p = np.asarray(probabilities, dtype=np.float64)
    confidence = p.max(axis=1) / p.sum(axis=1)
    bins = np.eye(N_BINS)[confidence_bins(confidence, n_bins=N_BINS)]
    generator, size = np.random.default_rng(seed), max(1, SAMPLED_AT_ONCE // len(p))
    found = []
    for start in range(0, n_samples, size):
        right = generator.random((min(size, n_samples - start), len(p))) < confidence
        found.append(abs((confidence - right) @ bins).sum(axis=1) / len(p))
    return np.concatenate(found)


def reliability(y_true: ArrayLike, probabilities: ArrayLike, n_bins: int) -> tuple[Ints, Floats, Floats]:
    """Number of cases, mean confidence and accuracy of the bins that hold any: a reliability diagram.

    Bins of the predicted class's probability, as in `expected_calibration_error`.
    """
    y, p = checked_probabilities(y_true, probabilities)
    confidence = p.max(axis=1)
    bins = confidence_bins(confidence, n_bins=n_bins)
    n = np.bincount(bins)
    means = [np.bincount(bins, each)[n > 0] / n[n > 0] for each in (confidence, p.argmax(axis=1) == y)]
    return n[n > 0].astype(np.int64), means[0], means[1]


Metric = Callable[[ArrayLike, ArrayLike], float]

METRICS: dict[str, Metric] = {
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

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "expected_calibration_error"})
HIGHER_IS_BETTER: dict[str, bool] = {name: name not in LOWER_IS_BETTER for name in METRICS}
