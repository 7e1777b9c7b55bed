"""Arrays as metrics take them: checked once, with the row that is wrong.

Letters: N cases, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dermapair.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def checked(y_true: ArrayLike, scores: ArrayLike) -> tuple[Ints, Floats]:
    """Return class indices (N,) and scores (N, K) as int64 and float64.

    Raises:
        UsageError: wrong shapes, no case, a class index outside 0..K-1, or a score that is not finite.
    """
    y, s = _numbers(y_true, "y_true"), _numbers(scores, "scores")
    if y.ndim != 1 or s.ndim != 2 or len(y) != len(s) or len(y) < 1 or s.shape[1] < 2:
        raise UsageError(
            f"expected y_true (N,) and scores (N, K) with N >= 1 and K >= 2, got {y.shape} and {s.shape}; "
            "hand over one row of K scores for each case"
        )
    _refuse(~np.isin(y, np.arange(s.shape[1])), y, f"y_true: expected a class index in 0..{s.shape[1] - 1}")
    _refuse(np.any(~np.isfinite(s), axis=1), s, "scores: expected finite numbers")
    return y.astype(np.int64), s


def checked_binary(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Bools, Floats]:
    """Return truth (N,) as booleans and scores (N,) as float64; raises UsageError as `checked` does."""
    y, s = _numbers(y_true, "y_true"), _numbers(y_score, "y_score")
    if y.ndim != 1 or y.shape != s.shape or len(y) < 1:
        raise UsageError(
            f"expected y_true and y_score of one shape (N,) with N >= 1, got {y.shape} and {s.shape}; "
            "hand over one score for each case"
        )
    _refuse(~np.isin(y, (0, 1)), y, "y_true: expected 0 or 1")
    _refuse(~np.isfinite(s), s, "y_score: expected finite numbers")
    return y.astype(bool), s


def checked_probabilities(y_true: ArrayLike, probabilities: ArrayLike) -> tuple[Ints, Floats]:
    """Like `checked`, for probabilities: in [0, 1], rows sum to 1 within 1e-3 (rescaled to exactly 1)."""
    y, p = checked(y_true, probabilities)
    bad = (p < 0).any(axis=1) | (p > 1).any(axis=1) | (abs(p.sum(axis=1) - 1) > 1e-3)
    _refuse(bad, p, "probabilities: expected values in [0, 1] that sum to 1")
    return y, p / p.sum(axis=1, keepdims=True)


def _numbers(values: ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: expected an array of numbers ({error}); hand over numbers only") from error


def _refuse(bad: Bools, values: Floats, expected: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise UsageError(
            f"{expected}, got {values[row]} in row {row} ({bad.sum()} such rows of {len(bad)}); "
            "correct or leave out these cases"
        )


def mean_defined(values: Floats) -> Floats:
    """Mean over the first axis of the values that are not NaN; NaN where there is none."""
    count = (~np.isnan(values)).sum(axis=0)
    return ratio(np.nansum(values, axis=0), count)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Quotient as float64, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient
