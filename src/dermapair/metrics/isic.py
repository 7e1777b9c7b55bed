"""Scores by the rules of the ISIC challenges, which differ from the plain metrics on purpose.

Rules are those of ImageMarkup/isic-challenge-scoring (2017: its first Python scorer; later years: 5.8.0).
Reading and writing submission files is not done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from dermapair.metrics import binary, weighted
from dermapair.metrics.arrays import Bools, Floats, checked, checked_binary
from dermapair.metrics.bootstrap import Interval, intervals_of
from dermapair.metrics.resampling import resamples

ISIC2017_CATEGORIES = ("melanoma", "seborrheic_keratosis")
ISIC2017_SENSITIVITIES = (0.82, 0.89, 0.95)
NEAREST_TO_HALF = 1e-6
_AT_SENSITIVITY = {f"specificity_at_sensitivity_{round(100 * t)}": t for t in ISIC2017_SENSITIVITIES}


def isic2017_scores(
    y_melanoma: ArrayLike, p_melanoma: ArrayLike, y_sk: ArrayLike, p_sk: ArrayLike
) -> dict[str, float]:
    """Scores of ISIC 2017 part 3: two independent yes-or-no questions; a nevus is neither.

    Args:
        y_melanoma: (N,) 0 or 1.
        p_melanoma: (N,) confidence that the lesion is a melanoma, in [0, 1].
        y_sk: (N,) 0 or 1.
        p_sk: (N,) confidence that the lesion is a seborrheic keratosis, in [0, 1].

    Returns:
        For `melanoma`, `seborrheic_keratosis` and their `mean`: `<name>_auc`, `_average_precision`,
        `_accuracy`, `_sensitivity`, `_specificity` (at > 0.5, strictly) and
        `_specificity_at_sensitivity_82`, `_89`, `_95`; NaN where a category has no case or no non-case.
    """
    pairs = ((y_melanoma, p_melanoma), (y_sk, p_sk))
    named = _with_mean([_isic2017_category(y_true, y_score) for y_true, y_score in pairs])
    return {name: float(value) for name, value in named.items()}


def isic2017_intervals(
    y_melanoma: ArrayLike,
    p_melanoma: ArrayLike,
    y_sk: ArrayLike,
    p_sk: ArrayLike,
    *,
    groups: ArrayLike | None,
    n_samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """`isic2017_scores` with percentile bootstrap intervals; the other arguments are those of `bootstrap`.

    A sample in which a figure is not defined is left out of its percentiles: for the mean, one that lacks
    cases or non-cases of either category.
    """
    pairs = [checked_binary(*pair) for pair in ((y_melanoma, p_melanoma), (y_sk, p_sk))]
    return intervals_of(
        isic2017_scores(y_melanoma, p_melanoma, y_sk, p_sk),
        lambda weights: _with_mean([_isic2017_weighted(y, s, weights) for y, s in pairs]),
        chunks=resamples(
            len(pairs[0][0]),
            groups=groups,
            n_samples=n_samples,
            seed=seed,
            y_true=pairs[0][0] + 2 * pairs[1][0],
        ),
        level=level,
    )


def _with_mean(columns: Sequence[Mapping[str, ArrayLike]]) -> dict[str, Floats]:
    """Return `<category>_<figure>` of both categories and their mean, NaN where one of them is."""
    mean = {
        figure: np.mean([np.asarray(column[figure]) for column in columns], axis=0) for figure in columns[0]
    }
    names = (*ISIC2017_CATEGORIES, "mean")
    return {
        f"{name}_{figure}": np.asarray(value)
        for name, column in zip(names, (*columns, mean), strict=True)
        for figure, value in column.items()
    }


def _isic2017_category(y_true: ArrayLike, y_score: ArrayLike) -> dict[str, float]:
    y, s = checked_binary(y_true, y_score)
    return {
        "auc": binary.auc(y, s),
        "average_precision": binary.average_precision(y, s),
        "accuracy": float(sk.accuracy_score(y, s > 0.5)),
        "sensitivity": binary.sensitivity(y, s),
        "specificity": binary.specificity(y, s),
    } | {name: specificity_at_sensitivity(y, s, sensitivity=t) for name, t in _AT_SENSITIVITY.items()}


def _isic2017_weighted(y: Bools, s: Floats, weights: Floats) -> dict[str, Floats]:
    """The figures of `_isic2017_category` in each sample, by weights (N, S): (S,)."""
    at = weighted.specificity_at_sensitivities(y, s, weights, sensitivities=ISIC2017_SENSITIVITIES)
    return {
        "auc": weighted.auc(y, s, weights),
        "average_precision": weighted.average_precision(y, s, weights),
        "accuracy": weighted.binary_accuracy(y, s, weights),
        "sensitivity": weighted.sensitivity(y, s, weights),
        "specificity": weighted.specificity(y, s, weights),
    } | dict(zip(_AT_SENSITIVITY, at, strict=True))


def specificity_at_sensitivity(y_true: ArrayLike, y_score: ArrayLike, *, sensitivity: float) -> float:
    """1 - FPR of the first point of scikit-learn's default ROC curve with TPR >= sensitivity.

    The default curve leaves out collinear points, so the value can lie below the best reachable one;
    that is the published rule. y_true (N,) 0 or 1, y_score (N,); NaN without a case or a non-case.
    """
    y, s = checked_binary(y_true, y_score)
    if y.all() or not y.any():
        return np.nan
    fpr, tpr, _ = binary.roc_curve(y, s)
    return float(1 - fpr[np.argmax(tpr >= sensitivity)])


def challenge_macro_f1(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Goal metric of MILK10k (ISIC 2025): mean F1 with each class thresholded on its own at > 0.5, strictly.

    A case may have any number of predicted classes. A class never present and never predicted counts 1.0,
    one that is present or predicted but never both counts 0.0.

    Args:
        y_true: (N,) class indices.
        scores: (N, K) confidence of each class, in [0, 1].
    """
    y, s = checked(y_true, scores)
    truth = np.eye(s.shape[1], dtype=int)[y]
    return float(sk.f1_score(truth, (s > 0.5).astype(int), average="macro", zero_division=1.0))


def f1_thresholds(y_true: ArrayLike, scores: ArrayLike) -> Floats:
    """Thresholds t (K,) in (0, 1) at which "score > t" has each class's best F1: for `challenge_macro_f1`.

    Fit them on validation, never on the cases that they decide. Thresholds lie midway between two scores; of
    equals the highest is taken. A class without a case says nothing, and keeps 0.5.

    Args:
        y_true: (N,) class indices.
        scores: (N, K) confidence of each class, in [0, 1].
    """
    y, s = checked(y_true, scores)
    return np.array([_f1_threshold(y == k, s[:, k]) for k in range(s.shape[1])])


def _f1_threshold(positive: Bools, score: Floats) -> float:
    if not positive.any():
        return 0.5
    levels = np.unique([0.0, 1.0, *score])[::-1]
    thresholds = (levels[:-1] + levels[1:]) / 2
    thresholds = thresholds[(thresholds > 0) & (thresholds < 1)]
    called, found = (
        len(x) - np.searchsorted(np.sort(x), thresholds, "right") for x in (score, score[positive])
    )
    return float(thresholds[np.argmax(2 * found / (called + positive.sum()))])


def thresholds_to_half(scores: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Scores (N, K) in [0, 1] stretched so that each class's threshold t (K,) lands on 0.5.

    Linear from 0..t to 0..0.5 and from t..1 to 0.5..1, which keeps the order of scores. Nothing comes nearer
    to 0.5 than 1e-6, so that no rounding turns a decision; a score of t itself stays below.
    """
    s, t = np.asarray(scores, dtype=np.float64), np.asarray(thresholds, dtype=np.float64)
    below = np.minimum(0.5 * np.minimum(s, t) / t, 0.5 - NEAREST_TO_HALF)
    above = np.maximum(0.5 + 0.5 * (s - t) / (1 - t), 0.5 + NEAREST_TO_HALF)
    return np.where(s > t, above, below)


def balanced_accuracy_ties_wrong(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Goal metric of ISIC 2018 and 2019: mean recall by argmax, where a tie for the maximum is wrong.

    Mean over the classes that have at least one case. y_true (N,) class indices, scores (N, K).
    """
    y, s = checked(y_true, scores)
    undecided = (s == s.max(axis=1, keepdims=True)).sum(axis=1) > 1
    predicted = np.where(undecided, -1, s.argmax(axis=1))
    return float(sk.recall_score(y, predicted, labels=np.unique(y), average="macro"))
