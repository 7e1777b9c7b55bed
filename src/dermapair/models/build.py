"""The one place that turns a recipe's network section into a network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from dermapair.config import NetworkSettings
from dermapair.errors import RecipeError, unknown_choice
from dermapair.models.cam import CLASS_RULES
from dermapair.models.cam_sources import OwnMaps, TrainedMaps
from dermapair.models.heads import FullyConnectedHead, Head
from dermapair.models.joint import build_joint
from dermapair.models.networks import PairNet, ShareNet, SingleNet, SoleNet, TripleNet
from dermapair.models.poolings import POOLINGS
from dermapair.models.trunk import Trunk, build_trunk, ended


def build_network(settings: NetworkSettings, n_classes: int, *, cam: PairNet | None = None) -> PairNet:
    """Return a network.

    Args:
        settings: the recipe's `network` section; `weights = "none"` gives random weights.
        n_classes: K.
        cam: the trained network whose maps weigh the cells, where `cam_source` names one.

    Raises:
        RecipeError: a name is unknown, or parts do not fit together.
        WeightsError: weights are missing or do not fit.
    """
    if settings.pooling not in POOLINGS:
        raise RecipeError(unknown_choice("network.pooling", settings.pooling, POOLINGS))
    if settings.cam_classes not in CLASS_RULES:
        raise RecipeError(unknown_choice("network.cam_classes", settings.cam_classes, CLASS_RULES))
    _check_pooling(settings)
    network = NETWORKS[settings.kind](settings, n_classes)
    if any(isinstance(m, Head) and m.pooling.weighted for m in network.modules()):
        network.weigh_cells(_cam(settings, network, n_classes, cam), classes=settings.cam_classes)
    return network


def _check_pooling(settings: NetworkSettings) -> None:
    """Refuse a pooling that no head of the network would use."""
    if settings.pooling == "gap":
        return
    if settings.head == "fc4096":
        raise RecipeError(
            f"network.pooling {settings.pooling!r}: the head fc4096 has no such pooling; set network.head = "
            f'"gap"'
        )
    if settings.pool_at == "joint" and settings.kind != "triple":
        raise RecipeError(
            f'network.pool_at "joint": a {settings.kind} network has no third sub-network; take "branches"'
        )


def _cam(settings: NetworkSettings, network: PairNet, n_classes: int, trained: PairNet | None) -> nn.Module:
    """Return what makes the maps: heads of the network's own, or the trained network."""
    if settings.cam_source == "self":
        plain = settings.model_copy(update={"pooling": "gap", "head": "gap"})
        channels = network.trunks[0].stages[-1].channels  # type: ignore[union-attr, index]
        heads = [_head(plain, channels, n_classes) for _ in network.heads]
        return OwnMaps([head for head in heads if isinstance(head, Head)], network.head_of)
    assert trained is not None, "the caller loads the network that cam_source names"
    if trained.cam is not None:
        raise RecipeError(
            f"network.cam_source {settings.cam_source!r}: expected a network with plain poolings, got one "
            f'that takes maps itself; train one with network.pooling = "gap"'
        )
    lacking = [view for view in network.views if view not in trained.views or not trained.classifier(view)]
    if lacking:
        raise RecipeError(
            f"network.cam_source {settings.cam_source!r}: expected a network with global average pooling on "
            f'every view, got none for {" and ".join(lacking)}; train one with network.pooling = "gap"'
        )
    return TrainedMaps(trained)


def _trunk(settings: NetworkSettings) -> Trunk:
    return ended(
        build_trunk(settings.backbone, weights=settings.weights),
        cut=settings.cut,
        extra=settings.extra,
        groups=settings.extra_groups,
        unpadded=settings.unpadded,
    )


def _head(settings: NetworkSettings, channels: int, n_classes: int, *, place: str = "branches") -> nn.Module:
    if settings.head == "fc4096":
        return FullyConnectedHead(channels, n_classes, dropout=settings.dropout)
    pooling = settings.pooling if settings.pool_at in ("all", place) else "gap"
    return Head(POOLINGS[pooling](channels, settings.project), n_classes, dropout=settings.dropout)


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
        joint_head=_head(settings, channels, n_classes, place="joint"),
        tap=trunk.stages.index(tap),
    )


NETWORKS: dict[str, Callable[[NetworkSettings, int], PairNet]] = {
    "single": _single,
    "sole": _sole,
    "share": _share,
    "triple": _triple,
}
