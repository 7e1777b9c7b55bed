"""Where the cells of a map lie in the network's input, measured from the trunk itself.

A cell is placed by the centre of its receptive field, not by stretching the map over the input: for VGG-GAP
with unpadded last layers at 224 px the 10 x 10 cells have their centres at 39.5 + 16 i px, and stretching
would misplace them by up to 29 px.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dermapair.errors import DermapairError
from dermapair.models import Trunk
from dermapair.types import FloatArray

_POOLS = (nn.MaxPool2d, nn.AvgPool2d)
_GATES = ("Sigmoid", "Hardsigmoid", "HardSigmoid", "HardSigmoidMe", "HardSigmoidJit")
_LENGTHS = (512, 1024, 2048, 4096)
_WIDTH = 64
_TOLERANCE_PX = 0.01


@dataclass(frozen=True)
class Grid:
    """The centres of map cells along either axis, in continuous pixels of the input (pixel i is [i, i + 1)).

    Attributes:
        first: centre of cell 0.
        step: from one cell to the next.
    """

    first: float
    step: float

    def cells(self, pixels: FloatArray) -> FloatArray:
        """Return positions in cells (0 is the centre of cell 0) of positions in pixels of the input."""
        return (np.asarray(pixels) - self.first) / self.step


def measure_grid(trunk: Trunk, *, stage: int, side: int) -> Grid:
    """Return the grid of a stage's map.

    A copy of the trunk is made linear with equal weights; the slope of one cell over the input's rows is then
    a window whose centre is that of the receptive field. Two cells in the middle of a long input, whose
    windows do not touch its ends, give offset and step.

    Args:
        trunk: not changed.
        stage: index into its list of maps.
        side: of the network's input, pixels: padding may depend on its remainder.

    Raises:
        DermapairError: the cells do not lie on an even grid.
    """
    stage %= len(trunk.stages)
    linear = copy.deepcopy(trunk).float().cpu().eval()
    linear.units = linear.units[: linear.stages[stage].end]
    linear.stages = linear.stages[: stage + 1]
    _make_linear(linear)
    stride = linear.stages[stage].stride
    first = second = (0, float("nan"))
    for length in _LENGTHS:
        try:
            first, second = _centres(linear, length=length + side % _WIDTH, width=_WIDTH + side % _WIDTH)
        except RuntimeError:  # a layer that needs a wider or a square input
            continue
        if abs(second[1] - first[1] - stride) < _TOLERANCE_PX:
            return Grid(first[1] - first[0] * stride, float(stride))
    raise DermapairError(
        f"maps of {linear.stages[stage].name!r}: expected cells {stride} pixels apart, measured "
        f"{second[1] - first[1]:.2f}; this backbone's maps cannot be placed on the image, use another"
    )


def _centres(linear: Trunk, *, length: int, width: int) -> list[tuple[int, float]]:
    """Return (row, centre in pixels) of two neighbouring cells in the middle of a tall input."""
    x = torch.full((1, 3, length, width), 2.0, requires_grad=True)  # positive, so that a ReLU lets it through
    last: Tensor = linear(x)[-1].sum(dim=(0, 1, 3))
    result = []
    for row in (len(last) // 2, len(last) // 2 + 1):
        (slope,) = torch.autograd.grad(last[row], x, retain_graph=True)
        weight = slope.abs().sum(dim=(0, 1, 3)).double()
        centre = (weight * (torch.arange(length) + 0.5)).sum() / weight.sum()
        result.append((row, float(centre)))
    return result


class _One(nn.Module):
    """A gate that is open, whatever it sees."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)


def _make_linear(module: nn.Module) -> None:
    """Make every convolution an average with equal weights and drop whatever is not linear, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            nn.init.constant_(child.weight, 1 / child.weight[0].numel())
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, _POOLS):
            setattr(module, name, _average(child))
        elif type(child).__name__ in _GATES:
            setattr(module, name, _One())
        elif _is_dropped(child):
            setattr(module, name, nn.Identity())
        else:
            _make_linear(child)


_KEPT = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Upsample, nn.ZeroPad2d)


def _is_dropped(module: nn.Module) -> bool:
    """Return whether a layer neither moves nor mixes pixels: activation, dropout, norm."""
    leaf = next(module.children(), None) is None
    return (leaf and not isinstance(module, _KEPT)) or isinstance(module, nn.modules.batchnorm._BatchNorm)


def _average(pool: nn.MaxPool2d | nn.AvgPool2d) -> nn.AvgPool2d:
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode)
