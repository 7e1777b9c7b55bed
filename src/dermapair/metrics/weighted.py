"""Figures of one class against the rest for many weightings of the same cases at once.

Letters: N cases, S bootstrap samples, J distinct scores of cases, T thresholds. Every function takes positive
(N,), score (N,) and weights (N, S), how often each sample holds each case, and returns (S,): what `binary`
gives for the repeated cases. Inputs come checked. Non-cases between two scores of cases are summed before
anything else, which makes rare classes cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from dermapair.metrics.arrays import Bools, Floats, Ints, ratio
from dermapair.metrics.binary import LEAST_SENSITIVITY


@dataclass(frozen=True)
class Ranked:
    """A ROC curve of each sample: weights in B bins of rising scores.

    A bin is one score of the rarer of cases and non-cases, or all scores between two of these, where
    the curve runs straight up or to the right. That leaves every figure of the curve as it is.

    Attributes:
        cases: (B, S) of the cases there.
        others: (B, S) of the non-cases there.
        called: (B, S) of the cases there or higher.
        below: (B, S) of the non-cases lower than there.
    """

    cases: Floats
    others: Floats
    called: Floats
    below: Floats

    @property
    def n_others(self) -> Floats:
        """Return (S,): all non-cases."""
        return np.asarray(self.below[-1] + self.others[-1])

    @property
    def defined(self) -> Bools:
        """Return (S,): whether a sample holds cases and non-cases."""
        return np.asarray((self.n_others > 0) & (self.called[0] > 0))


def ranked(positive: Bools, score: Floats, weights: Floats) -> Ranked:
    """Return the curves."""
    rarer = positive if 2 * positive.sum() < len(positive) else ~positive
    levels = np.unique(score[rarer])
    # 2 j + 1 at the j-th of these scores, 2 j between it and the one below
    place = np.searchsorted(levels, score, "left") + np.searchsorted(levels, score, "right")
    cases, others = (sums_by(place, weights, n=2 * len(levels) + 1, rows=r) for r in (positive, ~positive))
    return Ranked(cases, others, _from_above(cases), np.cumsum(others, axis=0) - others)


def _from_above(sums: Floats) -> Floats:
    """Return the cumulative sums (B, S) that begin with the last row."""
    return np.cumsum(sums[::-1], axis=0)[::-1]


def sums_by(place: Ints, weights: Floats, *, n: int, rows: Bools | None = None) -> Floats:
    """Return the sums (n, S) of the weights at each place (N,) in 0..n-1, of some rows (N,) or of all."""
    which = np.arange(len(place)) if rows is None else np.flatnonzero(rows)
    ones = np.ones(len(which), dtype=weights.dtype)
    matrix = sparse.csr_array((ones, (place[which], which)), shape=(n, len(place)))
    return np.asarray(matrix @ weights)


def auc(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """AUC in each sample: weight of the (case, non-case) pairs in right order, ties counting half."""
    r = ranked(positive, score, weights)
    won = np.einsum("bs,bs->s", r.cases, 2 * r.below + r.others)
    return ratio(won, 2 * r.called[0] * r.n_others)


def average_precision(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Average precision in each sample: mean over the cases of the precision at their own score."""
    levels = np.unique(score[positive])
    at_most = np.searchsorted(levels, score, "right")  # how many levels each score reaches
    cases, others = (sums_by(at_most, weights, n=len(levels) + 1, rows=r) for r in (positive, ~positive))
    called, alarms = _from_above(cases)[1:], _from_above(others)[1:]
    precision = np.divide(called, called + alarms, out=np.zeros_like(called), where=called > 0)
    total, n_others = cases.sum(axis=0), others.sum(axis=0)
    found = ratio(np.einsum("js,js->s", cases[1:], precision), total)
    return np.where(n_others > 0, found, np.nan)


def partial_auc(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Area above 80% sensitivity in each sample, as `binary.partial_auc`."""
    r = ranked(positive, score, weights)
    rise, run = ratio(r.cases, r.called[:1]), ratio(r.others, r.n_others)
    reached, low = (
        ratio(r.called, r.called[:1]),
        ratio(r.below, r.n_others),
    )  # sensitivity and specificity there
    part = np.clip(reached - LEAST_SENSITIVITY, 0, rise)  # what of the bin's rise lies above the line
    area = part * (low + run * np.divide(part, 2 * rise, out=np.zeros_like(part), where=rise > 0))
    return np.where(r.defined, area.sum(axis=0), np.nan)


def specificity_at_sensitivity(
    positive: Bools, score: Floats, weights: Floats, *, sensitivity: float
) -> Floats:
    """Highest specificity at a sensitivity in each sample, as `binary.specificity_at_sensitivity`."""
    r = ranked(positive, score, weights)
    reached = ratio(r.called, r.called[:1]) >= sensitivity  # true up to the highest bin that will do
    highest = np.maximum(reached.sum(axis=0) - 1, 0)
    best = np.take_along_axis(r.below, highest[None], axis=0)[0]
    return np.where(r.defined, ratio(best, r.n_others), np.nan)


def binary_brier(positive: Bools, probability: Floats, weights: Floats) -> Floats:
    """Weighted mean of the squared distance to 0 or 1."""
    return ratio(((probability - positive) ** 2) @ weights, weights.sum(axis=0))


def net_benefit(positive: Bools, probability: Floats, weights: Floats, thresholds: Floats) -> Floats:
    """Net benefit of calling above each rising threshold (T,) in each sample, (T, S), as in `binary`."""
    place = np.searchsorted(thresholds, probability, "left")  # how many thresholds lie below
    hits, alarms = (
        np.cumsum(sums_by(place, weights, n=len(thresholds) + 1, rows=rows)[:0:-1], axis=0)[::-1]
        for rows in (positive, ~positive)
    )
    odds = (thresholds / (1 - thresholds))[:, None]
    return ratio(hits - alarms * odds, weights.sum(axis=0))


def binary_accuracy(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Share of right answers in each sample, a case being called at > 0.5, strictly."""
    return ratio(((score > 0.5) == positive) @ weights, weights.sum(axis=0))


def sensitivity(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Share of each sample's cases that score > 0.5."""
    return ratio((score[positive] > 0.5) @ weights[positive], weights[positive].sum(axis=0))


def specificity(positive: Bools, score: Floats, weights: Floats) -> Floats:
    """Share of each sample's non-cases that score at most 0.5."""
    return ratio((score[~positive] <= 0.5) @ weights[~positive], weights[~positive].sum(axis=0))


def specificity_at_sensitivities(
    positive: Bools, score: Floats, weights: Floats, *, sensitivities: Sequence[float]
) -> Floats:
    """1 - FPR of the first point of scikit-learn's default ROC curve that reaches each sensitivity, (T, S).

    NaN in a sample without a case or without a non-case.
    """
    order = np.argsort(-score, kind="stable")
    starts = np.unique(-score[order], return_index=True)[1]
    ranked = weights[order]
    cases = np.add.reduceat(ranked * positive[order, None], starts, axis=0)  # (L, S), L falling scores
    others = np.add.reduceat(ranked, starts, axis=0) - cases
    kept = _curve_points(cases, others)
    tpr, fpr = (ratio(np.cumsum(steps, axis=0), steps.sum(axis=0)) for steps in (cases, others))
    firsts = np.stack([(kept & (tpr >= t)).argmax(axis=0) for t in sensitivities])
    return np.where(np.isnan(tpr[-1]), np.nan, 1 - fpr[firsts, np.arange(weights.shape[1])])


def _curve_points(cases: Floats, others: Floats) -> Bools:
    """Tell which scores (L, S) are points of each sample's default ROC curve, by their cases and non-cases.

    `drop_intermediate` leaves out a point that the curve reaches by the same step as it leaves it, the first
    and the last excepted; scores that a sample lacks are no points of it.
    """
    n_levels = len(cases)
    present = cases + others > 0
    level = np.where(present, np.arange(n_levels, dtype=np.int32)[:, None], np.int32(n_levels))
    at_or_after = np.minimum.accumulate(level[::-1], axis=0)[::-1]
    after = np.vstack([at_or_after[1:], np.full((1, cases.shape[1]), n_levels, dtype=np.int32)])
    ends = (level == at_or_after[0]) | (after == n_levels)
    following = np.minimum(after, n_levels - 1)
    turns = np.take_along_axis(cases, following, axis=0) != cases
    turns |= np.take_along_axis(others, following, axis=0) != others
    return np.asarray(present & (ends | turns))
