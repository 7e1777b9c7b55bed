"""Class activation maps of a batch, for every readout of a network.

A readout behind global average pooling and one linear layer has its maps without a gradient (CAM: Zhou et al.
2016; Jia & Shen 2017, eq. 2). Every other one, `both` and `cross` included, gets Grad-CAM (Selvaraju et al.
2017), by `torch.autograd.grad` on the feature maps that the network returned: no hooks, and nothing of the
network is changed.

Letters: n images of a view, D feature channels, h w map cells, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from dermapair.models import Output, PairNet
from dermapair.models.cam import class_maps
from dermapair.types import View


def cam(network: PairNet, output: Output, view: View) -> Tensor | None:
    """Return (n, K, h, w) maps of a view's own readout, or None if its classifier is not GAP + linear.

    The mean over cells plus the classifier's bias is the logit.
    """
    linear = network.classifier(view)
    return None if linear is None else class_maps(output.maps[view].of_view, linear.weight)


def grad_cam(output: Output, scores: Tensor, *, views: tuple[View, ...], at_tap: bool) -> dict[View, Tensor]:
    """Return the maps of every column of `scores`: the mean slope of each channel times the channel.

    Args:
        output: of a pass whose images require a gradient.
        scores: (n, K), each row computed from one lesion.
        views: whose maps are wanted.
        at_tap: with respect to the maps at the tap of the third sub-network, on which every readout depends;
            else the last map of the trunk.

    Returns:
        By view, (n_v, K, h, w), not clamped.
    """
    sources = {view: (output.taps if at_tap else output.maps)[view] for view in views}
    wholes = [source.whole for source in sources.values()]
    by_class: list[tuple[Tensor, ...]] = []
    for k in range(scores.shape[1]):
        slopes = torch.autograd.grad(scores[:, k].sum(), wholes, retain_graph=True, allow_unused=True)
        by_class.append(
            tuple(
                torch.zeros_like(whole[:, 0]) if slope is None else _weighted(slope, whole)
                for slope, whole in zip(slopes, wholes, strict=True)
            )
        )
    return {
        view: torch.stack([maps[i][source.rows] for maps in by_class], dim=1).detach()
        for i, (view, source) in enumerate(sources.items())
    }


def _weighted(slope: Tensor, features: Tensor) -> Tensor:
    """Return (n, h, w): channels weighted by their mean slope over cells."""
    return torch.einsum("nd,ndhw->nhw", slope.mean(dim=(2, 3)), features)


def maps_of(
    network: PairNet, output: Output, readout: str, *, weights: Mapping[str, float]
) -> tuple[dict[View, Tensor], str]:
    """Return the maps that explain one readout, by view, and the method: "cam" or "grad-cam".

    Args:
        network: that made `output`.
        output: of a pass whose images require a gradient, if the method is Grad-CAM.
        readout: which `output` has; `both` is explained by the logarithm of its probability.
        weights: by readout, its weight in `both`.

    Returns:
        By view, (n_v, K, h, w): for the readout of a view, its own maps; else those of every view.
    """
    if readout in network.views:
        view: View = readout
        own = cam(network, output, view)
        if own is not None:
            return {view: own.detach()}, "cam"
        return grad_cam(output, output.logits[view], views=(view,), at_tap=False), "grad-cam"
    views = tuple(output.maps)
    scores = output.logits[readout] if readout != "both" else _both(output, weights)
    return grad_cam(output, scores, views=views, at_tap=True), "grad-cam"


def _both(output: Output, weights: Mapping[str, float]) -> Tensor:
    """Return the logarithm of the probabilities of `both`, for lesions that all have the same readouts."""
    total = sum(weights[readout] for readout in output.logits)
    parts = [
        z.double().log_softmax(dim=1) + math.log(weights[readout] / total)
        for readout, z in output.logits.items()
        if weights[readout] > 0
    ]
    return torch.stack(parts).logsumexp(dim=0)
