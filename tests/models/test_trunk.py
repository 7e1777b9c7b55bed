"""Backbones as rows of stages, and the builder that puts networks together."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision
from torch import nn

from dermapair.config import NetworkSettings
from dermapair.errors import RecipeError
from dermapair.models import BACKBONES, NETWORKS, POOLINGS, build_network, build_trunk
from dermapair.models import trunk as trunk_module
from dermapair.models.heads import FullyConnectedHead
from dermapair.models.joint import build_joint
from dermapair.models.trunk import Trunk, ended
from models.tiny import K, pair_batch, pictures, tiny_trunk


def vgg_units() -> dict[str, nn.Module]:
    """VGG-16's 13 convolutions and 5 poolings without weights or memory."""
    with torch.device("meta"):
        features = list(torchvision.models.vgg16(weights=None).features)
    return {f"features_{i}": unit for i, unit in enumerate(features)}


@cache
def trunk_of(name: str) -> Trunk:
    return build_trunk(name, weights="none").eval()


@pytest.fixture
def units_without_memory(monkeypatch: pytest.MonkeyPatch) -> Trunk:
    """VGG-16 whose units are on `meta`, its colour statistics not."""
    units = vgg_units()
    monkeypatch.setattr(trunk_module, "load_timm", lambda name, weights: units)
    return build_trunk("vgg16", weights="none")


@pytest.fixture
def vgg(units_without_memory: Trunk) -> Trunk:
    return units_without_memory.to("meta")


@pytest.mark.parametrize(
    ("name", "channels", "strides"),
    [
        ("squeezenet1_1", (64, 128, 256, 512), (2, 4, 8, 16)),
        ("resnet10t", (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)),
        ("googlenet", (64, 192, 480, 832, 832, 1024), (4, 8, 8, 16, 32, 32)),
        ("mobilenetv2_100", (16, 24, 32, 96, 1280), (2, 4, 8, 16, 32)),
    ],
)
def test_the_maps_of_a_backbone_are_those_it_declares(
    name: str, channels: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    trunk = trunk_of(name)
    with torch.no_grad():
        maps = trunk(pictures(1, side=128))
    assert [m.shape[1] for m in maps] == [s.channels for s in trunk.stages] == list(channels)
    assert [s.stride for s in trunk.stages] == list(strides)
    for stage, m in zip(trunk.stages, maps, strict=True):
        assert m.shape[2] == m.shape[3]
        assert abs(m.shape[2] - 128 / stage.stride) <= 1  # SqueezeNet's poolings drop the rim


def test_a_timm_backbone_gives_what_timm_gives() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        trunk = build_trunk("resnet10t", weights="none").eval()
        torch.manual_seed(3)
        reference = timm.create_model("resnet10t", features_only=True).eval()
    x = pictures(1, side=64)
    with torch.no_grad():
        for ours, theirs in zip(trunk(x), reference((x - trunk.mean) / trunk.std), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("tap", "channels", "cells", "after"),
    [("stage4", 512, 14, 3), ("conv5_2", 512, 14, 1), ("conv5_3", 512, 14, 1), ("stage1", 64, 112, 11)],
)
def test_vgg16_has_the_taps_that_the_paper_may_have_meant(
    vgg: Trunk, tap: str, channels: int, cells: int, after: int
) -> None:
    stage = vgg.stage(tap)
    maps = vgg(torch.zeros(1, 3, 224, 224, device="meta"))
    assert tuple(maps[vgg.stages.index(stage)].shape) == (1, channels, cells, cells)
    before = [u for u in list(vgg.units)[: stage.end] if isinstance(u, nn.Conv2d)]
    left = 13 - len(before)
    assert max(left, 1) == after  # with no convolution left, the third sub-network is one new block
    if tap == "conv5_3":
        assert left == 0
        joint = build_joint(vgg.to_empty(device="cpu"), stage, init="fresh", batch_norm=True)
        assert [type(m).__name__ for m in joint] == ["Sequential", "ReLU"]
        assert joint(torch.zeros(1, 1024, 4, 4)).shape == (1, 512, 4, 4)


def test_vgg16_has_no_fifth_pooling(vgg: Trunk) -> None:
    assert vgg(torch.zeros(1, 3, 224, 224, device="meta"))[-1].shape == (1, 512, 14, 14)
    assert vgg.stage("stage-1").name == "conv5_3"
    assert vgg.stage("stage-2").name == "stage4"


def test_vgg_gap_has_fourteen_convolutions_the_last_two_unpadded(units_without_memory: Trunk) -> None:
    trunk = ended(units_without_memory, extra=1024, unpadded=2).to("meta")
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 14
    assert [c.padding for c in convolutions] == [(1, 1)] * 12 + [(0, 0)] * 2
    assert trunk(torch.zeros(1, 3, 224, 224, device="meta"))[-1].shape == (1, 1024, 10, 10)


def test_the_published_groups_of_the_extra_convolution(units_without_memory: Trunk) -> None:
    extra = ended(units_without_memory, extra=1024, groups=2).units[-1][0]  # type: ignore[index]
    assert extra.weight.shape == (1024, 256, 3, 3)
    with pytest.raises(RecipeError, match=r"extra_groups 3: expected a divisor of 512 and 1024"):
        ended(units_without_memory, extra=1024, groups=3)


def test_an_unpadded_last_layer_on_any_backbone() -> None:
    images = torch.zeros(1, 3, 96, 96)
    trunk = ended(build_trunk("mobilenetv2_100", weights="none").eval(), cut="stage4", extra=16, unpadded=1)
    assert trunk(images)[-1].shape == (1, 16, 4, 4)
    with pytest.raises(RecipeError, match=r"unpadded 2: .* got one that ends in 1; lower it"):
        ended(build_trunk("mobilenetv2_100", weights="none"), cut="stage4", extra=16, unpadded=2)


def test_stages_count_from_the_last() -> None:
    trunk = tiny_trunk()
    assert [trunk.stage(f"stage-{i}").name for i in (1, 2, 3)] == ["stage3", "stage2", "stage1"]


def test_an_unknown_tap_names_the_known_ones() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown stage of this backbone 'stage9'; known: stage-1, .*stage3"
    ):
        tiny_trunk().stage("stage9")


def test_an_unknown_backbone_names_the_known_ones() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown backbone 'resnet1'; known: .*vgg16 and the convolutional"
    ):
        build_trunk("resnet1", weights="none")


def test_a_transformer_is_refused_with_a_sentence() -> None:
    with pytest.raises(RecipeError, match=r"backbone 'vit_tiny_patch16_224' is not a row of convolutional"):
        build_trunk("vit_tiny_patch16_224", weights="none")


def test_an_unknown_pooling_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"unknown network\.pooling 'max'; known: bp, cam_bp, gap"):
        build_network(NetworkSettings(backbone="squeezenet1_1", weights="none", pooling="max"), K)


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_every_kind_of_network_is_built_from_a_recipe(kind: str) -> None:
    settings = NetworkSettings(kind=kind, backbone="squeezenet1_1", weights="none", view="clinical")
    network = build_network(settings, K).eval()
    with torch.no_grad():
        output = network(*pair_batch([0, 1], [0, 1]))
    assert {r: tuple(z.shape) for r, z in output.logits.items()} == dict.fromkeys(network.readouts, (2, K))
    if kind == "single":
        assert network.views == ("clinical",)
    if kind == "sole":
        storage = [{p.untyped_storage().data_ptr() for p in t.parameters()} for t in network.trunks]
        assert not storage[0] & storage[1]


@pytest.mark.parametrize(("share", "heads"), [("all", 1), ("backbone", 2)])
@pytest.mark.parametrize("kind", ["share", "triple"])
def test_share_says_how_many_classifiers_there_are(kind: str, share: str, heads: int) -> None:
    settings = NetworkSettings(kind=kind, backbone="squeezenet1_1", weights="none", share=share)
    assert len(build_network(settings, K).heads) == heads


def test_the_vgg_head_has_two_hidden_layers_of_4096() -> None:
    with torch.device("meta"):
        head = FullyConnectedHead(512, K)
        assert head(torch.zeros(2, 512, 14, 14)).shape == (2, K)
    linear = [m for m in head.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(25088, 4096), (4096, 4096), (4096, K)]


def test_the_recipe_chooses_the_vgg_head(monkeypatch: pytest.MonkeyPatch) -> None:
    from dermapair.models import build

    made = []
    monkeypatch.setattr(
        build, "FullyConnectedHead", lambda d, k, dropout: made.append((d, k, dropout)) or nn.Identity()
    )
    build_network(NetworkSettings(kind="share", backbone="squeezenet1_1", weights="none", head="fc4096"), K)
    assert made == [(512, K, 0.0)]


def test_global_average_pooling_is_the_mean_over_cells() -> None:
    pooling = POOLINGS["gap"](2, 0)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]])
    assert pooling.width == 2
    torch.testing.assert_close(pooling(x), torch.tensor([[3.0, 1.0]]))


def test_the_statistics_of_a_backbones_images_are_its_own() -> None:
    assert trunk_of("googlenet").mean.flatten().tolist() == [0.5, 0.5, 0.5]
    resnet = trunk_of("resnet10t")
    config = timm.get_pretrained_cfg("resnet10t")
    assert resnet.mean.flatten().tolist() == pytest.approx(list(config.mean))
    assert resnet.std.flatten().tolist() == pytest.approx(list(config.std))


def test_every_named_backbone_is_a_function_of_weights() -> None:
    assert set(BACKBONES) >= {"vgg16", "squeezenet1_1", "googlenet"}
    assert all(callable(make) for make in BACKBONES.values())


class Asserting(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("Input height (64) doesn't match model (224).")


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        (nn.Conv2d(3, 4, 3), r"gave maps of \[\(4,\)\] channels"),
        (nn.Conv2d(2, 4, 3), "cannot be run unit by unit"),
        (Asserting(), "cannot be run unit by unit: Input height"),  # as Swin transformers raise
    ],
)
def test_a_backbone_whose_units_do_not_run_in_a_row_is_refused(
    unit: nn.Module, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [{"module": "a", "num_chs": 5, "reduction": 1}]
    info = SimpleNamespace(feature_info=SimpleNamespace(get_dicts=lambda: stages))
    monkeypatch.setattr(trunk_module, "load_timm", lambda name, weights: {"a": unit})
    monkeypatch.setattr(trunk_module.timm, "create_model", lambda name, **_: info)
    with pytest.raises(RecipeError, match=f"'resnet10t' {said}"):
        build_trunk("resnet10t", weights="none")


def test_the_real_weights_of_squeezenet_fit(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    monkeypatch.setenv("DERMAPAIR_WEIGHTS", str(shared / "weights"))
    trunk = build_trunk("squeezenet1_1")
    file = load_file(shared / "weights" / "squeezenet1_1_features.safetensors")
    torch.testing.assert_close(trunk.units[0].weight.detach(), file["features.0.weight"], atol=0, rtol=0)
    whole = build_trunk("mobilenetv2_100")
    given = load_file(shared / "weights" / "mobilenetv2_100.safetensors")
    torch.testing.assert_close(whole.units[0].weight.detach(), given["conv_stem.weight"], atol=0, rtol=0)
