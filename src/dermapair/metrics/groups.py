"""Groups of the same cases against each other: the largest gap between their figures.

Letters: G groups, S bootstrap samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dermapair.errors import UsageError
from dermapair.metrics.arrays import Floats
from dermapair.metrics.bootstrap import Difference


def largest_gap(values: ArrayLike, samples: ArrayLike, *, level: float = 0.95) -> tuple[int, int, Difference]:
    """Largest difference between two of G groups, with a test that knows that it was chosen.

    With g the values and g* those of a resample, max(g* - g) - min(g* - g) is the largest gap that chance
    alone makes. The p-value of "no two groups differ" is the share of resamples in which it is at least the
    gap seen, both counted with one more (so never 0); the interval is the gap -/+ its `level` quantile. The
    interval holds for all pairs at once, and leaves out 0 where p < 1 - level. It is Tukey's range test by
    resampling (Westfall & Young 1993, Resampling-Based Multiple Testing).

    Args:
        values: (G,) a figure of each group; NaN, not defined, leaves the group out.
        samples: (G, S) the same figure in resamples of all cases, the same for all groups; a resample in
            which one is not defined is left out.
        level: of the interval, in (0, 1).

    Returns:
        Index of the group with the lowest figure, of that with the highest, and highest - lowest.

    Raises:
        UsageError: the shapes do not fit, or fewer than two groups have a figure.
    """
    g, drawn = np.asarray(values, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    there = np.flatnonzero(np.isfinite(g))
    if g.ndim != 1 or drawn.ndim != 2 or len(g) != len(drawn) or len(there) < 2:
        raise UsageError(
            f"expected values (G,) and samples (G, S) of two groups or more, got {g.shape} and {drawn.shape} "
            f"with {len(there)} defined; leave this figure out"
        )
    a, b = there[[g[there].argmin(), g[there].argmax()]].tolist()
    value, by_chance = float(g[b] - g[a]), _by_chance(g[there], drawn[there])
    if not by_chance.size:
        return a, b, Difference(value, np.nan, np.nan, np.nan)
    half = float(np.quantile(by_chance, level))
    p = ((by_chance >= value - 1e-12).sum() + 1) / (len(by_chance) + 1)
    return a, b, Difference(value, value - half, value + half, float(p))


def _by_chance(values: Floats, samples: Floats) -> Floats:
    """Return the range of the centred figures in each resample that defines all of them."""
    centred = samples - values[:, None]
    spread = centred.max(axis=0) - centred.min(axis=0)
    return np.asarray(spread[~np.isnan(spread)])
