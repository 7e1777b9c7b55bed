from __future__ import annotations

import importlib

import numpy as np
import pytest
from scipy import stats

from dermapair.errors import UsageError
from dermapair.metrics import METRICS, Interval
from dermapair.metrics.binary import auc
from dermapair.metrics.bootstrap import (
    bootstrap,
    bootstrap_mean,
    wilson_interval,
)
from dermapair.metrics.classification import per_class_auc
from dermapair.metrics.comparison import delong_test, mcnemar_exact, paired_bootstrap
from dermapair.metrics.weighted_classes import WEIGHTED, mean_auc

module = importlib.import_module("dermapair.metrics.resampling")


def drawn(seed: int, *, n: int = 25, k: int = 3, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), size=n)
    if ties:  # whole tenths that sum to 1, so that scores repeat within and between classes
        p = rng.multinomial(10, np.ones(k) / k, size=n) / 10
    return rng.integers(k, size=n), p


def weights_of(n_groups: int, *, seed: int, n_samples: int, y: np.ndarray | None = None) -> np.ndarray:
    chunks = module.resamples(n_groups, groups=None, n_samples=n_samples, seed=seed, y_true=y)
    return np.concatenate(list(chunks), axis=1)


def slow_loop(name: str, y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    repeated = (np.repeat(np.arange(len(y)), counts.astype(int)) for counts in weights.T)
    return np.array([METRICS[name](y[rows], p[rows]) for rows in repeated])


def test_every_metric_has_its_weighted_form() -> None:
    assert WEIGHTED.keys() == METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_each_sample_is_what_scikit_learn_gives_for_the_repeated_cases(
    name: str, ties: bool, n_classes: int
) -> None:
    y, p = drawn(3, n=12, k=n_classes, ties=ties)  # so few that classes vanish from samples
    weights = weights_of(12, seed=1, n_samples=40)
    fast, slow = WEIGHTED[name](y, p, weights), slow_loop(name, y, p, weights)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)


def test_samples_without_two_classes_have_no_auc_and_are_left_out() -> None:
    y, p = np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    samples = WEIGHTED["macro_auc"](y, p, np.array([[3, 1, 0], [0, 1, 0], [0, 1, 3]], dtype=float))
    assert np.isnan(samples).tolist() == [True, False, True]
    assert samples[1] == 0.5
    interval = bootstrap(y, p, groups=None, metrics=["macro_auc"], n_samples=200)["macro_auc"]
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_one_class_only_has_no_auc_and_no_interval() -> None:
    result = bootstrap(
        [0, 0], [[0.9, 0.1], [0.3, 0.7]], groups=None, metrics=["macro_auc", "accuracy"], n_samples=50
    )
    assert np.isnan([result["macro_auc"].value, result["macro_auc"].low, result["macro_auc"].high]).all()
    assert result["accuracy"] == Interval(0.5, 0.0, 1.0)


def test_equal_scores_give_one_half_in_every_sample() -> None:
    y = np.arange(30) % 3
    result = bootstrap(y, np.full((30, 3), 1 / 3), groups=None, metrics=["macro_auc"], n_samples=100)
    assert result["macro_auc"] == Interval(0.5, 0.5, 0.5)


def test_interval_is_made_of_the_percentiles_of_the_samples() -> None:
    y, p = drawn(0)
    result = bootstrap(y, p, groups=None, metrics=["macro_f1"], n_samples=300, level=0.9, seed=4)["macro_f1"]
    samples = slow_loop("macro_f1", y, p, weights_of(25, seed=4, n_samples=300, y=y))
    assert result.value == METRICS["macro_f1"](y, p)
    assert [result.low, result.high] == pytest.approx(np.quantile(samples, [0.05, 0.95]).tolist(), abs=1e-12)


@pytest.mark.parametrize("strata", [False, True])
def test_samples_do_not_depend_on_the_size_of_the_chunks(
    strata: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = weights_of(7, seed=2, n_samples=50, y=np.array([0, 0, 0, 1, 1, 2, 2]) if strata else None)
    monkeypatch.setattr(module, "WEIGHTS_PER_CHUNK", 21)
    monkeypatch.setattr(module, "SAMPLES_PER_CHUNK", 1)
    y = np.array([0, 0, 0, 1, 1, 2, 2]) if strata else None
    chunks = list(module.resamples(7, groups=None, n_samples=50, seed=2, y_true=y))
    assert [chunk.shape[1] for chunk in chunks] == [3] * 16 + [2]
    assert np.array_equal(np.concatenate(chunks, axis=1), whole)


def test_each_sample_draws_as_many_groups_as_there_are_evenly() -> None:
    weights = weights_of(8, seed=0, n_samples=4000)
    assert (weights.sum(axis=0) == 8).all()
    # each count is binomial(8, 1/8): mean 1, variance 7/8; five standard errors
    assert weights.mean(axis=1) == pytest.approx(np.ones(8), abs=5 * np.sqrt(0.875 / 4000))
    assert weights.var(axis=1).mean() == pytest.approx(0.875, rel=0.05)


def test_groups_are_drawn_as_wholes() -> None:
    groups = ["p2", "p1", "p2", "p3", "p1", "p2"]
    weights = np.concatenate(list(module.resamples(6, groups=groups, n_samples=100, seed=0)), axis=1)
    assert (weights[0] == weights[2]).all()
    assert (weights[0] == weights[5]).all()
    assert (weights[1] == weights[4]).all()
    assert (weights[[0, 1, 3]].sum(axis=0) == 3).all()


def test_repeating_every_lesion_of_a_patient_leaves_the_interval_alone() -> None:
    y, p = drawn(1)
    names = list(METRICS)
    once = bootstrap(y, p, groups=np.arange(25), metrics=names, n_samples=100)
    groups = [f"{i:02d}" for i in [*range(25), *range(25)]]
    twice = bootstrap(np.tile(y, 2), np.tile(p, (2, 1)), groups=groups, metrics=names, n_samples=100)
    tiled = np.tile(y, 2), np.tile(p, (2, 1))
    apart, whole = (
        bootstrap(*of, groups=None, metrics=names, n_samples=400, strata="none") for of in (tiled, (y, p))
    )
    for name in names:
        assert twice[name].low == pytest.approx(once[name].low, abs=1e-12)
        assert twice[name].high == pytest.approx(once[name].high, abs=1e-12)
    assert apart["accuracy"].high - apart["accuracy"].low < whole["accuracy"].high - whole["accuracy"].low


def test_accuracy_interval_agrees_with_the_binomial() -> None:
    y = np.zeros(400, dtype=int)
    p = np.eye(2)[(np.arange(400) < 100).astype(int)]
    interval = bootstrap(y, p, groups=None, metrics=["accuracy"], n_samples=4000)["accuracy"]
    expected = stats.binom.ppf([0.025, 0.975], 400, 0.75) / 400
    assert [interval.low, interval.high] == pytest.approx(expected.tolist(), abs=0.0051)


def test_aucs_of_single_classes_and_their_means_share_the_resamples() -> None:
    y, p = drawn(6)
    aucs = {"b": [1], "c": [2], "mean": [1, 2]}
    result = bootstrap(y, p, groups=None, metrics=["accuracy"], aucs=aucs, n_samples=60, seed=9)
    weights = weights_of(25, seed=9, n_samples=60, y=y)
    samples = [mean_auc([k])(y, p, weights) for k in (1, 2)]
    assert list(result) == ["accuracy", "b", "c", "mean"]
    assert result["c"].value == per_class_auc(y, p)[2]
    assert result["mean"].value == pytest.approx(per_class_auc(y, p)[1:].mean())
    assert result["mean"].low == pytest.approx(np.quantile(np.mean(samples, axis=0), 0.025), abs=1e-12)


def test_auc_of_a_class_without_case_is_not_defined() -> None:
    p = drawn(0, k=3)[1]
    result = bootstrap(np.arange(25) % 2, p, groups=None, metrics=[], aucs={"c": [2], "b": [1]}, n_samples=20)
    assert np.isnan([result["c"].value, result["c"].low, result["c"].high]).all()
    assert not np.isnan(result["b"].value)


def test_same_seed_gives_the_same_intervals_and_leaves_the_global_generator_alone() -> None:
    y, p = drawn(2)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, third = (
        bootstrap(y, p, groups=None, metrics=["log_loss"], n_samples=50, seed=seed) for seed in (0, 0, 1)
    )
    assert first == second != third
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_paired_difference_uses_the_same_resamples_for_both() -> None:
    (y, a), (_, b) = drawn(3), drawn(4)
    names = ["accuracy", "macro_auc", "brier"]
    result = paired_bootstrap(y, a, b, groups=None, metrics=names, aucs={"b": [1]}, n_samples=80, seed=5)
    weights = weights_of(25, seed=5, n_samples=80, y=y)
    for name in names:
        samples = slow_loop(name, y, b, weights) - slow_loop(name, y, a, weights)
        extreme = min((samples <= 0).sum(), (samples >= 0).sum())
        assert result[name].value == METRICS[name](y, b) - METRICS[name](y, a)
        assert result[name].low == pytest.approx(np.quantile(samples, 0.025), abs=1e-12)
        assert result[name].p_value == pytest.approx(min(1, 2 * (extreme + 1) / 81))
    assert result["b"].value == per_class_auc(y, b)[1] - per_class_auc(y, a)[1]


def test_a_run_does_not_differ_from_itself() -> None:
    y, p = drawn(3)
    for difference in paired_bootstrap(y, p, p, groups=None, metrics=list(METRICS), n_samples=50).values():
        assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_a_clear_gain_is_found() -> None:
    y, p = drawn(3, n=100)
    result = paired_bootstrap(y, p, np.eye(3)[y], groups=None, metrics=["accuracy"], n_samples=500)[
        "accuracy"
    ]
    assert result.low > 0
    assert result.p_value == pytest.approx(2 / 501)


def test_exchanging_the_runs_mirrors_the_difference() -> None:
    (y, a), (_, b) = drawn(3), drawn(4)
    there = paired_bootstrap(y, a, b, groups=None, metrics=["macro_f1"], n_samples=99)["macro_f1"]
    back = paired_bootstrap(y, b, a, groups=None, metrics=["macro_f1"], n_samples=99)["macro_f1"]
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.p_value == back.p_value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ["f2"]}, "unknown metric 'f2'; known: accuracy, balanced_accuracy"),
        ({"groups": ["a", "b"]}, r"one known name for each of the 25 cases, got shape \(2,\)"),
        ({"groups": [None, *["a"] * 24]}, "name the lesion where the patient is unknown"),
        ({"groups": [np.nan] * 25}, "name the lesion where the patient is unknown"),
        ({"aucs": {"x": [3]}}, r"class indices in 0\.\.2, got 'x': \[3\]"),
        ({"aucs": {"accuracy": [1]}}, "expected a new name"),
        ({"n_samples": 0}, "n_samples: expected at least 1, got 0"),
        ({"level": 95}, "level: expected a number between 0 and 1, got 95"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    y, p = drawn(0)
    with pytest.raises(UsageError, match=message):
        bootstrap(y, p, **({"groups": None, "metrics": ["accuracy"]} | arguments))  # type: ignore[arg-type]


def test_runs_of_other_shapes_are_refused() -> None:
    y, p = drawn(0)
    with pytest.raises(UsageError, match=r"one shape, got \(25, 3\) and \(25, 4\)"):
        paired_bootstrap(y, p, np.full((25, 4), 0.25), groups=None, metrics=["accuracy"])


def test_wilson_interval_of_eight_in_ten() -> None:
    z, share, n = stats.norm.ppf(0.975), 0.8, 10
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    interval = wilson_interval(8, 10)
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.8, centre - half, centre + half))
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_wilson_interval_of_a_share_of_patients_that_is_no_whole_number() -> None:
    interval = wilson_interval(9.5, 10)
    assert interval.value == 0.95
    whole = [wilson_interval(k, 10) for k in (9, 10)]
    assert whole[0].low < interval.low < whole[1].low and whole[0].high < interval.high < 1


def test_wilson_interval_of_all_and_of_none() -> None:
    assert (wilson_interval(5, 5).high, wilson_interval(0, 5).low) == (1.0, 0.0)
    assert np.isnan([wilson_interval(0, 0).value, wilson_interval(0, 0).low]).all()
    with pytest.raises(UsageError, match="got 6 of 5"):
        wilson_interval(6, 5)


def test_mcnemar_counts_only_the_cases_on_which_one_run_is_right() -> None:
    y = np.zeros(12, dtype=int)
    a = np.array([0] * 6 + [1] * 6)
    b = np.array([0] * 5 + [1] + [0] * 5 + [1])
    # a alone right once, b alone five times: 2 * (C(6,0) + C(6,1)) / 2^6
    assert mcnemar_exact(y, a, b) == pytest.approx(2 * 7 / 64)
    assert mcnemar_exact(y, b, a) == pytest.approx(2 * 7 / 64)
    assert mcnemar_exact(y, a, a) == 1.0
    with pytest.raises(UsageError, match="align the runs"):
        mcnemar_exact(y, a, b[:5])


def test_delong_is_its_definition_written_out() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(20) < 8
    a, b = (np.round(rng.normal(size=20) + y, 1) for _ in range(2))
    won = [(s[y][:, None] > s[~y]) + 0.5 * (s[y][:, None] == s[~y]) for s in (a, b)]
    s10 = np.cov([w.mean(axis=1) for w in won])
    s01 = np.cov([w.mean(axis=0) for w in won])
    contrast = np.array([-1, 1])
    error = np.sqrt(contrast @ (s10 / 8 + s01 / 12) @ contrast)
    result = delong_test(y, a, b)
    assert result.value == pytest.approx(auc(y, b) - auc(y, a))
    assert result.high - result.value == pytest.approx(stats.norm.ppf(0.975) * error)
    assert result.p_value == pytest.approx(2 * stats.norm.sf(abs(result.value) / error))


def test_delong_of_equal_rankings_finds_nothing() -> None:
    y, s = np.arange(9) < 4, np.linspace(0, 1, 9) ** 2 % 0.3
    result = delong_test(y, s, 3 * s + 1)
    assert (result.value, result.low, result.high, result.p_value) == (0, 0, 0, 1)


def test_delong_needs_two_cases_and_two_others() -> None:
    assert np.isnan(delong_test([1, 0, 0], [1, 2, 3], [3, 2, 1]).p_value)
    assert np.isnan(delong_test([1, 1, 0, 0], [1, 2, 3, 4], [4, 3, 2, 1]).p_value)


def test_a_mean_and_its_interval_leave_out_what_is_not_defined() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap_mean(np.append(values, [np.nan, np.nan]), groups=None, seed=1)
    assert found == bootstrap_mean(values, groups=None, seed=1)
    assert found.value == pytest.approx(values.mean())
    error = values.std(ddof=1) / 20
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.01)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.01)
    nothing = bootstrap_mean([np.nan], groups=None)
    assert all(np.isnan([nothing.value, nothing.low, nothing.high]))


def test_a_mean_draws_groups_as_wholes() -> None:
    values = np.random.default_rng(0).normal(size=25)
    once = bootstrap_mean(values, groups=np.arange(25), n_samples=100)
    twice = bootstrap_mean(np.tile(values, 2), groups=np.tile(np.arange(25), 2), n_samples=100)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_bca_has_no_limits_where_the_value_lies_outside_all_samples() -> None:
    """Half of the answers are right, as foretold: nearly every resample has a higher calibration error."""
    how = {"groups": None, "metrics": ["expected_calibration_error"], "n_samples": 4, "method": "bca"}
    found = bootstrap(np.arange(400) % 2, np.full((400, 2), 0.5), **how)["expected_calibration_error"]  # type: ignore[arg-type]
    assert found.value == pytest.approx(0, abs=1e-12)
    assert np.isnan([found.low, found.high]).all()


def test_only_a_rare_class_that_shares_all_its_patients_with_rarer_ones_can_be_lacking() -> None:
    """Patient 0 has classes 0 and 1, patient 1 has 0 and 2; patients 2 and 3 have one of these each."""
    y = np.array([0, 1, 0, 2, 1, 2, *[3] * 30])
    patients = np.array([0, 0, 1, 1, 2, 3, *range(4, 34)])
    chunks = module.resamples(len(y), groups=patients, n_samples=400, seed=0, y_true=y)
    weights = np.concatenate(list(chunks), axis=1)
    lacking = [(weights[y == k].sum(axis=0) == 0).mean() for k in range(3)]
    assert lacking[1:] == [0, 0]
    assert lacking[0] == pytest.approx(1 / 16, abs=5 * np.sqrt(1 / 16 * 15 / 16 / 400))
