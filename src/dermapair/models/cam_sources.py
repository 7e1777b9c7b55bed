"""Where the class activation maps of weighted pooling come from: the network itself, or another one.

Ge et al. 2017, section 2.2 and 3: the paper trains a GoogLeNet "individually" for them.

Letters: n images, D feature channels, h w map cells, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from dermapair.models.cam import class_maps
from dermapair.models.heads import Head
from dermapair.models.networks import PairNet
from dermapair.types import View

Maps = dict[View, Tensor]
"""By view, (n, K, h, w) class activation maps."""


class OwnMaps(nn.Module):
    """The network's own maps: classifiers behind global average pooling, trained beside its heads.

    Args:
        heads: with global average pooling, one or two.
        head_of: by view, which of them.
    """

    def __init__(self, heads: Sequence[Head], head_of: Mapping[View, int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.head_of = dict(head_of)

    def forward(
        self, images: Mapping[View, Tensor], rows: Mapping[str, Tensor], features: Mapping[View, Tensor]
    ) -> tuple[Maps, dict[View, Tensor], bool]:
        """Return maps and logits by view, and that these logits are to be trained."""
        logits, maps = {}, {}
        for view, f in features.items():
            head = self.heads[self.head_of[view]]
            assert isinstance(head, Head)
            logits[view] = head(f)
            maps[view] = class_maps(f.detach(), head.classifier.weight.detach())
        return maps, logits, True


class TrainedMaps(nn.Module):
    """The maps of another network that was trained before; it is frozen and stays in eval mode.

    Args:
        network: its heads are global average pooling and a linear layer; takes every view.
    """

    def __init__(self, network: PairNet) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(
        self, images: Mapping[View, Tensor], rows: Mapping[str, Tensor], features: Mapping[View, Tensor]
    ) -> tuple[Maps, dict[View, Tensor], bool]:
        """Return maps and logits by view, and that these logits are not to be trained."""
        with torch.no_grad():
            output = self.network(images, rows)
        maps = {}
        for view, f in output.features.items():
            linear = self.network.classifier(view)
            assert linear is not None, "the builder refuses other networks"
            maps[view] = class_maps(f, linear.weight)
        return maps, {view: output.logits[view] for view in maps}, False
