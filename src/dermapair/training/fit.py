"""What is fitted on validation after training: weights of the readouts, calibration, decisions.

Letters: N lesions, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from dermapair.inference.decisions import Affine, Calibration, ConformalSet, OperatingPoint
from dermapair.inference.scores import Array, Scores, combine, softmax
from dermapair.metrics.binary import threshold_at_sensitivity, youden_threshold
from dermapair.metrics.bootstrap import share

SENSITIVITIES = (0.9, 0.95)
"""Of the operating points; a third one is where Youden's index is highest."""
TEMPERATURES = (0.05, 20.0)
"""Limits of the search: where validation is named without a mistake the best temperature is 0."""


def fit_weights(probabilities: Mapping[str, Array], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return the weights of the readouts, summing to 1, that give `both` the lowest log loss.

    Args:
        probabilities: by readout (without `both`), (N, K) of the validation lesions, NaN rows where absent.
        labels: (N,) class indices.
    """
    readouts = list(probabilities)
    rows = np.arange(len(labels))

    def log_loss(free: Array) -> float:
        p = combine(probabilities, dict(zip(readouts, softmax(free), strict=True)))[rows, labels]
        return float(-np.log(np.maximum(p[~np.isnan(p)], 1e-12)).mean())  # NaN: no image could be read

    best = minimize(log_loss, np.zeros(len(readouts)), method="Nelder-Mead")
    return dict(zip(readouts, softmax(best.x).tolist(), strict=True))


def fit_calibration(
    scores: Scores, labels: NDArray[np.int64], *, method: str, lesions: NDArray[np.bool_]
) -> Calibration | None:
    """Return what gives each readout's probabilities the lowest log loss (Guo et al. 2017, section 4.2).

    Temperature scaling divides the logits by one number, so that no answer changes. Vector scaling gives each
    class a factor and a summand; it is held to the identity by a penalty of one lesion's weight, as a class
    without a case would have no limit.

    Args:
        scores: of N lesions, as the network says them.
        labels: (N,) class indices.
        method: `predict.calibrate`.
        lesions: (N,) those with a diagnosis; others are left out, as are those that lack a readout.

    Returns:
        None for the method "none".
    """
    if method == "none":
        return None
    fit = _temperature if method == "temperature" else _vector
    readouts = {}
    there = [~np.isnan(p[:, 0]) for readout, p in scores.probabilities.items() if readout != "both"]
    several = np.sum(there, axis=0) > 1  # others have the scaling of their one readout
    for readout, p in scores.probabilities.items():
        rows = lesions & ~np.isnan(p[:, 0])
        if readout == "both" and (rows & several).any():
            rows &= several
        if rows.any():
            scale, bias = fit(scores.logits[readout][rows], labels[rows])
        else:  # no lesion of validation has this readout: it stays as it is
            scale, bias = np.ones(p.shape[1]), np.zeros(p.shape[1])
        readouts[readout] = Affine(scale=tuple(scale), bias=tuple(bias), n_lesions=int(rows.sum()))
    return Calibration(method=method, readouts=readouts)


def _temperature(z: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return scale and bias (K,) of one temperature for logits (N, K)."""
    low, high = (math.log(limit) for limit in TEMPERATURES)
    best = minimize_scalar(
        lambda t: _log_loss(z / math.exp(t), labels),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return np.full(z.shape[1], math.exp(-best.x)), np.zeros(z.shape[1])


def _vector(z: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return scale and bias (K,) of each class for logits (N, K)."""
    n, k = z.shape

    def cost(free: Array) -> float:
        return _log_loss(z * (1 + free[:k]) + free[k:], labels) + float(np.square(free).sum() / n)

    best = np.asarray(minimize(cost, np.zeros(2 * k), method="L-BFGS-B").x)
    return 1 + best[:k], best[k:]


def _log_loss(z: Array, labels: NDArray[np.int64]) -> float:
    of_truth = np.asarray(log_softmax(z, axis=1))[np.arange(len(labels)), labels]
    return -float(of_truth.mean())


def fit_points(
    p: Array,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    targets: Mapping[str, Sequence[str]],
    *,
    groups: NDArray[np.int64] | None = None,
) -> tuple[OperatingPoint, ...]:
    """Return the operating points of every target that has cases and others.

    Their intervals on validation are Wilson's for so many patients; the threshold was chosen there.

    Args:
        p: (N, K) calibrated probabilities of `both`.
        labels: (N,) class indices.
        classes: K names.
        targets: target -> its classes.
        groups: (N,) a number equal for lesions of one patient; None: every lesion is its own.
    """
    of = np.arange(len(labels)) if groups is None else groups
    return tuple(
        point for name, members in targets.items() for point in _points(p, labels, of, classes, name, members)
    )


def _points(
    p: Array,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    target: str,
    members: Sequence[str],
) -> list[OperatingPoint]:
    where = [classes.index(name) for name in members]
    truth, score = np.isin(labels, where), p[:, where].sum(axis=1)
    if truth.all() or not truth.any():
        return []
    rules = {
        f"sensitivity_{round(100 * s)}": threshold_at_sensitivity(truth, score, sensitivity=s)
        for s in SENSITIVITIES
    }
    rules["youden"] = youden_threshold(truth, score)
    found = []
    for rule, threshold in rules.items():
        called, cases = score > threshold, int(truth.sum())
        sensitivity, specificity = share(called[truth], groups[truth]), share(~called[~truth], groups[~truth])
        found.append(
            OperatingPoint(
                name=f"{target}_{rule}", target=target, classes=tuple(members), rule=rule.replace("_", " "),
                threshold=float(threshold), cases=cases, others=len(truth) - cases,
                sensitivity=(sensitivity.value, sensitivity.low, sensitivity.high),
                specificity=(specificity.value, specificity.low, specificity.high),
            )
        )  # fmt: skip
    return found


def fit_conformal(p: Array, labels: NDArray[np.int64], *, coverage: float) -> ConformalSet:
    """Return the set of classes that holds a new lesion's truth in `coverage` of the cases, on average.

    Sadinle et al. 2019 (arXiv 1609.00451), by split conformal prediction: a class is in the set where its
    probability is at least the floor((N + 1) (1 - coverage))-th smallest of the true classes' on validation.

    Args:
        p: (N, K) calibrated probabilities of `both`.
        labels: (N,) class indices.
        coverage: in (0, 1).
    """
    of_truth = np.sort(p[np.arange(len(labels)), labels])
    rank = math.floor((len(labels) + 1) * (1 - coverage) + 1e-9)
    least = float(of_truth[rank - 1]) if rank else 0.0
    return ConformalSet(coverage=coverage, least=least, n_lesions=len(labels))
