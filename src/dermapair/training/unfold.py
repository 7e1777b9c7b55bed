"""Batch norm that was folded into its convolutions, made trainable again.

Some published weights have batch norm folded away: statistics 0 and 1, scale 1. In training mode such a layer
would normalise what it is meant to let through, and destroy the pretrained function. Here each layer gets the
statistics of real batches as its own and undoes them in its scale and shift, so that the function in eval
mode stays as it was and training mode agrees with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from dermapair.data.lesions import Batch
from dermapair.inference.forward import evaluating, to_tensor
from dermapair.models import PairNet


def unfold_batch_norm(
    network: PairNet, batches: Iterable[Batch], device: torch.device, *, parts: Sequence[nn.Module]
) -> int:
    """Give folded batch norm layers the statistics of their inputs, in place.

    Args:
        network: runs on the batches.
        parts: those of its modules that hold pretrained weights; their layers whose running mean is 0 and
            variance 1 count as folded. New layers look the same and must not be unfolded.
        batches: real samples; a few hundred images are enough.
        device: of the network.

    Returns:
        How many layers were changed.
    """
    norms = (m for part in parts for m in part.modules() if isinstance(m, nn.BatchNorm2d))
    folded = [norm for norm in norms if _is_folded(norm)]
    sums: dict[nn.Module, tuple[Tensor, Tensor, int]] = {}

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].double()
        total, squares, count = sums.get(layer, (torch.zeros(()), torch.zeros(()), 0))
        cells = x.numel() // x.shape[1]
        sums[layer] = (total + x.sum((0, 2, 3)), squares + x.square().sum((0, 2, 3)), count + cells)

    hooks = [layer.register_forward_pre_hook(look) for layer in folded]
    try:
        with evaluating(network), torch.no_grad():
            for batch in batches:
                images = {view: to_tensor(x, device) for view, x in batch.images.items()}
                network(images, {view: torch.from_numpy(r).to(device) for view, r in batch.rows.items()})
    finally:
        for hook in hooks:
            hook.remove()
    for layer in folded:
        if layer in sums:
            _take_statistics(layer, *sums[layer])
    return len(sums)


def _is_folded(layer: nn.BatchNorm2d) -> bool:
    """Return whether a layer's statistics are those of one that does nothing: mean 0, variance 1 less eps."""
    mean, variance = layer.running_mean, layer.running_var
    if mean is None or variance is None:
        return False
    return bool((mean == 0).all()) and torch.allclose(variance, torch.ones_like(variance), atol=2e-3)


def _take_statistics(layer: nn.BatchNorm2d, total: Tensor, squares: Tensor, count: int) -> None:
    """Set the statistics, and the scale and shift that undo them."""
    mean = total / count
    variance = (squares / count - mean.square()).clamp_min(1e-8)
    assert layer.running_mean is not None and layer.running_var is not None
    before = layer.weight.detach().double() / (layer.running_var.double() + layer.eps).sqrt()
    with torch.no_grad():
        layer.bias.add_((before * mean).to(layer.bias.dtype))
        layer.weight.copy_(before * (variance + layer.eps).sqrt())
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
