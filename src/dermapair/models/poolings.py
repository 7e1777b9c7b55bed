"""Poolings: how the last map of a trunk becomes one vector.

A pooling is a module with `width`, the length of its vector, and `forward(features, saliency) -> (n, width)`.

Letters: n images, D feature channels, h w map cells.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dermapair.models.cam import on_grid

EPS = 1e-6
"""Inside the square root and the norm of bilinear pooling, whose slopes are infinite at 0 without it."""


class Pooling(nn.Module):
    """What a head expects of a pooling.

    Attributes:
        width: length of the vector.
        weighted: whether it needs to be told the saliency of each cell.
    """

    width: int
    weighted: bool = False


class GlobalAverage(Pooling):
    """Global average pooling (Lin et al. 2014): the mean over cells."""

    def __init__(self, channels: int, project: int = 0) -> None:
        super().__init__()
        self.width = channels

    def forward(self, features: Tensor, saliency: Tensor | None = None) -> Tensor:
        """(n, D, h, w) -> (n, D)."""
        return features.mean(dim=(2, 3))


def bilinear(features: Tensor, saliency: Tensor | None = None) -> Tensor:
    """Return B = sum_ij a_ij f_ij f_ij^T (Ge et al. 2017, eq. 6) as one batched product (F * a) F^T.

    Args:
        features: (n, D, h, w).
        saliency: (n, h, w) weights a, not negative, sum 1; None is 1 / (h w), plain bilinear pooling
            (Lin et al. 2015).

    Returns:
        (n, D, D), symmetric and positive semi-definite.
    """
    f = features.flatten(2)
    weighted = f / f.shape[2] if saliency is None else f * saliency.flatten(1)[:, None]
    return torch.bmm(weighted, f.transpose(1, 2))


class Bilinear(Pooling):
    """Bilinear pooling, signed square root, L2 norm (Lin et al. 2015).

    Args:
        channels: D.
        project: channels after a 1 x 1 convolution before the product; 0 is none. D = 512 gives 262,144
            numbers without it.
    """

    def __init__(self, channels: int, project: int = 0) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, project, 1) if project else nn.Identity()
        self.width = (project or channels) ** 2

    def forward(self, features: Tensor, saliency: Tensor | None = None) -> Tensor:
        """(n, D, h, w) -> (n, width)."""
        return self._vector(self.project(features), None)

    def _vector(self, features: Tensor, saliency: Tensor | None) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            product = bilinear(features.float(), saliency).flatten(1)
            rooted = product / (product.abs() + EPS).sqrt()
            return rooted / (rooted.square().sum(dim=1, keepdim=True) + EPS).sqrt()


class CamBilinear(Bilinear):
    """Bilinear pooling weighted by saliency: CAM-BP (Ge et al. 2017, eq. 6)."""

    weighted = True

    def forward(self, features: Tensor, saliency: Tensor | None = None) -> Tensor:
        """(n, D, h, w), (n, h', w') with sum 1 -> (n, width)."""
        assert saliency is not None, "a weighted pooling is given its weights by the network"
        return self._vector(self.project(features), on_grid(saliency, features.shape[2:]))


POOLINGS: dict[str, Callable[[int, int], Pooling]] = {
    "gap": GlobalAverage,
    "bp": Bilinear,
    "cam_bp": CamBilinear,
}
"""Name -> function of the channels D and of those after projection that returns a pooling."""
