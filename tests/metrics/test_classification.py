from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from dermapair.errors import UsageError
from dermapair.metrics import HIGHER_IS_BETTER, METRICS, binary
from dermapair.metrics import classification as c

# Six cases, three classes; argmax 0 0 1 1 0 2, truth 0 0 0 1 1 2.
Y = np.array([0, 0, 0, 1, 1, 2])
P = np.array(
    [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4], [0.1, 0.3, 0.6]]
)
RANGES = {"log_loss": (0, 36.1), "brier": (0, 2), "cohen_kappa": (-1, 1), "macro_partial_auc_80": (0, 0.2)}
RANKS = {"macro_auc", "macro_average_precision", "macro_partial_auc_80"}


def drawn(seed: int, n: int = 30, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.concatenate([np.arange(k), rng.integers(k, size=n - k)]), rng.dirichlet(np.ones(k), size=n)


def test_hand_computed_values() -> None:
    assert METRICS["accuracy"](Y, P) == pytest.approx(4 / 6)
    assert METRICS["balanced_accuracy"](Y, P) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert METRICS["macro_f1"](Y, P) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # class 0: 9 pairs, cases .7 .5 .2 against .1 .5 .1, one tie: 3 + 2.5 + 2
    # class 1: 8 pairs, cases .8 .1 against .2 .3 .6 .3: 4 + 0; class 2: .6 above all
    assert c.per_class_auc(Y, P) == pytest.approx([7.5 / 9, 4 / 8, 1])
    assert METRICS["macro_auc"](Y, P) == pytest.approx((7.5 / 9 + 0.5 + 1) / 3)
    assert METRICS["log_loss"](Y, P) == pytest.approx(-np.log([0.7, 0.5, 0.2, 0.8, 0.1, 0.6]).mean())
    assert METRICS["brier"](Y, P) == pytest.approx((0.14 + 0.38 + 1.04 + 0.06 + 1.22 + 0.26) / 6)


def test_calibration_error_sums_gaps_over_bins_that_are_closed_above() -> None:
    p = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    # bins of width 1/5: (.4, .6] holds two cases with accuracy 1/2, (.8, 1] one right, (.6, .8] one right
    assert c.expected_calibration_error([0, 1, 0, 1], p, n_bins=5) == pytest.approx((0.2 + 0.1 + 0.2) / 4)
    assert c.confidence_bins(np.array([0.0, 0.2, 0.21, 1.0]), n_bins=5).tolist() == [0, 0, 1, 4]


def test_reliability_bins_hold_what_the_calibration_error_sums() -> None:
    p = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    n, confidence, accuracy = c.reliability([0, 1, 0, 0], p, 5)
    assert n.tolist() == [2, 1, 1]
    assert confidence == pytest.approx([0.6, 0.8, 0.9])
    assert accuracy.tolist() == [0.5, 0.0, 1.0]


def test_true_probabilities_show_the_calibration_error_that_is_foretold(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), size=300)
    foretold = c.calibration_error_if_perfect(p)
    found = []
    for _ in range(200):
        y = (p.cumsum(axis=1) < rng.random((300, 1))).sum(axis=1)
        found.append(c.expected_calibration_error(y, p))
    assert np.mean(found) == pytest.approx(foretold.mean(), rel=0.05)
    assert np.quantile(found, 0.9) == pytest.approx(np.quantile(foretold, 0.9), rel=0.1)
    assert c.calibration_error_if_perfect(np.eye(3)).tolist() == [0.0] * 1000


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_scikit_learn(seed: int) -> None:
    y, p = drawn(seed)
    predicted, labels = p.argmax(axis=1), np.arange(4)
    expected = {
        "accuracy": sk.accuracy_score(y, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(y, predicted),
        "macro_auc": sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
        "macro_f1": sk.f1_score(y, predicted, average="macro"),
        "macro_average_precision": sk.average_precision_score(np.eye(4)[y], p, average="macro"),
        "log_loss": sk.log_loss(y, p),
    }
    for name, value in expected.items():
        assert METRICS[name](y, p) == pytest.approx(value, abs=1e-12), name
    kwargs = {"labels": labels, "average": None, "zero_division": np.nan}
    assert np.array_equal(c.per_class_recall(y, p), sk.recall_score(y, predicted, **kwargs))
    assert np.array_equal(
        c.per_class_precision(y, p), sk.precision_score(y, predicted, **kwargs), equal_nan=True
    )
    assert np.array_equal(c.confusion_matrix(y, p), sk.confusion_matrix(y, predicted))


def test_table_of_directions_covers_the_table_of_metrics() -> None:
    assert HIGHER_IS_BETTER.keys() == METRICS.keys()
    y, p = drawn(0)
    better = 0.5 * p + 0.5 * np.eye(4)[y]
    for name, metric in METRICS.items():
        if name != "expected_calibration_error":
            assert (metric(y, better) > metric(y, p)) == HIGHER_IS_BETTER[name], name


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_every_metric_is_invariant_to_order_names_and_repetition(name: str, n_classes: int) -> None:
    metric, rng = METRICS[name], np.random.default_rng(n_classes)
    y, p = drawn(n_classes, n=40, k=n_classes)
    value, shuffled, renamed = metric(y, p), rng.permutation(len(y)), rng.permutation(n_classes)
    assert isinstance(value, float)
    assert metric(y[shuffled], p[shuffled]) == pytest.approx(value, abs=1e-12)
    assert metric(np.argsort(renamed)[y], p[:, renamed]) == pytest.approx(value, abs=1e-12)
    assert metric(np.tile(y, 2), np.tile(p, (2, 1))) == pytest.approx(value, abs=1e-12)
    assert metric(y.tolist(), p.tolist()) == value


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_best_for_a_perfect_prediction(name: str) -> None:
    y = np.array([0, 1, 2, 2])
    best = 0.2 if name == "macro_partial_auc_80" else float(HIGHER_IS_BETTER[name])
    assert METRICS[name](y, np.eye(3)[y]) == pytest.approx(best, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), k=st.integers(2, 5), coarse=st.booleans())
def test_every_metric_is_in_its_range_or_not_defined(seed: int, n: int, k: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.integers(k, size=n), rng.dirichlet(np.ones(k), size=n)
    p = np.eye(k)[p.argmax(axis=1)] if coarse else p
    for name, metric in METRICS.items():
        value, (low, high) = metric(y, p), RANGES.get(name, (0, 1))
        undefined = name in RANKS and len(set(y.tolist())) == 1
        undefined |= name == "cohen_kappa" and len({*y.tolist(), *p.argmax(axis=1).tolist()}) == 1
        assert np.isnan(value) if undefined else low <= value <= high + 1e-12, name


def test_class_without_case_is_not_defined_and_left_out_of_macro_means() -> None:
    y, p = np.array([0, 0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
    for per_class in (c.per_class_recall, c.per_class_f1, c.per_class_precision, c.per_class_auc):
        assert np.isnan(per_class(y, p)).tolist() == [False, False, True]
    assert np.isnan(c.per_class_average_precision(y, p)[2])
    assert c.balanced_accuracy(y, p) == pytest.approx((1 / 2 + 1) / 2)
    assert c.macro_f1(y, p) == pytest.approx((2 / 3 + 1) / 2)
    assert c.macro_auc(y, p) == pytest.approx((1 / 2 + 1) / 2)
    assert c.classes_without_cases(y, n_classes=3) == (2,)


def test_class_that_is_never_predicted_has_f1_zero_but_no_precision() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert c.per_class_f1([0, 1], p).tolist() == [pytest.approx(2 / 3), 0.0]
    assert np.isnan(c.per_class_precision([0, 1], p)[1])


def test_one_class_only_has_recall_but_no_auc() -> None:
    p = np.array([[0.9, 0.1], [0.4, 0.6]])
    assert c.balanced_accuracy([0, 0], p) == 0.5
    assert np.isnan(c.macro_auc([0, 0], p))
    assert np.isnan(c.macro_average_precision([0, 0], p))
    assert np.isnan(binary.specificity([1, 1], [0.2, 0.7]))
    assert np.isnan(binary.sensitivity([0, 0], [0.2, 0.7]))


def test_equal_scores_give_auc_one_half() -> None:
    assert c.macro_auc([0, 1, 2, 2], np.full((4, 3), 1 / 3)) == 0.5


def test_threshold_is_strict() -> None:
    assert binary.sensitivity([1, 1, 0, 0], [0.5, 0.51, 0.5, 0.9]) == 0.5
    assert binary.specificity([1, 1, 0, 0], [0.5, 0.51, 0.5, 0.9]) == 0.5


def test_two_classes_have_the_auc_of_either_column() -> None:
    y, p = drawn(5, k=2)
    assert c.macro_auc(y, p) == pytest.approx(sk.roc_auc_score(y, p[:, 1]), abs=1e-12)


def test_roc_curve_is_that_of_scikit_learn() -> None:
    y, s = [0, 1, 0, 1, 1], [0.1, 0.4, 0.4, 0.35, 0.8]
    for ours, theirs in zip(binary.roc_curve(y, s), sk.roc_curve(y, s), strict=True):
        assert np.array_equal(ours, theirs)


def test_roc_curve_of_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="needs cases and non-cases, got 0 cases among 2"):
        binary.roc_curve([0, 0], [0.1, 0.2])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([0, 1], [[0.5, 0.5]], r"expected y_true \(N,\) and scores \(N, K\).*got \(2,\) and \(1, 2\)"),
        ([], np.zeros((0, 3)), "N >= 1"),
        ([0], [[1.0]], "K >= 2"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], r"class index in 0\.\.1, got 2.0 in row 1"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], r"class index in 0\.\.1, got -1.0 in row 1"),
        ([np.nan, 1], [[0.5, 0.5], [0.5, 0.5]], "got nan in row 0"),
        ([0.5, 1], [[0.5, 0.5], [0.5, 0.5]], "got 0.5 in row 0"),
        ([None, 1], [[0.5, 0.5], [0.5, 0.5]], "y_true: .*got nan in row 0"),
        (["MEL", "NV"], [[0.5, 0.5], [0.5, 0.5]], "y_true: expected an array of numbers"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], "finite numbers, got .* in row 1"),
        ([0, 1], [[np.inf, 0.5], [0.5, 0.5]], "finite numbers, got .* in row 0"),
    ],
)
def test_bad_input_is_refused_with_its_row(name: str, y: object, p: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        METRICS[name](y, p)


@pytest.mark.parametrize("name", ["log_loss", "brier", "expected_calibration_error"])
@pytest.mark.parametrize("row", [[0.5, 0.6], [-0.1, 1.1], [0.2, 0.2]])
def test_calibration_metrics_refuse_rows_that_are_no_distribution(name: str, row: list[float]) -> None:
    with pytest.raises(UsageError, match=r"values in \[0, 1\] that sum to 1, got .* in row 1"):
        METRICS[name]([0, 1], [[0.5, 0.5], row])


def test_probabilities_rounded_in_a_file_are_rescaled() -> None:
    p = [[0.3333, 0.3333, 0.3333]]
    assert c.log_loss([0], p) == pytest.approx(np.log(3), abs=1e-12)


def test_binary_input_is_checked() -> None:
    with pytest.raises(UsageError, match=r"expected 0 or 1, got 2\.0 in row 1"):
        binary.auc([0, 2], [0.1, 0.2])
    with pytest.raises(UsageError, match=r"one shape \(N,\)"):
        binary.auc([0, 1], [[0.1, 0.2]])
    with pytest.raises(UsageError, match="y_score: expected finite numbers, got nan in row 0"):
        binary.auc([0, 1], [np.nan, 0.2])
