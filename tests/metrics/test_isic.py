from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from dermapair.errors import UsageError
from dermapair.metrics.isic import (
    balanced_accuracy_ties_wrong,
    challenge_macro_f1,
    isic2017_scores,
    specificity_at_sensitivity,
)

Y_MEL, P_MEL = [1, 1, 0, 0, 0, 0], [0.9, 0.5, 0.5, 0.6, 0.1, 0.2]
Y_SK, P_SK = [0, 0, 1, 0, 0, 0], [0.5, 0.3, 0.8, 0.1, 0.2, 0.0]


def test_isic2017_scores_of_six_lesions_with_a_tie_and_a_value_of_one_half() -> None:
    scores = isic2017_scores(Y_MEL, P_MEL, Y_SK, P_SK)
    # .9 is above all four; .5 above two and level with one
    assert scores["melanoma_auc"] == pytest.approx((4 + 2.5) / 8)
    assert scores["seborrheic_keratosis_auc"] == 1.0
    assert scores["mean_auc"] == pytest.approx((6.5 / 8 + 1) / 2)
    # precision 1 at recall 1/2, then 2 of 4 at recall 1
    assert scores["melanoma_average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)
    # strict: .5 is negative, .6 a false alarm
    assert scores["melanoma_accuracy"] == pytest.approx(4 / 6)
    assert scores["seborrheic_keratosis_accuracy"] == 1.0
    assert scores["melanoma_sensitivity"] == 0.5
    assert scores["melanoma_specificity"] == 0.75
    for target in (82, 89, 95):
        assert scores[f"melanoma_specificity_at_sensitivity_{target}"] == 0.5
        assert scores[f"mean_specificity_at_sensitivity_{target}"] == 0.75
    assert len(scores) == 3 * 8


def test_isic2017_category_without_case_is_not_defined() -> None:
    scores = isic2017_scores(Y_MEL, P_MEL, [0] * 6, P_SK)
    assert np.isnan(scores["seborrheic_keratosis_auc"])
    assert np.isnan(scores["seborrheic_keratosis_specificity_at_sensitivity_89"])
    assert np.isnan(scores["seborrheic_keratosis_sensitivity"])
    assert scores["seborrheic_keratosis_accuracy"] == pytest.approx(5 / 6)
    assert np.isnan(scores["mean_auc"])
    assert scores["melanoma_auc"] == pytest.approx(6.5 / 8)


def test_specificity_at_sensitivity_takes_the_first_default_point_that_reaches_it() -> None:
    y, s = [1, 0, 1, 1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    # TPR 1/4 at FPR 0, 3/4 at FPR 1/3, 1 at FPR 2/3
    assert specificity_at_sensitivity(y, s, sensitivity=0.25) == 1.0
    assert specificity_at_sensitivity(y, s, sensitivity=0.5) == pytest.approx(2 / 3)
    assert specificity_at_sensitivity(y, s, sensitivity=0.76) == pytest.approx(1 / 3)


def test_specificity_at_sensitivity_skips_collinear_points_as_the_scorer_does() -> None:
    y, s = [1, 0, 1, 0, 1, 0], [0.9, 0.9, 0.5, 0.5, 0.4, 0.4]
    # the full curve reaches 2/3 at FPR 2/3, but that point lies between (1/3, 1/3) and (1, 1)
    assert sk.roc_curve(y, s, drop_intermediate=False)[1] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert specificity_at_sensitivity(y, s, sensitivity=0.5) == 0.0


def test_challenge_f1_thresholds_each_class_strictly_and_counts_absent_classes_one() -> None:
    y = [0, 0, 1, 1]
    p = [[0.51, 0.0, 0.5, 0.0], [0.5, 0.9, 0.0, 0.0], [0.8, 0.9, 0.0, 0.0], [0.1, 0.2, 0.5, 0.7]]
    # class 0: tp 1, fp 1, fn 1; class 1: tp 1, fp 1, fn 1; class 2: never present, .5 is not predicted;
    # class 3: never present but predicted
    assert challenge_macro_f1(y, p) == pytest.approx((0.5 + 0.5 + 1 + 0) / 4)


def test_challenge_f1_of_one_half_everywhere_is_zero_for_present_classes() -> None:
    assert challenge_macro_f1([0, 1], np.full((2, 2), 0.5)) == 0.0
    assert challenge_macro_f1([0, 1], [[0.51, 0.5], [0.5, 0.51]]) == 1.0


def test_a_tie_for_the_maximum_is_wrong() -> None:
    y = [0, 0, 1, 1, 3]
    p = [
        [0.4, 0.4, 0.2, 0],
        [0.5, 0.3, 0.2, 0],
        [0.1, 0.8, 0.1, 0],
        [0.3, 0.5, 0.1, 0.1],
        [0.2, 0.1, 0.4, 0.4],
    ]
    assert balanced_accuracy_ties_wrong(y, p) == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_a_tie_below_the_maximum_does_not_matter() -> None:
    assert balanced_accuracy_ties_wrong([0, 1], [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]]) == 1.0


def test_scores_of_unequal_length_are_refused() -> None:
    with pytest.raises(UsageError, match=r"one shape \(N,\)"):
        isic2017_scores(Y_MEL, P_MEL[:5], Y_SK, P_SK)
