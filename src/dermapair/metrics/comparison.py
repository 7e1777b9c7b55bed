"""Two runs on the same cases: paired bootstrap, McNemar, DeLong, and Holm's correction over a table of tests.

Letters: N cases, K classes, S bootstrap samples, M tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from dermapair.errors import UsageError
from dermapair.metrics.arrays import Bools, Floats, checked, checked_binary
from dermapair.metrics.binary import auc
from dermapair.metrics.bootstrap import (
    Difference,
    Interval,
    concatenated,
    figures_of,
    p_value,
    percentiles,
    values_of,
)
from dermapair.metrics.resampling import resamples


def paired_bootstrap(
    y_true: ArrayLike,
    probabilities_a: ArrayLike,
    probabilities_b: ArrayLike,
    *,
    groups: ArrayLike | None,
    metrics: Sequence[str],
    aucs: Mapping[str, Sequence[int]] | None = None,
    n_samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    strata: str = "auto",
) -> dict[str, Difference]:
    """Intervals of the differences b - a on the same cases, with the same resamples for both.

    Arguments are those of `bootstrap`. The two-sided p-value is twice the smaller share of samples with a
    difference <= 0 or >= 0, at most 1, both counted with one sample more (so never 0).
    """
    y, a = checked(y_true, probabilities_a)
    _, b = checked(y_true, probabilities_b)
    if a.shape != b.shape:
        raise UsageError(f"expected both runs' scores of one shape, got {a.shape} and {b.shape}; align them")
    figures = figures_of(metrics, aucs or {}, n_classes=a.shape[1])
    value_a, value_b = (values_of(y, p, metrics, aucs or {}) for p in (a, b))
    chunks = resamples(len(y), groups=groups, n_samples=n_samples, seed=seed, y_true=y, strata=strata)
    samples = concatenated([{name: f(y, b, w) - f(y, a, w) for name, f in figures.items()} for w in chunks])
    return {
        name: Difference(
            value_b[name] - value_a[name], *percentiles(samples[name], level), p_value(samples[name])
        )
        for name in figures
    }


def mcnemar_exact(y_true: ArrayLike, pred_a: ArrayLike, pred_b: ArrayLike) -> float:
    """Two-sided p-value of "both are right equally often" (McNemar 1947, exact binomial form).

    Args:
        y_true: (N,) class indices.
        pred_a: (N,) predicted classes of one run.
        pred_b: (N,) predicted classes of the other run on the same cases.
    """
    y, a, b = (np.asarray(values) for values in (y_true, pred_a, pred_b))
    if y.ndim != 1 or not y.shape == a.shape == b.shape:
        raise UsageError(f"expected three arrays (N,), got {y.shape}, {a.shape}, {b.shape}; align the runs")
    only_a, only_b = int(((a == y) & (b != y)).sum()), int(((b == y) & (a != y)).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b).pvalue)


def delong_test(y_true: ArrayLike, score_a: ArrayLike, score_b: ArrayLike) -> Difference:
    """Difference of two AUCs, b - a, on the same cases, with a 95% interval (DeLong et al. 1988, eq. 5).

    y_true is (N,) 0 or 1, the scores are (N,). It takes the cases for independent. NaN throughout
    without two cases and two non-cases. With a variance of 0 the p-value is 1 for equal AUCs, else NaN.
    """
    y, a = checked_binary(y_true, score_a)
    _, b = checked_binary(y_true, score_b)
    if min(y.sum(), (~y).sum()) < 2:
        return Difference(np.nan, np.nan, np.nan, np.nan)
    cases, others = _placements(y, b) - _placements(y, a), _placements(~y, -b) - _placements(~y, -a)
    value = float(cases.mean())
    error = _standard_error(cases, others)
    half = float(stats.norm.ppf(0.975)) * error
    without_error = 1.0 if value == 0 else np.nan
    p_value = float(2 * stats.norm.sf(abs(value) / error)) if error > 0 else without_error
    return Difference(value, value - half, value + half, p_value)


def _placements(positive: Bools, score: Floats) -> Floats:
    """For each case the share of non-cases below it, ties counting half; the mean is the AUC."""
    overall, own = stats.rankdata(score), stats.rankdata(score[positive])
    return np.asarray((overall[positive] - own) / (~positive).sum(), np.float64)


def delong_interval(y_true: ArrayLike, y_score: ArrayLike, *, level: float = 0.95) -> Interval:
    """AUC with its interval: variance of DeLong et al. 1988, eq. 5, on the logit scale, t distributed.

    The logit (Qin & Hotilovac 2008) keeps it within 0 to 1, and the degrees of freedom of Brunner & Munzel
    2000 widen it for few cases. With 60 to 300 cases and AUCs of 0.76 and 0.9 the simulated coverage is 0.94
    to 0.95; it is less at higher AUCs and with fewer cases, 0.83 at 0.97 with 5 (`benchmarks/_coverage.py`).

    It takes the cases for independent; with several of a patient it is too narrow. NaN limits without two
    cases and two non-cases, or without variance, as at an AUC of 0 or 1.

    Args:
        y_true: (N,) 0 or 1.
        y_score: (N,).
        level: coverage, in (0, 1).
    """
    y, s = checked_binary(y_true, y_score)
    value, n = auc(y, s), np.array([y.sum(), (~y).sum()])
    if n.min() < 2:
        return Interval(value, np.nan, np.nan)
    parts = _variances(_placements(y, s), _placements(~y, -s))
    if not parts.any():
        return Interval(value, np.nan, np.nan)
    degrees = parts.sum() ** 2 / (parts**2 / (n - 1)).sum()
    half = stats.t.ppf((1 + level) / 2, degrees) * np.sqrt(parts.sum()) / (value * (1 - value))
    low, high = special.expit(special.logit(value) + half * np.array([-1, 1]))
    return Interval(value, float(low), float(high))


def _variances(cases: Floats, others: Floats) -> Floats:
    """Return the two parts (2,) of an AUC's variance, from the placements of cases and of non-cases."""
    return np.array([placements.var(ddof=1) / len(placements) for placements in (cases, others)])


def _standard_error(cases: Floats, others: Floats) -> float:
    """Return that of an AUC, or of a difference of two, from the placements of cases and of non-cases."""
    return float(np.sqrt(_variances(cases, others).sum()))


def holm(p_values: ArrayLike) -> Floats:
    """P-values (M,) adjusted so that, of all M tests, none errs with more than the level (Holm 1979).

    NaN, a test that could not be made, stays NaN and does not count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")  # NaN last
    order = order[: int((~np.isnan(p)).sum())]
    adjusted = np.full_like(p, np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted
