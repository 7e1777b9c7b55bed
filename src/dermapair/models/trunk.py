"""Backbones as trunks: a row of units whose stages can be tapped.

Any convolutional backbone of timm by name, and torchvision's SqueezeNet 1.1 and GoogLeNet. Weights come from
`weights`; what is built on top is in `networks`.

Letters: B images, D feature channels, H W image pixels, h w map cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import timm
import torch
import torchvision
from torch import Tensor, nn

from dermapair.errors import RecipeError, unknown_choice
from dermapair.models.weights import create_timm, feature_info, load_timm, load_torchvision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Stage:
    """One tapped point of a trunk.

    Attributes:
        name: what a recipe calls it.
        end: how many units of the trunk come before it.
        channels: D of its map.
        stride: input pixels for one map cell.
    """

    name: str
    end: int
    channels: int
    stride: int


class Trunk(nn.Module):
    """A backbone without its classifier.

    Args:
        units: the layers in the order in which they run.
        stages: the tapped points, fine to coarse; the last one is the trunk's output.
        mean, std: of the three channels, for images in [0, 1]; they travel with the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        units: Sequence[nn.Module],
        stages: Sequence[Stage],
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.units = nn.ModuleList(units[: stages[-1].end])
        self.stages = tuple(stages)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def channels(self) -> int:
        """D of the last map."""
        return self.stages[-1].channels

    @property
    def inner(self) -> tuple[Stage, ...]:
        """The stages before the last; the only one where there is no other."""
        return self.stages[:-1] or self.stages

    def stage(self, name: str) -> Stage:
        """Return a stage by its name, or by `stage-1` (the last), `stage-2` and so on.

        Raises:
            RecipeError: there is no such stage.
        """
        named = {stage.name: stage for stage in self.stages}
        whole = [s for s in self.stages if s.name.startswith("stage")]
        if self.stages[-1] not in whole:
            whole.append(self.stages[-1])
        named |= {f"stage-{i}": stage for i, stage in enumerate(reversed(whole), start=1)}
        if name not in named:
            raise RecipeError(unknown_choice("stage of this backbone", name, named))
        return named[name]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the map of every stage, fine to coarse.

        Args:
            images: (B, 3, H, W) float in [0, 1], RGB.

        Returns:
            One (B, D, h, w) tensor for each of `stages`.
        """
        x = (images - self.mean) / self.std
        ends = {stage.end for stage in self.stages}
        maps = []
        for done, unit in enumerate(self.units, start=1):
            x = unit(x)
            if done in ends:
                maps.append(x)
        return maps


def ended(trunk: Trunk, *, cut: str = "", extra: int = 0, groups: int = 1, unpadded: int = 0) -> Trunk:
    """Return a trunk that ends after a stage, with one new convolution behind it (Zhou et al. 2016).

    VGG-16 with `extra=1024, unpadded=2` is the VGG-GAP of Jia & Shen 2017, section 3.1: 10 x 10 cells at
    224 px.

    Args:
        trunk: its units are taken over.
        cut: a stage; "" is the last one.
        extra: channels of a new 3 x 3 convolution with ReLU, N(0, 0.01); 0 is none.
        groups: of that convolution.
        unpadded: so many of the last convolutions lose their padding.

    Raises:
        RecipeError: there is no such stage, the groups do not divide the channels, or the trunk does not end
            in so many padded convolutions.
    """
    last = trunk.stage(cut) if cut else trunk.stages[-1]
    units = list(trunk.units)[: last.end]
    stages = list(trunk.stages[: trunk.stages.index(last) + 1])
    if extra:
        if last.channels % groups or extra % groups:
            raise RecipeError(
                f"network.extra_groups {groups}: expected a divisor of {last.channels} and {extra} channels"
            )
        conv = nn.Conv2d(last.channels, extra, 3, padding=1, groups=groups)
        nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        units.append(nn.Sequential(conv, nn.ReLU(inplace=True)))
        stages.append(Stage("extra", len(units), extra, last.stride))
    for conv in _last_convolutions(units, unpadded):
        conv.padding = (0, 0)
    return Trunk(units, stages, mean=trunk.mean.flatten().tolist(), std=trunk.std.flatten().tolist())


def _last_convolutions(units: Sequence[nn.Module], count: int) -> list[nn.Conv2d]:
    """Return the last `count` padded convolutions of a trunk that runs through them in a row."""
    layers = [layer for unit in units for layer in (unit if isinstance(unit, nn.Sequential) else (unit,))]
    found: list[nn.Conv2d] = []
    for layer in reversed(layers):
        if isinstance(layer, nn.Conv2d) and layer.padding not in ((0, 0), 0):
            found.append(layer)
        elif next(layer.children(), None) is not None:  # a block, inside which an unpadded map would not fit
            break
    if len(found) < count:
        raise RecipeError(
            f"network.unpadded {count}: expected a trunk that ends in so many padded convolutions, "
            f"got one that ends in {len(found)}; lower it, or add one with network.extra"
        )
    return found[:count]


def squeezenet1_1(weights: str) -> Trunk:
    """Torchvision's SqueezeNet 1.1 (Iandola et al. 2016); file holds at least `features.*`."""
    net = torchvision.models.squeezenet1_1()
    load_torchvision(net, "squeezenet1_1", weights, optional="classifier.")
    stages = [Stage("stage1", 2, 64, 2), Stage("stage2", 5, 128, 4), Stage("stage3", 8, 256, 8)]
    return Trunk(list(net.features), [*stages, Stage("stage4", 13, 512, 16)])


def googlenet(weights: str) -> Trunk:
    """Torchvision's GoogLeNet (Szegedy et al. 2015); its weights take images scaled to [-1, 1]."""
    net = torchvision.models.googlenet(aux_logits=False, init_weights=True)
    load_torchvision(net, "googlenet", weights, optional="aux")
    units = list(net.children())[:-3]  # without average pooling, dropout and classifier
    stages = [
        Stage("stage1", 2, 64, 4),
        Stage("stage2", 5, 192, 8),
        Stage("stage3", 7, 480, 8),
        Stage("inception4e", 13, 832, 16),
        Stage("stage4", 14, 832, 32),
        Stage("stage5", 16, 1024, 32),
    ]
    return Trunk(units, stages, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def vgg16(weights: str) -> Trunk:
    """VGG-16 without pool5, with the taps that Ge et al. 2017 may have meant (`stage4` is after pool4)."""
    units = list(load_timm("vgg16", weights).values())
    stages = [Stage(f"stage{i}", end, d, 2**i) for i, (end, d) in enumerate(_VGG16_POOLS, start=1)]
    return Trunk(units, [*stages, Stage("conv5_2", 28, 512, 16), Stage("conv5_3", 30, 512, 16)])


def mobilenetv2_100(weights: str) -> Trunk:
    """Timm's MobileNetV2 (Sandler et al. 2018) with its last 1 x 1 convolution to 1280 channels."""
    net = create_timm("mobilenetv2_100", weights, whole=True)
    units = [net.conv_stem, net.bn1, *net.blocks, net.conv_head, net.bn2]
    stages = [Stage(f"stage{i}", end, d, 2**i) for i, (end, d) in enumerate(_MOBILENETV2_ENDS, start=1)]
    return Trunk(units, stages)


_MOBILENETV2_ENDS = ((3, 16), (4, 24), (5, 32), (7, 96), (11, 1280))
_VGG16_POOLS = ((5, 64), (10, 128), (17, 256), (24, 512))

BACKBONES: dict[str, Callable[[str], Trunk]] = {
    "mobilenetv2_100": mobilenetv2_100,
    "vgg16": vgg16,
    "squeezenet1_1": squeezenet1_1,
    "googlenet": googlenet,
}
"""Backbones that need a hand; every other name is asked of timm."""


def build_trunk(name: str, *, weights: str = "auto") -> Trunk:
    """Return the trunk of a backbone.

    Args:
        name: a key of BACKBONES, or the name of a convolutional network of timm.
        weights: "auto", "none" or the path of a safetensors file.

    Raises:
        RecipeError: the backbone is unknown or not a row of convolutional stages.
        WeightsError: the weights are missing or do not fit.
    """
    if name in BACKBONES:
        return BACKBONES[name](weights)
    if not timm.is_model(name):
        known = f"{', '.join(sorted(BACKBONES))} and the convolutional networks of timm.list_models()"
        raise RecipeError(f"unknown backbone {name!r}; known: {known}")
    return _timm_trunk(name, load_timm(name, weights))


def _timm_trunk(name: str, units: Mapping[str, nn.Module]) -> Trunk:
    """Take a timm backbone apart, checking that its units in a row do what timm does."""
    names = list(units)
    net = timm.create_model(name, features_only=True)
    info = feature_info(net)
    ends = [_end_of(names, entry["module"]) for entry in info]
    stages = [
        Stage(f"stage{i}", end, entry["num_chs"], entry["reduction"])
        for i, (end, entry) in enumerate(zip(ends, info, strict=True), start=1)
        if end
    ]
    if len(stages) != len(info):
        raise RecipeError(f"backbone {name!r} is not a row of convolutional stages; choose another network")
    config = timm.get_pretrained_cfg(name)
    mean = config.mean if config else IMAGENET_MEAN
    std = config.std if config else IMAGENET_STD
    trunk = Trunk(list(units.values()), stages, mean=mean, std=std)
    _check_channels(name, trunk)
    return trunk


def _end_of(names: Sequence[str], module: str) -> int:
    """Return how many units come before the end of a named module, 0 if it is not one of them."""
    flat = module.replace(".", "_")
    return names.index(flat) + 1 if flat in names else 0


def _check_channels(name: str, trunk: Trunk) -> None:
    """Run a small image through the trunk and compare its maps with what timm declares."""
    was_training = trunk.training
    with torch.no_grad():
        try:
            maps = trunk.eval()(torch.zeros(1, 3, 96, 96))
        except (RuntimeError, AssertionError, ValueError) as error:  # as backbones of transformers raise
            raise RecipeError(f"backbone {name!r} cannot be run unit by unit: {error}") from error
        finally:
            trunk.train(was_training)
    got = [tuple(m.shape[1:2]) for m in maps]
    if got != [(stage.channels,) for stage in trunk.stages]:
        raise RecipeError(f"backbone {name!r} gave maps of {got} channels, not {trunk.stages}")
