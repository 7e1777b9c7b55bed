"""What is fitted on validation after training: the weights of the readouts in `both`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from dermapair.inference.scores import Array, combine, softmax


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
