"""Losses of Ge et al. 2017 (eq. 1 to 5), normalised so that several processes give one process's gradients.

Letters: n lesions that have a readout, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dermapair.config import LossSettings
from dermapair.types import VIEWS


def row_losses(logits: Tensor, labels: Tensor, *, kind: str, label_smoothing: float = 0.0) -> Tensor:
    """Return the (n,) losses of one readout.

    Args:
        logits: (n, K).
        labels: (n,) class indices.
        kind: "l2", the squared distance of the softmax to one-hot (eq. 1, 2; that the softmax comes first is
            our reading), or "ce", cross-entropy.
        label_smoothing: share of the target that is spread evenly over the classes (Szegedy et al. 2016).
    """
    logits = logits.float()
    if kind == "ce":
        return functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    k = logits.shape[1]
    target = functional.one_hot(labels, k) * (1 - label_smoothing) + label_smoothing / k
    return (logits.softmax(dim=1) - target).square().sum(dim=1)


def class_weights(labels: NDArray[np.int64], n_classes: int, *, kind: str) -> NDArray[np.float64]:
    """Return (K,) weights with mean 1 over the lesions.

    Args:
        labels: (N,) of the training lesions; a class without one has weight 0.
        n_classes: K.
        kind: "none" (1), "sqrt" (1 / sqrt(n)) or "balanced" (1 / n).
    """
    counts = np.bincount(labels, minlength=n_classes)
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[kind]
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -power, 0.0)
    return np.asarray(weights * len(labels) / (weights * counts).sum())


def log_prior(labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Return (K,) logarithms of the classes' shares, one case added to each so that none is -inf."""
    counts = np.bincount(labels, minlength=n_classes) + 1.0
    return np.asarray(np.log(counts / counts.sum()))


class PairLoss:
    """The weighted sum of the readouts' costs.

    cost = sum over readouts r of c_r * (sum of row losses of r) / (lesions in the global batch that have r),
    c_cross = alpha (eq. 5), c of a head that only makes saliency = cam, all others 1 (eq. 3 is a sum, not a
    mean).

    Args:
        settings: the recipe's `loss` section.
        labels: (N,) of the training lesions.
        n_classes: K.
        device: of the logits.
    """

    def __init__(
        self, settings: LossSettings, labels: NDArray[np.int64], n_classes: int, device: torch.device
    ) -> None:
        weights = class_weights(labels, n_classes, kind=settings.class_weights)
        prior = settings.logit_adjustment * log_prior(labels, n_classes)
        self.settings = settings
        self.weights = torch.tensor(weights, dtype=torch.float32, device=device)
        self.offset = torch.tensor(prior, dtype=torch.float32, device=device)

    def sums(
        self, logits: Mapping[str, Tensor], rows: Mapping[str, Tensor], labels: Tensor
    ) -> dict[str, Tensor]:
        """Return by readout the sum of its row losses in this process."""
        kind, smoothing = self.settings.kind, self.settings.label_smoothing
        result = {}
        for readout, z in logits.items():
            y = labels[rows[readout]]
            losses = row_losses(z + self.offset, y, kind=kind, label_smoothing=smoothing)
            result[readout] = (losses * self.weights[y]).sum()
        return result

    def total(self, sums: Mapping[str, Tensor], counts: Mapping[str, float]) -> Tensor:
        """Return the cost; `counts` are lesions by readout over all processes."""
        factors = {"cross": self.settings.alpha} | {f"cam_{view}": self.settings.cam for view in VIEWS}
        return torch.stack([factors.get(r, 1.0) * s / counts[r] for r, s in sums.items()]).sum()
