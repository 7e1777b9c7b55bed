"""Class activation maps as tensors: the product itself, and the saliency that weighted pooling takes from it.

Zhou et al. 2016; Jia & Shen 2017, eq. 1 and 2; Ge et al. 2017, eq. 6 (left). What brings maps back to the
user's pixels is in `saliency`.

Letters: n images, D feature channels, h w map cells, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional


def class_maps(features: Tensor, weight: Tensor) -> Tensor:
    """Return the maps of all classes, M_c = sum_k w_ck f_k (Jia & Shen 2017, eq. 2).

    Args:
        features: (n, D, h, w).
        weight: (K, D) of the linear layer behind global average pooling.

    Returns:
        (n, K, h, w); the mean over cells plus the layer's bias is the logit.
    """
    return torch.einsum("kd,ndhw->nkhw", weight, features)


def _predicted(maps: Tensor, logits: Tensor) -> Tensor:
    best = logits.argmax(dim=1)
    return maps[torch.arange(len(maps), device=maps.device), best].relu()


CLASS_RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": lambda maps, logits: maps.relu().sum(dim=1),
    "plain-sum": lambda maps, logits: maps.sum(dim=1).relu(),
    "predicted": _predicted,
    "probability-weighted": lambda maps, logits: torch.einsum(
        "nk,nkhw->nhw", logits.softmax(dim=1), maps.relu()
    ),
}
"""Name -> function of (n, K, h, w) maps and (n, K) logits that returns (n, h, w), not negative.

"plain-sum" is eq. 6 to the letter, one fixed direction in the channels; the others clamp each class."""


def cell_weights(maps: Tensor, logits: Tensor, *, classes: str) -> Tensor:
    """Return the saliency a_ij of eq. 6: not negative, sum 1; uniform where no class has positive evidence.

    Args:
        maps: (n, K, h, w).
        logits: (n, K) of the network that made the maps; never the true class.
        classes: a key of CLASS_RULES.

    Returns:
        (n, h, w), without a gradient.
    """
    return normalised(CLASS_RULES[classes](maps.detach().float(), logits.detach().float()))


def normalised(saliency: Tensor) -> Tensor:
    """Return (n, h, w) scaled to sum 1, uniform where it is zero everywhere."""
    total = saliency.sum(dim=(1, 2), keepdim=True)
    cells = saliency.shape[1] * saliency.shape[2]
    nothing = total <= torch.finfo(saliency.dtype).tiny * cells
    return torch.where(
        nothing, torch.full_like(saliency, 1 / cells), saliency / total.masked_fill(nothing, 1)
    )


def on_grid(saliency: Tensor, size: Sequence[int]) -> Tensor:
    """Return (n, h, w) saliency on another grid: bilinear, sum 1 again."""
    if tuple(saliency.shape[1:]) == tuple(size):
        return saliency
    resized = functional.interpolate(
        saliency[:, None], size=tuple(size), mode="bilinear", align_corners=False
    )
    return normalised(resized[:, 0])
