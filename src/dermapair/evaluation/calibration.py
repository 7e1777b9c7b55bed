"""Whether probabilities can be believed: before calibration and after it, on the same lesions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermapair.evaluation.evaluate import ByReadout, Truth, plain, scored
from dermapair.evaluation.stages import paired_difference
from dermapair.inference.decisions import Calibration
from dermapair.inference.scores import Array
from dermapair.metrics.bootstrap import Interval, bootstrap, percentiles, wilson_interval
from dermapair.metrics.classification import calibration_error_if_perfect, reliability

FIGURES = ("log_loss", "brier", "expected_calibration_error")
BINS = 10  # of the reliability diagram


def evaluate_calibration(
    before: ByReadout,
    after: ByReadout,
    truth: Truth,
    calibration: Calibration | None,
    *,
    n_samples: int = 2000,
) -> dict[str, Any] | None:
    """Return what calibration changed, by readout; None where there is none.

    Args:
        before: by readout, the lesion ids and their (n, K) probabilities as the network says them.
        after: the same, calibrated.
        truth: labels.
        calibration: of the model.
        n_samples: bootstrap samples.

    Returns:
        `method`, `fitted_on` and by readout, before and after: log loss, Brier score and calibration error
        with intervals, the calibration error that true probabilities would show (`if_perfect`), the bins of
        the reliability diagram; and the paired difference after - before.
    """
    if calibration is None:
        return None
    readouts = {}
    for readout, (ids, p) in after.items():
        affine = calibration.readouts[readout]
        gain = paired_difference(before[readout], (ids, p), truth, n_samples=n_samples)
        if not gain:  # no lesion with a diagnosis has this readout
            continue
        each = {"before": before[readout][1], "after": p}
        readouts[readout] = {
            "temperature": 1 / affine.scale[0] if calibration.method == "temperature" else None,
            "n_lesions": affine.n_lesions,
            **{name: _figures(ids, values, truth, n_samples) for name, values in each.items()},
            "difference": {name: gain[name] for name in FIGURES},
            "reliability": {name: _bins(*scored(ids, values, truth)[:2]) for name, values in each.items()},
        }
    return {"method": calibration.method, "fitted_on": "val", "readouts": readouts}


def _figures(ids: Any, p: Array, truth: Truth, n_samples: int) -> dict[str, Any]:
    labels, values, groups = scored(ids, p, truth)
    found = bootstrap(labels, values, groups=groups, metrics=FIGURES, n_samples=n_samples)
    chance = calibration_error_if_perfect(values)
    perfect = Interval(float(chance.mean()), *percentiles(chance, 0.95))
    return {name: plain(figure) for name, figure in found.items()} | {"if_perfect": plain(perfect)}


def _bins(labels: NDArray[np.int64], p: Array) -> list[dict[str, Any]]:
    """Return the bins of a reliability diagram that hold lesions; the interval is Wilson's."""
    found = []
    for n, confidence, accuracy in zip(*reliability(labels, p, BINS), strict=True):
        share = wilson_interval(accuracy * n, int(n))
        found.append(
            {
                "n": int(n),
                "confidence": float(confidence),
                "accuracy": share.value,
                "low": share.low,
                "high": share.high,
            }
        )
    return found
