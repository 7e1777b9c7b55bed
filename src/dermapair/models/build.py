"""The one place that turns a recipe's network section into a network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from dermapair.config import NetworkSettings
from dermapair.errors import RecipeError, unknown_choice
from dermapair.models.joint import build_joint
from dermapair.models.networks import (
    FullyConnectedHead,
    Head,
    PairNet,
    ShareNet,
    SingleNet,
    SoleNet,
    TripleNet,
)
from dermapair.models.poolings import POOLINGS
from dermapair.models.trunk import Trunk, build_trunk


def build_network(settings: NetworkSettings, n_classes: int) -> PairNet:
    """Return a network.

    Args:
        settings: the recipe's `network` section; `weights = "none"` gives random weights.
        n_classes: K.

    Raises:
        RecipeError: a name is unknown, or parts do not fit together.
        WeightsError: weights are missing or do not fit.
    """
    if settings.pooling not in POOLINGS:
        raise RecipeError(unknown_choice("network.pooling", settings.pooling, POOLINGS))
    return NETWORKS[settings.kind](settings, n_classes)


def _trunk(settings: NetworkSettings) -> Trunk:
    return build_trunk(settings.backbone, weights=settings.weights)


def _head(settings: NetworkSettings, channels: int, n_classes: int) -> nn.Module:
    if settings.head == "fc4096":
        return FullyConnectedHead(channels, n_classes, dropout=settings.dropout)
    return Head(POOLINGS[settings.pooling](channels), n_classes, dropout=settings.dropout)


def _shared_heads(settings: NetworkSettings, channels: int, n_classes: int) -> list[nn.Module]:
    count = 1 if settings.share == "all" else 2
    return [_head(settings, channels, n_classes) for _ in range(count)]


def _single(settings: NetworkSettings, n_classes: int) -> PairNet:
    trunk = _trunk(settings)
    return SingleNet(view=settings.view, trunk=trunk, head=_head(settings, trunk.channels, n_classes))


def _sole(settings: NetworkSettings, n_classes: int) -> PairNet:
    trunks = [_trunk(settings) for _ in range(2)]
    return SoleNet(trunks=trunks, heads=[_head(settings, t.channels, n_classes) for t in trunks])


def _share(settings: NetworkSettings, n_classes: int) -> PairNet:
    trunk = _trunk(settings)
    return ShareNet(trunk=trunk, heads=_shared_heads(settings, trunk.channels, n_classes))


def _triple(settings: NetworkSettings, n_classes: int) -> PairNet:
    trunk = _trunk(settings)
    heads = _shared_heads(settings, trunk.channels, n_classes)
    tap = trunk.stage(settings.tap)
    joint = build_joint(trunk, tap, init=settings.joint_init, batch_norm=settings.joint_batch_norm)
    channels = trunk.channels if tap.end < trunk.stages[-1].end else tap.channels
    return TripleNet(
        trunk=trunk,
        heads=heads,
        joint=joint,
        joint_head=_head(settings, channels, n_classes),
        tap=trunk.stages.index(tap),
    )


NETWORKS: dict[str, Callable[[NetworkSettings, int], PairNet]] = {
    "single": _single,
    "sole": _sole,
    "share": _share,
    "triple": _triple,
}
