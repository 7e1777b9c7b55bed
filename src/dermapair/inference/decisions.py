"""What a model knows of its own probabilities: fitted on validation, stored in `model.json`, applied here.

Calibration makes probabilities that can be believed, operating points make decisions of them, and conformal
sets say which classes cannot be ruled out. How they are fitted is in `training.fit`.

Letters: N lesions, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dermapair.inference.scores import Array, Scores, softmax
from dermapair.types import FloatArray, View


class _Fitted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Affine(_Fitted):
    """What is done to the logits of one readout: z * scale + bias.

    Attributes:
        scale: K factors; temperature scaling has 1 / T, K times.
        bias: K summands.
        n_lesions: of validation, that it was fitted on.
    """

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    n_lesions: int

    def logits(self, z: FloatArray) -> Array:
        """Return calibrated logits (..., K) of logits, or of logarithms of probabilities."""
        return np.asarray(np.asarray(z, np.float64) * self.scale + np.asarray(self.bias))


class Calibration(_Fitted):
    """Temperature or vector scaling (Guo et al. 2017, arXiv 1706.04599, section 4.2) of every readout.

    Attributes:
        method: which.
        readouts: by readout, also `both`, what is done to its logits.
    """

    method: Literal["temperature", "vector"]
    readouts: dict[str, Affine]


class OperatingPoint(_Fitted):
    """A threshold for the probability of a target, chosen on validation.

    Attributes:
        name: as `melanoma_sensitivity_90`, `cancer_youden`.
        target: `melanoma`, `cancer`, or what the recipe calls it.
        classes: that count as the target; their probabilities of `both` are added.
        rule: how the threshold was chosen: `sensitivity 0.9` or `youden`.
        threshold: the decision is positive where the target's probability is above it.
        cases, others: lesions of validation that are, and are not, the target.
        sensitivity, specificity: what it reached there: value, and limits of the 95% interval.
    """

    name: str
    target: str
    classes: tuple[str, ...]
    rule: str
    threshold: float
    cases: int
    others: int
    sensitivity: tuple[float, float, float]
    specificity: tuple[float, float, float]

    def probability(self, p: FloatArray, classes: Sequence[str]) -> Array:
        """Return the target's probability (...,) from those of the classes (..., K)."""
        members = [classes.index(name) for name in self.classes]
        return np.asarray(np.asarray(p, np.float64)[..., members].sum(axis=-1))

    def decide(self, p: FloatArray, classes: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether the decision is positive, (...,)."""
        return np.asarray(self.probability(p, classes) > self.threshold)


class ConformalSet(_Fitted):
    """Sets of classes that hold the truth with a given probability (Sadinle et al. 2019, arXiv 1609.00451).

    Split conformal prediction: over new lesions of the same kind as validation's, sets of all classes with
    at least this probability of `both` hold the truth in `coverage` of the cases: on average, not for each
    class, and approximately, as calibration was fitted on the same lesions.

    Attributes:
        coverage: wanted, in (0, 1).
        least: smallest probability of a class in the set; 0 takes all.
        n_lesions: of validation.
    """

    coverage: float
    least: float
    n_lesions: int

    def contains(self, p: FloatArray) -> NDArray[np.bool_]:
        """Return which classes are in the set, (..., K); the most probable one always is."""
        values = np.asarray(p, np.float64)
        return np.asarray((values >= self.least) | (values == values.max(axis=-1, keepdims=True)))


class OutsideView(_Fitted):
    """Which scores of one view are rare.

    Attributes:
        threshold: a lesion is flagged above it.
        n_lesions: of validation, whose scores chose it.
        other: whether the other view's images were seen in its slot.
    """

    threshold: float
    n_lesions: int
    other: bool


class OutsideRule(_Fitted):
    """Which lesions are unlike those of the training part; the arrays are in `outside.safetensors`.

    Attributes:
        method: of the score, see `inference.ood`.
        allowed: share of validation's lesions that is flagged at most.
        views: those that are judged.
    """

    method: Literal["mahalanobis"]
    allowed: float
    views: dict[View, OutsideView]


def calibrated(scores: Scores, calibration: Calibration | None) -> Scores:
    """Return scores with calibrated probabilities and logits; `stages` stay the networks' own.

    A lesion with one view keeps the identity that `both` equals the readout of that view.
    """
    if calibration is None:
        return scores
    fitted = calibration.readouts
    with np.errstate(divide="ignore", invalid="ignore"):
        z = {r: fitted[r].logits(values) for r, values in scores.logits.items()}
        p = {r: softmax(values) for r, values in z.items()}
    there = {r: ~np.isnan(values[:, 0]) for r, values in scores.probabilities.items() if r != "both"}
    single = np.sum(list(there.values()), axis=0) == 1
    for readout, present in there.items():
        only = single & present
        p["both"][only], z["both"][only] = p[readout][only], z[readout][only]
    return replace(scores, probabilities=p, logits=z)
