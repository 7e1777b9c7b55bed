from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from dermapair.errors import UsageError
from dermapair.metrics.isic import (
    balanced_accuracy_ties_wrong,
    challenge_macro_f1,
    f1_thresholds,
    isic2017_intervals,
    isic2017_scores,
    specificity_at_sensitivity,
    thresholds_to_half,
)
from dermapair.metrics.resampling import resamples
from dermapair.metrics.weighted import specificity_at_sensitivities

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


def repeated(weights: np.ndarray) -> list[np.ndarray]:
    """Rows of each sample, as often as its weights say."""
    return [np.repeat(np.arange(len(weights)), counts.astype(int)) for counts in weights.T]


def test_weighted_specificity_of_hand_made_samples_skips_what_the_default_curve_skips() -> None:
    y, s = np.array([1, 0, 1, 0, 1, 0], dtype=bool), np.array([0.9, 0.9, 0.5, 0.5, 0.4, 0.4])
    weights = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 2, 1, 1, 1], [1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1]]).T
    got = specificity_at_sensitivities(y, s, weights.astype(float), sensitivities=(0.5, 0.7))
    # The same step three times: of its ends only the last reaches one half. A middle step of two cases: its
    # end (2/3, 3/4) is a point. Without the middle scores: points at (1/2, 1/2) and (1, 1). No case: nothing.
    np.testing.assert_array_equal(got[:, :3], [[0, 1 - 2 / 3, 0.5], [0, 1 - 2 / 3, 0]])
    assert np.isnan(got[:, 3]).all()


@pytest.mark.parametrize("decimals", [1, 2, 9])
def test_weighted_specificity_is_exactly_that_of_the_repeated_cases(decimals: int) -> None:
    rng, targets = np.random.default_rng(decimals), (0.3, *(0.82, 0.89, 0.95), 1.0)
    for seed in range(40):
        n = int(rng.integers(4, 30))
        y, s = rng.random(n) < 0.4, np.round(rng.random(n), decimals)  # few decimals, many ties
        (weights,) = resamples(n, groups=None, n_samples=10, seed=seed)
        got = specificity_at_sensitivities(y, s, weights, sensitivities=targets)
        want = [
            [specificity_at_sensitivity(y[rows], s[rows], sensitivity=t) for rows in repeated(weights)]
            for t in targets
        ]
        np.testing.assert_array_equal(got, want)


def test_isic2017_intervals_are_percentiles_of_the_scores_of_the_repeated_cases() -> None:
    rng = np.random.default_rng(3)
    y = rng.choice(3, 40, p=[0.6, 0.3, 0.1])  # so few of each class that they are drawn in strata
    p, groups = rng.multinomial(10, np.ones(3) / 3, size=40) / 10, np.arange(40) // 2
    pairs = (y == 1, p[:, 1], y == 2, p[:, 2])
    got = isic2017_intervals(*pairs, groups=groups, n_samples=60, seed=7)
    (weights,) = resamples(40, groups=groups, n_samples=60, seed=7, y_true=y)
    samples = [isic2017_scores(*(values[rows] for values in pairs)) for rows in repeated(weights)]
    assert {name: figure.value for name, figure in got.items()} == isic2017_scores(*pairs)
    assert not np.isnan([sample["mean_auc"] for sample in samples]).any()
    for name, figure in got.items():
        low, high = np.nanquantile([sample[name] for sample in samples], [0.025, 0.975])
        assert (figure.low, figure.high) == pytest.approx((low, high), abs=1e-12), name


def test_isic2017_intervals_of_a_category_without_case_are_not_defined() -> None:
    got = isic2017_intervals(Y_MEL, P_MEL, [0] * 6, P_SK, groups=None, n_samples=50)
    for name in ("seborrheic_keratosis_auc", "seborrheic_keratosis_sensitivity", "mean_auc"):
        assert np.isnan([got[name].value, got[name].low, got[name].high]).all()
    # .8 is the one false alarm of six
    assert got["seborrheic_keratosis_specificity"].value == pytest.approx(5 / 6)
    assert got["seborrheic_keratosis_specificity"].high == 1.0
    with pytest.raises(UsageError, match="one known name for each of the 6 cases"):
        isic2017_intervals(Y_MEL, P_MEL, Y_SK, P_SK, groups=[1, 2])


def test_thresholds_are_those_of_the_best_f1_midway_between_scores() -> None:
    y = [0, 0, 0, 1, 1, 2]
    p = [
        [0.60, 0.20, 0.0, 0.20],
        [0.40, 0.20, 0.0, 0.40],
        [0.20, 0.80, 0.0, 0.00],
        [0.30, 0.30, 0.0, 0.40],
        [0.10, 0.40, 0.0, 0.50],
        [0.05, 0.05, 0.0, 0.90],
    ]
    # class 0: two of three above .35 without an alarm, F1 .8; all three with one above .15, F1 6/7.
    # class 1: both above .25 with one alarm, F1 .8. class 2: never above 0: no threshold finds it, the
    # highest is between 0 and 1. class 3: no case.
    assert f1_thresholds(y, p) == pytest.approx([0.15, 0.25, 0.5, 0.5])


def test_of_thresholds_with_one_f1_the_highest_is_taken() -> None:
    y, s = [1, 1, 0, 1], np.array([0.8, 0.6, 0.4, 0.2])
    # above .7: F1 1/2; above .5: 4/5; above .3: 2/3; above .1: 6/7
    assert f1_thresholds(y, np.stack([1 - s, s], axis=1))[1] == pytest.approx(0.1)
    y, s = [1, 0, 1, 0], np.array([0.8, 0.6, 0.4, 0.0])
    # above .7: 2/3; above .5: 1/2; above .2: 4/5; every score of 0 stays below
    assert f1_thresholds(y, np.stack([1 - s, s], axis=1))[1] == pytest.approx(0.2)
    y, s = [1, 0, 0, 1], np.array([0.8, 0.6, 0.4, 0.2])
    # above .7: 2/3; above .1: 4/6, the same
    assert f1_thresholds(y, np.stack([1 - s, s], axis=1))[1] == pytest.approx(0.7)


def test_thresholds_land_on_one_half_and_decisions_stay() -> None:
    scores = np.array(
        [[0.0, 0.0], [0.1, 0.4], [0.2, 0.8], [0.2 + 1e-12, 0.8 + 1e-12], [0.6, 0.9], [1.0, 1.0]]
    )
    got = thresholds_to_half(scores, [0.2, 0.8])
    low, high = 0.5 - 1e-6, 0.5 + 1e-6
    assert got[:, 0] == pytest.approx([0, 0.25, low, high, 0.75, 1], abs=1e-15)
    assert got[:, 1] == pytest.approx([0, 0.25, low, high, 0.75, 1], abs=1e-15)
    assert (np.diff(got, axis=0) > 0).all()


def test_a_threshold_of_one_half_changes_nothing_but_one_half_itself(rng: np.random.Generator) -> None:
    scores = rng.random((50, 3))
    assert np.array_equal(thresholds_to_half(scores, [0.5] * 3), scores)
    assert thresholds_to_half([[0.5]], [0.5]).tolist() == [[0.499999]]


def test_fitted_thresholds_do_not_lower_the_challenge_f1_of_their_own_cases() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y, p = rng.integers(4, size=60), rng.dirichlet(np.ones(4) / 2, 60)
        placed = thresholds_to_half(p, f1_thresholds(y, p))
        assert challenge_macro_f1(y, placed) >= challenge_macro_f1(y, p)


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
