"""Networks on a pair of views: single, Sole-, Share- and Triple-Net (Ge et al. 2017, section 2.1).

They differ in what the two views share, so one module holds the parts and four small classes say which.
Settings become parts in `build`.

Letters: B lesions in a batch, n_v of which have view v, D feature channels, H W image pixels, h w map cells,
K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dermapair.models.cam import cell_weights, normalised, on_grid
from dermapair.models.heads import Head
from dermapair.models.poolings import GlobalAverage
from dermapair.models.trunk import Trunk
from dermapair.types import VIEWS, View


class TrunkMap(NamedTuple):
    """The map of one trunk for all its images, and which of its rows show one view.

    Everything behind it was computed from `whole`, so gradients are taken with respect to that.
    """

    whole: Tensor
    rows: slice

    @property
    def of_view(self) -> Tensor:
        """(n_v, D, h, w)."""
        return self.whole[self.rows]


@dataclass(frozen=True)
class Output:
    """What a network returns for one batch; a lesion without a view has no row there, never a filled one.

    Attributes:
        logits: by readout (`clinical`, `dermoscopic`, `cross`), (n, K).
        rows: by readout, (n,) int64: which lesions of the batch these are, ascending.
        maps: by view, the last map of its trunk.
        taps: by view, the map on which every readout depends: that at the tap, else the last.
        auxiliary: as `cam_<view>`, (n_v, K) logits of the heads that only make saliency, trained beside.
        saliency: by view, (n_v, h, w) with sum 1: what weighted pooling was given.
        pooled: by view, (n_v, C) float32: the means of the maps of `Trunk.inner`; not in training.
    """

    logits: dict[str, Tensor]
    rows: dict[str, Tensor]
    maps: dict[View, TrunkMap]
    taps: dict[View, TrunkMap]
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    saliency: dict[View, Tensor] = field(default_factory=dict)
    pooled: dict[View, Tensor] = field(default_factory=dict)

    @property
    def features(self) -> dict[View, Tensor]:
        """By view, the last map of its trunk, (n_v, D, h, w)."""
        return {view: m.of_view for view, m in self.maps.items()}


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
        self.cam: nn.Module | None = None
        self.cam_classes = ""

    def weigh_cells(self, cam: nn.Module, *, classes: str) -> None:
        """Take the saliency of weighted poolings from class activation maps (Ge et al. 2017, section 2.2).

        Args:
            cam: makes the maps (`cam.OwnMaps` or `cam.TrainedMaps`).
            classes: how they become saliency, a key of `cam.CLASS_RULES`.
        """
        self.cam = cam
        self.cam_classes = classes

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
        taken: dict[View, Tensor] = {view: images[view] for view in self.views if view in images}
        stages = self._stages(taken)
        last = {view: stages[view][-1] for view in stages}
        features = {view: m.of_view for view, m in last.items()}
        saliency, auxiliary = self._saliency(taken, rows, features)
        logits: dict[str, Tensor] = {
            view: self.heads[self.head_of[view]](f, saliency.get(view)) for view, f in features.items()
        }
        present: dict[str, Tensor] = {view: rows[view] for view in stages}
        taps = last if self.joint is None else {view: stages[view][self.tap] for view in stages}
        if self.joint is not None and self.joint_head is not None and len(taps) == len(VIEWS):
            common, chosen = _paired(present)
            if len(common):
                pairs = [taps[view].of_view[chosen[view]] for view in VIEWS]
                seen = [saliency[view][chosen[view]] for view in VIEWS] if saliency else None
                logits["cross"] = self._cross(pairs, seen)
                present["cross"] = common
        pooled = {} if self.training else {view: _pooled(maps) for view, maps in stages.items()}
        return Output(logits, present, last, taps, auxiliary, saliency, pooled)

    def _cross(self, pairs: Sequence[Tensor], saliency: Sequence[Tensor] | None) -> Tensor:
        """Return the (n, K) logits of the third sub-network; its saliency is the mean of both views'."""
        assert self.joint is not None and self.joint_head is not None
        joint = self.joint(torch.cat(list(pairs), dim=1))
        mean = None
        if saliency is not None:
            first, second = saliency
            mean = normalised(first + on_grid(second, first.shape[1:]))
        logits: Tensor = self.joint_head(joint, mean)
        return logits

    def _saliency(
        self, images: Mapping[View, Tensor], rows: Mapping[str, Tensor], features: Mapping[View, Tensor]
    ) -> tuple[dict[View, Tensor], dict[str, Tensor]]:
        """Return the saliency by view, and the logits that are to be trained for it."""
        if self.cam is None:
            return {}, {}
        maps, logits, trained = self.cam(images, rows, features)
        saliency = {view: cell_weights(m, logits[view], classes=self.cam_classes) for view, m in maps.items()}
        return saliency, {f"cam_{view}": z for view, z in logits.items()} if trained else {}

    def classifier(self, view: View) -> nn.Linear | None:
        """Return the linear layer of a view's readout if it stands behind global average pooling."""
        head = self.heads[self.head_of[view]]
        if isinstance(head, Head) and isinstance(head.pooling, GlobalAverage):
            return head.classifier
        return None

    def _stages(self, images: Mapping[View, Tensor]) -> dict[View, list[TrunkMap]]:
        """Return the maps of every stage by view, one pass for each trunk."""
        maps: dict[View, list[TrunkMap]] = {}
        for index, trunk in enumerate(self.trunks):
            views = [view for view in images if self.trunk_of[view] == index]
            if not views:
                continue
            batch = torch.cat([images[view] for view in views]) if len(views) > 1 else images[views[0]]
            stages, start = trunk(batch), 0
            for view in views:
                rows = slice(start, start := start + len(images[view]))
                maps[view] = [TrunkMap(stage, rows) for stage in stages]
        return maps


def _pooled(maps: Sequence[TrunkMap]) -> Tensor:
    """Return (n_v, C): the means over the cells of the maps before the last, of the only one if alone."""
    return torch.cat([m.of_view.float().mean(dim=(2, 3)) for m in maps[:-1] or maps], dim=1)


def _paired(rows: Mapping[str, Tensor]) -> tuple[Tensor, dict[View, Tensor | slice]]:
    """Return the lesions that have both views, and by view which of its images are theirs."""
    clinical, dermoscopic = (rows[view] for view in VIEWS)
    if torch.equal(clinical, dermoscopic):
        return clinical, dict.fromkeys(VIEWS, slice(None))
    theirs = torch.isin(clinical, dermoscopic)
    return clinical[theirs], {"clinical": theirs, "dermoscopic": torch.isin(dermoscopic, clinical)}


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
