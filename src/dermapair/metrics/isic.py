"""Scores by the rules of the ISIC challenges, which differ from the plain metrics on purpose.

Rules are those of ImageMarkup/isic-challenge-scoring (2017: its first Python scorer; later years: 5.8.0).
Reading and writing submission files is not done here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from dermapair.metrics import classification

ISIC2017_CATEGORIES = ("melanoma", "seborrheic_keratosis")
ISIC2017_SENSITIVITIES = (0.82, 0.89, 0.95)


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
    columns = [_isic2017_category(y_true, y_score) for y_true, y_score in pairs]
    columns.append({name: float(np.mean([column[name] for column in columns])) for name in columns[0]})
    names = (*ISIC2017_CATEGORIES, "mean")
    return {
        f"{name}_{metric}": value
        for name, c in zip(names, columns, strict=True)
        for metric, value in c.items()
    }


def _isic2017_category(y_true: ArrayLike, y_score: ArrayLike) -> dict[str, float]:
    y, s = classification.checked_binary(y_true, y_score)
    scores = {
        "auc": classification.auc(y, s),
        "average_precision": classification.average_precision(y, s),
        "accuracy": float(sk.accuracy_score(y, s > 0.5)),
        "sensitivity": classification.sensitivity(y, s),
        "specificity": classification.specificity(y, s),
    }
    for target in ISIC2017_SENSITIVITIES:
        name = f"specificity_at_sensitivity_{round(100 * target)}"
        scores[name] = specificity_at_sensitivity(y, s, sensitivity=target)
    return scores


def specificity_at_sensitivity(y_true: ArrayLike, y_score: ArrayLike, *, sensitivity: float) -> float:
    """1 - FPR of the first point of scikit-learn's default ROC curve with TPR >= sensitivity.

    The default curve leaves out collinear points, so the value can lie below the best reachable one;
    that is the published rule. y_true (N,) 0 or 1, y_score (N,); NaN without a case or a non-case.
    """
    y, s = classification.checked_binary(y_true, y_score)
    if y.all() or not y.any():
        return np.nan
    fpr, tpr, _ = classification.roc_curve(y, s)
    return float(1 - fpr[np.argmax(tpr >= sensitivity)])


def challenge_macro_f1(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Goal metric of MILK10k (ISIC 2025): mean F1 with each class thresholded on its own at > 0.5, strictly.

    A case may have any number of predicted classes. A class never present and never predicted counts 1.0,
    one that is present or predicted but never both counts 0.0.

    Args:
        y_true: (N,) class indices.
        scores: (N, K) confidence of each class, in [0, 1].
    """
    y, s = classification.checked(y_true, scores)
    truth = np.eye(s.shape[1], dtype=int)[y]
    return float(sk.f1_score(truth, (s > 0.5).astype(int), average="macro", zero_division=1.0))


def balanced_accuracy_ties_wrong(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Goal metric of ISIC 2018 and 2019: mean recall by argmax, where a tie for the maximum is wrong.

    Mean over the classes that have at least one case. y_true (N,) class indices, scores (N, K).
    """
    y, s = classification.checked(y_true, scores)
    undecided = (s == s.max(axis=1, keepdims=True)).sum(axis=1) > 1
    predicted = np.where(undecided, -1, s.argmax(axis=1))
    return float(sk.recall_score(y, predicted, labels=np.unique(y), average="macro"))
