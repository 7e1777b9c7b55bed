"""Which cases a bootstrap sample holds: whole groups, drawn with replacement, in strata for rare classes.

Letters: N cases, G groups (patients, else lesions), S bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from dermapair.errors import UsageError, unknown_choice
from dermapair.metrics.arrays import Floats, Ints

WEIGHTS_PER_CHUNK = 2_000_000  # 16 MB of float64, which a cache holds
SAMPLES_PER_CHUNK = 50  # at least, as every chunk sorts the cases anew
RARE = 5
"""Classes of fewer groups, which one in 100 samples or more would lack, are drawn for themselves."""
STRATA = ("auto", "none")


def resamples(
    n_cases: int,
    *,
    groups: ArrayLike | None,
    n_samples: int,
    seed: int,
    y_true: ArrayLike | None = None,
    strata: str = "auto",
) -> Iterator[Floats]:
    """Yield weights (N, s), how often each sample holds each case, in chunks with s summing to `n_samples`.

    The same cases, groups, classes and seed give the same samples, whatever the chunks.

    Args:
        n_cases: N.
        groups: (N,) patients where known, else lesions; drawn as wholes. None: every case is its own.
        n_samples: S.
        seed: of the draws.
        y_true: (N,) class indices; None: there are no strata.
        strata: "auto": a class that fewer than 5 groups hold makes a stratum of its own, so that no sample
            lacks it and its weight in macro means does not vary; a group with several such classes belongs to
            the rarest of them. Only a class all of whose groups hold rarer ones too, or equally rare
            ones, can still be lacking. "none": all groups are drawn together.

    Raises:
        UsageError: a group that is not known, no sample, or an unknown way.
    """
    index = group_index(groups, n_cases)
    return weights_of(index, strata_of(index, y_true, strata=strata), n_samples=n_samples, seed=seed)


def group_index(groups: ArrayLike | None, n_cases: int) -> Ints:
    """Return the group index (N,) in 0..G-1 of each case.

    Raises:
        UsageError: not one known name for each case.
    """
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


def strata_of(index: Ints, y_true: ArrayLike | None, *, strata: str = "auto") -> Ints:
    """Return the stratum (G,) of each group: 0, or 1 + the rarest class that it holds if that one is rare.

    Args:
        index: (N,) group of each case.
        y_true: (N,) class indices, or None.
        strata: as for `resamples`.
    """
    if strata not in STRATA:
        raise UsageError(unknown_choice("strata", strata, STRATA))
    found: Ints = np.zeros(int(index.max()) + 1, dtype=np.int64)
    if y_true is None or strata == "none":
        return found
    held = np.unique(np.stack([index, np.asarray(y_true, dtype=np.int64)], axis=1), axis=0)
    of_class = np.bincount(held[:, 1])[held[:, 1]]  # how many groups hold that class
    rarest_last = held[np.lexsort((held[:, 1], -of_class))]
    rare = rarest_last[np.sort(-of_class) > -RARE]
    found[rare[:, 0]] = 1 + rare[:, 1]  # of several the last one stays
    return found


def weights_of(index: Ints, strata: Ints, *, n_samples: int, seed: int) -> Iterator[Floats]:
    """Yield weights as `resamples` does, from each case's group (N,) and each group's stratum (G,)."""
    if n_samples < 1:
        raise UsageError(f"n_samples: expected at least 1, got {n_samples}; 2000 is usual")
    members = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    generators = [np.random.default_rng(seed if not s else [seed, s]) for s in range(len(members))]
    size = chunk_size(len(index))
    for start in range(0, n_samples, size):
        n = min(size, n_samples - start)
        counts = np.empty((len(strata), n))
        for of, generator in zip(members, generators, strict=True):
            drawn = generator.integers(len(of), size=(n, len(of))) * n + np.arange(n)[:, None]
            counts[of] = np.bincount(drawn.ravel(), minlength=len(of) * n).reshape(len(of), n)
        yield counts[index]


def left_out(index: Ints) -> Iterator[Floats]:
    """Yield weights (N, g) of the jackknife, in chunks with g summing to G: each sample lacks one group."""
    n_groups = int(index.max()) + 1
    size = chunk_size(len(index))
    for start in range(0, n_groups, size):
        yield (index[:, None] != np.arange(start, min(start + size, n_groups))).astype(np.float64)


def chunk_size(n_cases: int) -> int:
    """Return how many samples of so many cases are made at once."""
    return max(SAMPLES_PER_CHUNK, WEIGHTS_PER_CHUNK // n_cases)
