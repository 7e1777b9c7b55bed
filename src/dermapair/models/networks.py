"""Networks on a pair of views: single, Sole-, Share- and Triple-Net (Ge et al. 2017, section 2.1).

They differ in what the two views share, so one module holds the parts and four small classes say which.
Settings become parts in `build`.

Letters: B lesions in a batch, n_v of which have view v, D feature channels, H W image pixels, h w map cells,
K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dermapair.models.joint import he_init
from dermapair.models.poolings import Pooling
from dermapair.models.trunk import Trunk
from dermapair.types import VIEWS, View


@dataclass(frozen=True)
class Output:
    """What a network returns for one batch; a lesion without a view has no row there, never a filled one.

    Attributes:
        logits: by readout (`clinical`, `dermoscopic`, `cross`), (n, K).
        rows: by readout, (n,) int64: which lesions of the batch these are, ascending.
        features: by view, the last map of its trunk, (n_v, D, h, w).
    """

    logits: dict[str, Tensor]
    rows: dict[str, Tensor]
    features: dict[str, Tensor]


class Head(nn.Module):
    """Pooling, dropout and a linear classifier: (B, D, h, w) -> (B, K)."""

    def __init__(self, pooling: Pooling, n_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(pooling.width, n_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, K) logits."""
        logits: Tensor = self.classifier(self.dropout(self.pooling(features)))
        return logits


class FullyConnectedHead(nn.Module):
    """VGG-16's own head: maximum pooling, 7 x 7 cells, two hidden layers of 4096 units, freshly drawn."""

    def __init__(self, channels: int, n_classes: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.MaxPool2d(2, ceil_mode=True),
            nn.AdaptiveAvgPool2d(7),
            nn.Flatten(),
            nn.Linear(49 * channels, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.layers.apply(he_init)
        self.classifier = nn.Linear(4096, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, K) logits."""
        logits: Tensor = self.classifier(self.layers(features))
        return logits


class PairNet(nn.Module):
    """Trunks and heads by view, and perhaps a third sub-network.

    Args:
        trunks: one or two trunks; both views of a shared one go through it as one batch, which is right for
            the statistics of batch norm and faster than two passes.
        heads: one or two classifiers.
        trunk_of, head_of: by view, which of them; the views named are the ones the network takes.
        joint: layers on the concatenated maps (clinical, dermoscopic) of stage `tap`, or None.
        joint_head: classifier of the third sub-network.
        tap: index into the trunk's list of maps.
    """

    def __init__(
        self,
        *,
        trunks: Sequence[Trunk],
        heads: Sequence[nn.Module],
        trunk_of: Mapping[View, int],
        head_of: Mapping[View, int],
        joint: nn.Module | None = None,
        joint_head: nn.Module | None = None,
        tap: int = -1,
    ) -> None:
        super().__init__()
        self.trunks = nn.ModuleList(trunks)
        self.heads = nn.ModuleList(heads)
        self.trunk_of = dict(trunk_of)
        self.head_of = dict(head_of)
        self.joint = joint
        self.joint_head = joint_head
        self.tap = tap

    @property
    def views(self) -> tuple[View, ...]:
        """The views that the network takes."""
        return tuple(view for view in VIEWS if view in self.trunk_of)

    @property
    def readouts(self) -> tuple[str, ...]:
        """The readouts that have logits."""
        return (*self.views, "cross") if self.joint is not None else self.views

    def forward(self, images: Mapping[str, Tensor], rows: Mapping[str, Tensor]) -> Output:
        """Classify a batch of lesions, any of which may lack a view.

        Args:
            images: by view, (n_v, 3, H, W) float in [0, 1], RGB; a view that no lesion has is left out.
            rows: by view, (n_v,) int64, ascending: the lesions of the batch that have it.
        """
        maps = self._maps({view: images[view] for view in self.views if view in images})
        logits: dict[str, Tensor] = {view: self.heads[self.head_of[view]](maps[view][-1]) for view in maps}
        present: dict[str, Tensor] = {view: rows[view] for view in maps}
        if self.joint is not None and self.joint_head is not None and len(maps) == 2:
            common, pairs = _paired(present, {view: maps[view][self.tap] for view in maps})
            if len(common):
                logits["cross"] = self.joint_head(self.joint(torch.cat(pairs, dim=1)))
                present["cross"] = common
        return Output(logits, present, {view: maps[view][-1] for view in maps})

    def _maps(self, images: Mapping[View, Tensor]) -> dict[View, list[Tensor]]:
        """Return the maps of every stage by view, one pass for each trunk."""
        maps: dict[View, list[Tensor]] = {}
        for index, trunk in enumerate(self.trunks):
            views = [view for view in images if self.trunk_of[view] == index]
            if not views:
                continue
            sizes = [len(images[view]) for view in views]
            batch = torch.cat([images[view] for view in views]) if len(views) > 1 else images[views[0]]
            split = [stage.split(sizes) for stage in trunk(batch)]
            maps |= {view: [stage[i] for stage in split] for i, view in enumerate(views)}
        return maps


def _paired(rows: Mapping[str, Tensor], maps: Mapping[View, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return the lesions that have both views, and the maps of those, clinical first."""
    clinical, dermoscopic = (rows[view] for view in VIEWS)
    if torch.equal(clinical, dermoscopic):
        return clinical, [maps[view] for view in VIEWS]
    keep = {"clinical": torch.isin(clinical, dermoscopic), "dermoscopic": torch.isin(dermoscopic, clinical)}
    return clinical[keep["clinical"]], [maps[view][keep[view]] for view in VIEWS]


class SingleNet(PairNet):
    """A network on one view."""

    def __init__(self, *, view: View, trunk: Trunk, head: nn.Module) -> None:
        super().__init__(trunks=[trunk], heads=[head], trunk_of={view: 0}, head_of={view: 0})


class SoleNet(PairNet):
    """Two networks without a shared parameter (eq. 1 and 2); parts are clinical, dermoscopic."""

    def __init__(self, *, trunks: Sequence[Trunk], heads: Sequence[nn.Module]) -> None:
        own = {view: i for i, view in enumerate(VIEWS)}
        super().__init__(trunks=trunks, heads=heads, trunk_of=own, head_of=own)


class ShareNet(PairNet):
    """One network that sees both views (eq. 3); with two heads, only the trunk is shared."""

    def __init__(self, *, trunk: Trunk, heads: Sequence[nn.Module]) -> None:
        super().__init__(trunks=[trunk], heads=heads, trunk_of=_all(0), head_of=_heads_of(heads))


class TripleNet(PairNet):
    """Share-Net and a third sub-network on the maps of both views (eq. 4 and 5)."""

    def __init__(
        self, *, trunk: Trunk, heads: Sequence[nn.Module], joint: nn.Module, joint_head: nn.Module, tap: int
    ) -> None:
        super().__init__(
            trunks=[trunk],
            heads=heads,
            trunk_of=_all(0),
            head_of=_heads_of(heads),
            joint=joint,
            joint_head=joint_head,
            tap=tap,
        )


def _all(index: int) -> dict[View, int]:
    return dict.fromkeys(VIEWS, index)


def _heads_of(heads: Sequence[nn.Module]) -> dict[View, int]:
    """One head serves both views; of two, each view has its own."""
    return {view: min(i, len(heads) - 1) for i, view in enumerate(VIEWS)}
