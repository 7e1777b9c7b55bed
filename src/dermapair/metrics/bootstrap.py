"""Intervals and paired comparisons: percentile bootstrap over whole groups, Wilson, McNemar, DeLong.

Letters: N cases, K classes, G groups, S bootstrap samples. A sample draws G groups with replacement, so a
case counts as often as its group was drawn: weights (N, S), for which `weighted` computes every metric of
`METRICS` at once. In a sample in which a class vanishes, this sample's macro mean leaves the class out, as
`METRICS` does; a sample in which the whole metric is not defined is left out of the percentiles.

The intervals hold for new cases, not for another training run: the seed's spread is not in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from dermapair.errors import UsageError, unknown_choice
from dermapair.metrics.classification import (
    METRICS,
    Bools,
    Floats,
    Ints,
    checked,
    checked_binary,
    mean_defined,
    per_class_auc,
)
from dermapair.metrics.weighted import WEIGHTED, WeightedMetric, mean_auc

WeightedFigures = Callable[[Floats], Mapping[str, Floats]]

WEIGHTS_PER_CHUNK = 4_000_000  # 32 MB of float64: bounds the memory whatever N and S are


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval; NaN where not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """A difference b - a with its interval and the two-sided p-value of "no difference"."""

    p_value: float


def bootstrap(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    groups: ArrayLike | None,
    metrics: Sequence[str],
    aucs: Mapping[str, Sequence[int]] | None = None,
    n_samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals (Efron & Tibshirani 1993, section 13.3) of several metrics at once.

    Args:
        y_true: (N,) class indices.
        probabilities: (N, K) scores; the calibration metrics ask for rows that sum to 1.
        groups: (N,) patients where known, else lesions; drawn as wholes. None: every case is its own.
        metrics: names from `METRICS`.
        aucs: further figures, name -> classes whose one-against-the-rest AUCs are averaged, as
            {"melanoma_auc": [1], "mean_auc": [1, 2]}.
        n_samples: number of bootstrap samples S.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed, groups and S give the same resamples for every run.

    Returns:
        Name -> value on the cases themselves with the percentiles over the samples. With one single group
        an interval has no width and says nothing.

    Raises:
        UsageError: an unknown metric, or arrays that `classification.checked` refuses.
    """
    y, p = checked(y_true, probabilities)
    figures = _figures(metrics, aucs or {}, n_classes=p.shape[1])
    return intervals_of(
        _values(y, p, metrics, aucs or {}),
        lambda weights: {name: f(y, p, weights) for name, f in figures.items()},
        chunks=resamples(len(y), groups=groups, n_samples=n_samples, seed=seed),
        level=level,
    )


def intervals_of(
    values: Mapping[str, float], weighted: WeightedFigures, *, chunks: Iterable[Floats], level: float
) -> dict[str, Interval]:
    """Percentile intervals of figures by name: on the cases themselves, and for weights (N, S), as (S,).

    `chunks` are weights of `resamples`: the same cases, groups, number and seed give those of `bootstrap`.
    """
    samples = _concatenated([weighted(weights) for weights in chunks])
    return {name: Interval(value, *_percentiles(samples[name], level)) for name, value in values.items()}


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
) -> dict[str, Difference]:
    """Intervals of the differences b - a on the same cases, with the same resamples for both.

    Arguments are those of `bootstrap`. The two-sided p-value is twice the smaller share of samples with a
    difference <= 0 or >= 0, at most 1, both counted with one sample more (so never 0).
    """
    y, a = checked(y_true, probabilities_a)
    _, b = checked(y_true, probabilities_b)
    if a.shape != b.shape:
        raise UsageError(f"expected both runs' scores of one shape, got {a.shape} and {b.shape}; align them")
    figures = _figures(metrics, aucs or {}, n_classes=a.shape[1])
    value_a, value_b = (_values(y, p, metrics, aucs or {}) for p in (a, b))
    chunks = resamples(len(y), groups=groups, n_samples=n_samples, seed=seed)
    samples = _concatenated([{name: f(y, b, w) - f(y, a, w) for name, f in figures.items()} for w in chunks])
    return {
        name: Difference(
            value_b[name] - value_a[name], *_percentiles(samples[name], level), _p_value(samples[name])
        )
        for name in figures
    }


def bootstrap_mean(
    values: ArrayLike,
    *,
    groups: ArrayLike | None,
    n_samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Percentile bootstrap interval of a mean, and the two-sided p-value of "it is 0".

    Args:
        values: (N,) one figure for each case, as a difference of two runs; NaN, not defined, is left out.
        groups: as for `bootstrap`.
        n_samples: number of bootstrap samples S.
        level: coverage of the interval, in (0, 1).
        seed: of the resamples.

    Returns:
        NaN throughout where no value is defined.
    """
    figures = np.asarray(values, dtype=np.float64)
    index, kept = _group_index(groups, len(figures)), ~np.isnan(figures)
    if not kept.any():
        return Difference(np.nan, np.nan, np.nan, np.nan)
    figures, index = figures[kept], np.unique(index[kept], return_inverse=True)[1]
    chunks = _weights(index, n_samples=n_samples, seed=seed)
    samples = np.concatenate([figures @ w / w.sum(axis=0) for w in chunks])
    return Difference(float(figures.mean()), *_percentiles(samples, level), _p_value(samples))


def _figures(
    metrics: Sequence[str], aucs: Mapping[str, Sequence[int]], *, n_classes: int
) -> dict[str, WeightedMetric]:
    """The weighted forms asked for, by name; refuses what cannot be computed."""
    for name in metrics:
        if name not in WEIGHTED:
            raise UsageError(unknown_choice("metric", name, WEIGHTED))
    for name, classes in aucs.items():
        if name in metrics or not classes or not set(classes) <= set(range(n_classes)):
            raise UsageError(
                f"aucs: expected a new name with class indices in 0..{n_classes - 1}, got {name!r}: {classes}"
            )
    means = {name: mean_auc(classes) for name, classes in aucs.items()}
    return {name: WEIGHTED[name] for name in metrics} | means


def _values(
    y: Ints, p: Floats, metrics: Sequence[str], aucs: Mapping[str, Sequence[int]]
) -> dict[str, float]:
    per_class = per_class_auc(y, p) if aucs else np.array([])
    means = {name: float(mean_defined(per_class[list(classes)])) for name, classes in aucs.items()}
    return {name: METRICS[name](y, p) for name in metrics} | means


def _group_index(groups: ArrayLike | None, n_cases: int) -> Ints:
    """Group index (N,) in 0..G-1 of each case."""
    if groups is None:
        return np.arange(n_cases)
    names = np.asarray(groups)
    if names.shape != (n_cases,) or any(name is None or name != name for name in names.tolist()):
        raise UsageError(
            f"groups: expected one known name for each of the {n_cases} cases, got shape {names.shape}; "
            "name the lesion where the patient is unknown"
        )
    index: Ints = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return index


def resamples(n_cases: int, *, groups: ArrayLike | None, n_samples: int, seed: int) -> Iterator[Floats]:
    """Yield weights (N, s) of the samples, as `bootstrap` draws them."""
    return _weights(_group_index(groups, n_cases), n_samples=n_samples, seed=seed)


def _weights(group_index: Ints, *, n_samples: int, seed: int) -> Iterator[Floats]:
    """Yield weights (N, s) in chunks with s summing to `n_samples`; the draws do not depend on the chunks."""
    if n_samples < 1:
        raise UsageError(f"n_samples: expected at least 1, got {n_samples}; 2000 is usual")
    generator = np.random.default_rng(seed)
    n_groups = int(group_index.max()) + 1
    size = max(1, WEIGHTS_PER_CHUNK // len(group_index))
    for start in range(0, n_samples, size):
        n = min(size, n_samples - start)
        drawn = generator.integers(n_groups, size=(n, n_groups)) * n + np.arange(n)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=n_groups * n).reshape(n_groups, n)
        yield counts[group_index].astype(np.float64)


def _concatenated(chunks: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _percentiles(samples: Floats, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}; 0.95 is usual")
    defined = samples[~np.isnan(samples)]
    if not defined.size:
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _p_value(samples: Floats) -> float:
    defined = samples[~np.isnan(samples)]
    if not defined.size:
        return np.nan
    extreme = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (extreme + 1) / (len(defined) + 1)))


# --- exact and closed forms ---


def wilson_interval(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """Wilson score interval (1927) of a share, for example a recall; NaN for n = 0.

    It takes the n cases for independent: with several lesions of a patient it is too narrow, and n should be
    the number of patients, `successes` the share of hits times n.
    """
    if not 0 <= successes <= n:
        raise UsageError(f"expected 0 <= successes <= n, got {successes} of {n}; count again")
    if n == 0:
        return Interval(np.nan, np.nan, np.nan)
    share, z = successes / n, float(stats.norm.ppf((1 + level) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = middle - half, middle + half
    return Interval(share, 0.0 if successes == 0 else low, 1.0 if successes == n else high)


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
    error = float(np.sqrt(cases.var(ddof=1) / len(cases) + others.var(ddof=1) / len(others)))
    half = float(stats.norm.ppf(0.975)) * error
    without_error = 1.0 if value == 0 else np.nan
    p_value = float(2 * stats.norm.sf(abs(value) / error)) if error > 0 else without_error
    return Difference(value, value - half, value + half, p_value)


def _placements(positive: Bools, score: Floats) -> Floats:
    """For each case the share of non-cases below it, ties counting half; the mean is the AUC."""
    overall, own = stats.rankdata(score), stats.rankdata(score[positive])
    return np.asarray((overall[positive] - own) / (~positive).sum(), np.float64)
