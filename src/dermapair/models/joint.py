"""The third sub-network of Triple-Net: the backbone's remaining layers, fed with the maps of both views.

Ge et al. 2017, section 2.1 and 3: "takes network blocks starting from the last Conv layer of VGG-16 and
trained from scratch with batch normalization". One rule covers every reading of where it starts: a copy of
the layers after the tap, its first convolution widened to the channels of both maps (clinical first).
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from dermapair.errors import RecipeError
from dermapair.models.trunk import Stage, Trunk


def build_joint(trunk: Trunk, tap: Stage, *, init: str, batch_norm: bool) -> nn.Sequential:
    """Return the layers after `tap` as a new network for maps of 2 D channels.

    Args:
        trunk: the network to copy from; it is not changed.
        tap: the stage whose maps are concatenated. After the last stage no layer remains: the result is then
            one new 3 x 3 convolution block.
        init: "fresh" (He et al. 2015) or "backbone" (the trunk's weights; the widened convolution starts as
            half its weights for either view, so that equal maps give the trunk's own output).
        batch_norm: add batch norm after each convolution where the backbone has none.

    Raises:
        RecipeError: the first layer after the tap cannot be widened.
    """
    rest = copy.deepcopy(nn.Sequential(*list(trunk.units)[tap.end :]))
    if not _has(rest, nn.Conv2d):
        rest = nn.Sequential(nn.Conv2d(tap.channels, tap.channels, 3, padding=1), nn.ReLU(inplace=True))
        init = "fresh"
    _widen(rest, tap)
    if batch_norm and not _has(rest, nn.BatchNorm2d):
        _add_batch_norm(rest)
    if init == "fresh":
        rest.apply(he_init)
    return rest


def he_init(module: nn.Module) -> None:
    """Initialise one layer for ReLU networks (He et al. 2015); batch norm becomes the identity."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Conv2d) and module.groups > 1:  # each input feeds one group of outputs only
            with torch.no_grad():
                module.weight.mul_(math.sqrt(module.groups))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()


def _has(network: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(module, kind) for module in network.modules())


def _widen(rest: nn.Sequential, tap: Stage) -> None:
    """Make the first convolutions of `rest` take 2 D channels, in place."""
    first = next(i for i, unit in enumerate(rest) if _has(unit, nn.Conv2d))
    x = torch.zeros(2, tap.channels, 16, 16)
    with torch.no_grad():
        for unit in list(rest)[:first]:
            x = unit(x)
    for conv in _fed_by(rest[first], x):
        if conv.groups != 1:
            raise RecipeError(
                f"network.tap {tap.name!r}: the next layer is a grouped convolution; use another"
            )
        half = conv.weight.detach() / 2
        conv.weight = nn.Parameter(torch.cat([half, half], dim=1))
        conv.in_channels *= 2
    try:
        with torch.no_grad():
            copy.deepcopy(rest).eval()(torch.zeros(1, 2 * tap.channels, 16, 16))
    except RuntimeError as error:
        raise RecipeError(
            f"network.tap {tap.name!r}: the next layer cannot take both views: {error}"
        ) from error


_CHANNELWISE = (nn.MaxPool2d, nn.AvgPool2d, nn.ReLU, nn.ReLU6, nn.Identity)


def _fed_by(unit: nn.Module, x: Tensor) -> list[nn.Conv2d]:
    """Return the convolutions of a unit that read its input `x`, as it is or pooled."""
    found: list[nn.Conv2d] = []
    same = [x]

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not any(inputs[0] is tensor for tensor in same):
            return
        if isinstance(module, nn.Conv2d):
            found.append(module)
        elif isinstance(module, _CHANNELWISE):
            same.append(output)

    hooks = [m.register_forward_hook(look) for m in unit.modules()]
    was_training = unit.training
    try:
        with torch.no_grad():
            unit.eval()(x)
    finally:
        unit.train(was_training)
        for hook in hooks:
            hook.remove()
    return found


def _add_batch_norm(network: nn.Module) -> None:
    """Put batch norm after each convolution, in place."""
    for name, child in network.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(network, name, nn.Sequential(child, nn.BatchNorm2d(child.out_channels)))
        else:
            _add_batch_norm(child)
