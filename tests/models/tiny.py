"""Networks small enough for tests, made by hand from the same parts as the real ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dermapair.models import PairNet, ShareNet, SingleNet, SoleNet, TripleNet, Trunk
from dermapair.models.heads import Head
from dermapair.models.joint import build_joint
from dermapair.models.poolings import POOLINGS
from dermapair.models.trunk import Stage
from dermapair.types import VIEWS

SIDE = 32
K = 3


def tiny_trunk(*, batch_norm: bool = False, seed: int = 0) -> Trunk:
    """Three stages of one convolution each: 6, 8 and 8 channels at strides 2, 4 and 4."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        units = [_block(3, 6, 2, batch_norm), _block(6, 8, 2, batch_norm), _block(8, 8, 1, batch_norm)]
    stages = [Stage("stage1", 1, 6, 2), Stage("stage2", 2, 8, 4), Stage("stage3", 3, 8, 4)]
    return Trunk(units, stages)


def _block(d_in: int, d_out: int, stride: int, batch_norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(d_in, d_out, 3, stride=stride, padding=1)
    return nn.Sequential(conv, *([nn.BatchNorm2d(d_out)] if batch_norm else []), nn.ReLU(inplace=True))


def tiny_head(*, seed: int = 0, dropout: float = 0.0, n_classes: int = K) -> Head:
    """A head whose weights are large enough for its probabilities to differ."""
    with torch.random.fork_rng():
        torch.manual_seed(100 + seed)
        head = Head(POOLINGS["gap"](8, 0), n_classes, dropout=dropout)
        nn.init.normal_(head.classifier.weight)
        nn.init.normal_(head.classifier.bias)
    return head


def tiny_network(kind: str, *, batch_norm: bool = False, tap: str = "stage-2", n_classes: int = K) -> PairNet:
    """Any kind of network, with the same trunk and the same first head."""
    trunk, head = tiny_trunk(batch_norm=batch_norm), tiny_head(n_classes=n_classes)
    if kind == "single":
        return SingleNet(view="dermoscopic", trunk=trunk, head=head)
    if kind == "sole":
        heads = [head, tiny_head(seed=1, n_classes=n_classes)]
        return SoleNet(trunks=[trunk, tiny_trunk(batch_norm=batch_norm, seed=1)], heads=heads)
    if kind == "share":
        return ShareNet(trunk=trunk, heads=[head])
    stage = trunk.stage(tap)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        joint = build_joint(trunk, stage, init="fresh", batch_norm=batch_norm)
    return TripleNet(
        trunk=trunk,
        heads=[head],
        joint=joint,
        joint_head=tiny_head(seed=2, n_classes=n_classes),
        tap=trunk.stages.index(stage),
    )


def pictures(n: int, *, seed: int = 0, side: int = SIDE) -> Tensor:
    """(n, 3, side, side) in [0, 1]."""
    return torch.rand((n, 3, side, side), generator=torch.Generator().manual_seed(seed))


def pair_batch(
    clinical: Sequence[int], dermoscopic: Sequence[int], *, seed: int = 0, side: int = SIDE
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Images and rows of a batch; the pixels of a lesion's view depend on its number alone."""
    images, rows = {}, {}
    for stream, (view, of) in enumerate(zip(VIEWS, (clinical, dermoscopic), strict=True)):
        if of:
            images[view] = torch.cat([pictures(1, seed=seed + 1000 * stream + i, side=side) for i in of])
            rows[view] = torch.tensor(of)
    return images, rows
