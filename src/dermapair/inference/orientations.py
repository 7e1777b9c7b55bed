"""The cuts and orientations over which a prediction averages, and with it the maps that explain it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from dermapair.augment import five_corners
from dermapair.types import PixelMap


class Orientation(NamedTuple):
    """How the network's input is cut from what is shown, and turned.

    Attributes:
        mirror: left and right change places, behind the cut.
        turns: quarter turns counter-clockwise, as `numpy.rot90`.
        corner: (x0, y0) of the cut, pixels.
        side: of the cut, pixels; 0: there is none.
    """

    mirror: bool
    turns: int
    corner: tuple[int, int] = (0, 0)
    side: int = 0

    def turn(self, x: Tensor) -> Tensor:
        """Return a (B, 3, H, W) tensor cut and turned, channels last in memory."""
        if self.side:
            x0, y0 = self.corner
            x = x[..., y0 : y0 + self.side, x0 : x0 + self.side]
        turned = torch.rot90(x.flip(3) if self.mirror else x, self.turns, (2, 3))
        return turned.contiguous(memory_format=torch.channels_last)

    def follow(self, placed: PixelMap) -> PixelMap:
        """Return where the turned input lies."""
        if self.side:
            placed = placed.crop(*self.corner, (self.side, self.side))
        return (placed.flip() if self.mirror else placed).rotate90(self.turns)


@cache
def orientations(views: int, *, shown: int, side: int) -> tuple[Orientation, ...]:
    """Return what is averaged; the first is always the centre as it is.

    Args:
        views: `predict.views`: 1 as is, 2 mirrored too, 4 quarter turns, 8 both.
        shown: side of what is shown, pixels; more than `side` are the five cuts of Jia & Shen 2017, section
            3.3, with views = 2 the ten views of Krizhevsky et al. 2012.
        side: of the network's input.
    """
    mirrors = (False, True) if views in (2, 8) else (False,)
    turns = range(4 if views >= 4 else 1)
    cuts = [(corner, side) for corner in five_corners(shown - side)] if shown > side else [((0, 0), 0)]
    return tuple(Orientation(m, k, corner, size) for corner, size in cuts for m in mirrors for k in turns)
