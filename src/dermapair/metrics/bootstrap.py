"""Intervals: bootstrap over whole groups, percentile or BCa, and Wilson's for shares.

Letters: N cases, K classes, G groups, S bootstrap samples. A sample draws groups with replacement, so a case
counts as often as its group was drawn: weights (N, S), for which `weighted_classes` computes every metric of
`METRICS` at once. In a sample in which a class vanishes, this sample's macro mean leaves the class out, as
`METRICS` does; a sample in which the whole metric is not defined is left out of the percentiles.

The intervals hold for new cases, not for another training run: the seed's spread is not in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from dermapair.errors import UsageError, unknown_choice
from dermapair.metrics.arrays import Bools, Floats, Ints, checked, mean_defined
from dermapair.metrics.classification import METRICS, per_class_auc
from dermapair.metrics.resampling import group_index, left_out, strata_of, weights_of
from dermapair.metrics.weighted_classes import WEIGHTED, WeightedMetric, mean_auc

WeightedFigures = Callable[[Floats], Mapping[str, Floats]]

METHODS = ("percentile", "basic", "bca")
BIASED = frozenset({"expected_calibration_error"})
"""Figures, at least 0, that resampling drives up; "percentile" gives the "basic" interval of these."""
MOST_LEFT_OUT = 10**9
"""Cases times groups that the jackknife of BCa goes through at most."""


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
    strata: str = "auto",
    method: str = "percentile",
) -> dict[str, Interval]:
    """Bootstrap intervals (Efron & Tibshirani 1993, sections 13.3 and 14.3) of several metrics at once.

    Args:
        y_true: (N,) class indices.
        probabilities: (N, K) scores; the calibration metrics ask for rows that sum to 1.
        groups: (N,) patients where known, else lesions; drawn as wholes. None: every case is its own.
        metrics: names from `METRICS`.
        aucs: further figures, name -> classes whose one-against-the-rest AUCs are averaged, as
            {"melanoma_auc": [1], "mean_auc": [1, 2]}.
        n_samples: number of bootstrap samples S.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed, groups, classes and S give the same resamples for every run.
        strata: "auto" or "none", see `resampling.resamples`.
        method: "percentile", "basic", its limits turned round the value (Davison & Hinkley 1997, eq. 5.6), or
            "bca", bias-corrected and accelerated, by a jackknife over the groups, which takes G more samples;
            NaN where the value lies outside all samples. The calibration error, which resampling drives up,
            has the basic interval, from 0 and with its value inside, also for "percentile".

    Returns:
        Name -> value on the cases themselves with its interval. With one single group an interval has no
        width and says nothing.

    Raises:
        UsageError: an unknown metric or way, arrays that `arrays.checked` refuses, or too many cases for BCa.
    """
    y, p = checked(y_true, probabilities)
    if method not in METHODS:
        raise UsageError(unknown_choice("method", method, METHODS))
    figures = figures_of(metrics, aucs or {}, n_classes=p.shape[1])
    index = group_index(groups, len(y))
    strata_index = strata_of(index, y, strata=strata)

    def weighted(weights: Floats) -> dict[str, Floats]:
        return {name: f(y, p, weights) for name, f in figures.items()}

    values = values_of(y, p, metrics, aucs or {})
    chunks = weights_of(index, strata_index, n_samples=n_samples, seed=seed)
    if method != "bca":
        return intervals_of(values, weighted, chunks=chunks, level=level, method=method)
    if len(y) * len(strata_index) > MOST_LEFT_OUT:
        raise UsageError(
            f"method bca: expected cases times groups up to {MOST_LEFT_OUT:,}, got {len(y):,} cases in "
            f"{len(strata_index):,} groups; take percentile, whose intervals are the same for so many"
        )
    samples = concatenated([weighted(w) for w in chunks])
    without = concatenated([weighted(w) for w in left_out(index)])
    return {
        name: Interval(v, *_bca(v, samples[name], without[name], strata_index, level))
        for name, v in values.items()
    }


def intervals_of(
    values: Mapping[str, float],
    weighted: WeightedFigures,
    *,
    chunks: Iterable[Floats],
    level: float,
    method: str = "percentile",
) -> dict[str, Interval]:
    """Intervals of figures by name: on the cases themselves, and for weights (N, S), as (S,).

    `chunks` are weights of `resamples`: the same cases, groups, classes, number and seed give those of
    `bootstrap`.
    """
    samples = concatenated([weighted(weights) for weights in chunks])
    return {name: interval_of(name, v, samples[name], level, method=method) for name, v in values.items()}


def interval_of(
    name: str, value: float, samples: Floats, level: float, *, method: str = "percentile"
) -> Interval:
    """Return the interval of one figure from its samples (S,), by a method of `bootstrap` other than BCa."""
    low, high = percentiles(samples, level)
    if method == "basic" or name in BIASED:
        low, high = 2 * value - high, 2 * value - low
    if name in BIASED:  # the value itself is no lower than the truth on average, so it stays inside
        low, high = max(0.0, min(low, value)), max(high, value)
    return Interval(value, low, high)


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
    index, kept = group_index(groups, len(figures)), ~np.isnan(figures)
    if not kept.any():
        return Difference(np.nan, np.nan, np.nan, np.nan)
    figures, index = figures[kept], np.unique(index[kept], return_inverse=True)[1]
    chunks = weights_of(index, np.zeros(index.max() + 1, dtype=np.int64), n_samples=n_samples, seed=seed)
    samples = np.concatenate([figures @ w / w.sum(axis=0) for w in chunks])
    return Difference(float(figures.mean()), *percentiles(samples, level), p_value(samples))


def figures_of(
    metrics: Sequence[str], aucs: Mapping[str, Sequence[int]], *, n_classes: int
) -> dict[str, WeightedMetric]:
    """Return the weighted forms asked for, by name; refuses what cannot be computed."""
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


def values_of(
    y: Ints, p: Floats, metrics: Sequence[str], aucs: Mapping[str, Sequence[int]]
) -> dict[str, float]:
    """Return the figures asked for on the cases themselves, by name."""
    per_class = per_class_auc(y, p) if aucs else np.array([])
    means = {name: float(mean_defined(per_class[list(classes)])) for name, classes in aucs.items()}
    return {name: METRICS[name](y, p) for name in metrics} | means


def concatenated(chunks: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Return by name the figures of all chunks, (S,)."""
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def percentiles(samples: Floats, level: float) -> tuple[float, float]:
    """Return the limits of the percentile interval of samples (S,); NaN ones are left out."""
    _check_level(level)
    defined = samples[~np.isnan(samples)]
    if not defined.size:
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}; 0.95 is usual")


def _bca(value: float, samples: Floats, without: Floats, strata: Ints, level: float) -> tuple[float, float]:
    """Return the limits of the BCa interval (Efron & Tibshirani 1993, eq. 14.9, 14.10, 14.15).

    The acceleration is that of influences within strata (Davison & Hinkley 1997, section 5.3.2).
    """
    _check_level(level)
    defined = samples[~np.isnan(samples)]
    if not defined.size or np.ptp(defined) < 1e-12:
        return percentiles(samples, level)
    below = ((defined < value - 1e-12).sum() + (defined <= value + 1e-12).sum()) / (2 * len(defined))
    bias = stats.norm.ppf(below)
    influence = np.zeros_like(without)
    for s in np.unique(strata):
        of = without[strata == s]
        influence[strata == s] = (np.nanmean(of) - of) * (len(of) - 1) / len(of) if len(of) > 1 else 0
    influence = np.nan_to_num(influence)
    spread = float((influence**2).sum()) ** 1.5
    acceleration = float((influence**3).sum()) / (6 * spread) if spread > 0 else 0.0
    z = bias + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    with np.errstate(invalid="ignore"):  # an infinite bias: the value lies outside all samples
        shares = stats.norm.cdf(bias + z / (1 - acceleration * z))
    if np.isnan(shares).any():
        return np.nan, np.nan
    low, high = np.quantile(defined, shares)
    return float(low), float(high)


def p_value(samples: Floats) -> float:
    """Return twice the smaller share of samples (S,) on one side of 0, as `paired_bootstrap` says."""
    defined = samples[~np.isnan(samples)]
    if not defined.size:
        return np.nan
    extreme = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (extreme + 1) / (len(defined) + 1)))


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


def share(hits: Bools, groups: Ints) -> Interval:
    """Return the share of hits (n,) with Wilson's interval, for as many trials as there are groups (n,).

    Lesions of one patient are no independent trials; to count each patient once errs on the wide side.
    """
    n = len(np.unique(groups))
    return wilson_interval(float(hits.mean()) * n if n else 0, n)
