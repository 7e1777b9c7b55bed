"""Poolings: how the last map of a trunk becomes one vector.

A pooling is a module with `width`, the length of its vector, and `forward(features) -> (B, width)`.

Letters: B images, D feature channels, h w map cells.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Pooling(nn.Module):
    """What a head expects of a pooling; `width` is the length of the vector."""

    width: int


class GlobalAverage(Pooling):
    """Global average pooling (Lin et al. 2014): the mean over cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.width = channels

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D)."""
        return features.mean(dim=(2, 3))


POOLINGS: dict[str, Callable[[int], Pooling]] = {"gap": GlobalAverage}
"""Name -> function of the channels D that returns a pooling."""
