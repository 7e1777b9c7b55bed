"""The orientations over which a prediction averages, and with it the maps that explain it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dermapair.types import PixelMap


class Orientation(NamedTuple):
    """How the network's input is turned.

    Attributes:
        mirror: left and right change places first.
        turns: quarter turns counter-clockwise, as `numpy.rot90`.
    """

    mirror: bool
    turns: int

    def turn(self, x: Tensor) -> Tensor:
        """Return a (B, 3, H, W) tensor turned, channels last in memory."""
        turned = torch.rot90(x.flip(3) if self.mirror else x, self.turns, (2, 3))
        return turned.contiguous(memory_format=torch.channels_last)

    def follow(self, placed: PixelMap) -> PixelMap:
        """Return where the turned input lies."""
        return (placed.flip() if self.mirror else placed).rotate90(self.turns)


def _orientations(views: int) -> tuple[Orientation, ...]:
    mirrors = (False, True) if views in (2, 8) else (False,)
    return tuple(Orientation(mirror, k) for mirror in mirrors for k in range(4 if views >= 4 else 1))


ORIENTATIONS = {views: _orientations(views) for views in (1, 2, 4, 8)}
"""predict.views -> as is; mirrored too; quarter turns; both. The first is always the image as it is."""
