"""The third sub-network: where it starts, how it is widened, what initialises it."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from dermapair.config import NetworkSettings
from dermapair.errors import RecipeError
from dermapair.models import build_network, build_trunk
from dermapair.models.joint import build_joint, he_init
from models.tiny import pictures, tiny_trunk


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)]


@pytest.fixture(scope="module")
def squeezenet() -> object:
    return build_trunk("squeezenet1_1", weights="none")


@pytest.fixture(scope="module")
def resnet() -> object:
    return build_trunk("resnet10t", weights="none")


def test_features_keep_their_size_through_initialised_layers_also_by_group() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [(nn.Conv2d(64, 64, 3, padding=1, groups=g, bias=False), nn.ReLU()) for g in (1, 64, 1, 64)]
        network = nn.Sequential(*(layer for pair in layers for layer in pair)).apply(he_init)
        x = torch.randn(8, 64, 16, 16)
        with torch.no_grad():
            ratio = float(network(x).square().mean() / x.relu().square().mean())
    assert 0.2 < ratio < 5


@pytest.mark.parametrize("tap", ["stage1", "stage2", "stage3"])
def test_the_first_convolution_takes_the_channels_of_both_views(tap: str) -> None:
    trunk = tiny_trunk()
    stage = trunk.stage(tap)
    joint = build_joint(trunk, stage, init="fresh", batch_norm=True)
    assert convolutions(joint)[0].in_channels == 2 * stage.channels
    maps = torch.rand(2, 2 * stage.channels, 8, 8)
    assert joint(maps).shape[1] == 8


@pytest.mark.parametrize("name", ["squeezenet", "resnet"])
@pytest.mark.parametrize("tap", ["stage-1", "stage-2", "stage-3"])
def test_the_rule_covers_the_taps_of_real_backbones(
    name: str, tap: str, request: pytest.FixtureRequest
) -> None:
    trunk = request.getfixturevalue(name)
    stage = trunk.stage(tap)
    joint = build_joint(trunk, stage, init="fresh", batch_norm=True)
    assert joint(torch.rand(2, 2 * stage.channels, 8, 8)).shape[1] == trunk.channels
    remaining = convolutions(nn.Sequential(*list(trunk.units)[stage.end :]))
    assert len(convolutions(joint)) == max(len(remaining), 1)


@pytest.mark.parametrize("tap", ["stage1", "stage2"])
def test_equal_maps_give_the_backbones_own_last_map(tap: str) -> None:
    trunk = tiny_trunk()
    stage = trunk.stage(tap)
    joint = build_joint(trunk, stage, init="backbone", batch_norm=False)
    maps = trunk(pictures(2))
    tapped = maps[trunk.stages.index(stage)]
    torch.testing.assert_close(joint(torch.cat([tapped, tapped], dim=1)), maps[-1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["squeezenet", "resnet"])
def test_equal_maps_give_the_last_map_of_real_backbones(name: str, request: pytest.FixtureRequest) -> None:
    trunk = deepcopy(request.getfixturevalue(name)).eval()
    stage = trunk.stage("stage-2")
    joint = build_joint(trunk, stage, init="backbone", batch_norm=False).eval().double()
    with torch.no_grad():
        maps = trunk.double()(pictures(2, side=64).double())  # exact, whatever the weights that were drawn
        tapped = maps[trunk.stages.index(stage)]
        got = joint(torch.cat([tapped, tapped], dim=1))
    torch.testing.assert_close(got, maps[-1], atol=1e-9, rtol=1e-8)


def test_clinical_maps_come_first() -> None:
    trunk = tiny_trunk()
    joint = build_joint(trunk, trunk.stage("stage2"), init="backbone", batch_norm=False)
    clinical, dermoscopic = torch.rand(2, 1, 8, 8, 8)
    with torch.no_grad():
        convolutions(joint)[0].weight[:, 8:] = 0  # now only the first D channels count
        one = joint(torch.cat([clinical, dermoscopic], dim=1))
        two = joint(torch.cat([clinical, dermoscopic * 0], dim=1))
    torch.testing.assert_close(one, two)


def test_batch_norm_follows_each_convolution_where_asked() -> None:
    trunk = tiny_trunk()
    joint = build_joint(trunk, trunk.stage("stage1"), init="fresh", batch_norm=True)
    layers = [m for m in joint.modules() if not list(m.children())]
    kinds = [type(m).__name__ for m in layers]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 2
    assert [layers[i + 1].num_features for i in (0, 3)] == [layers[i].out_channels for i in (0, 3)]
    without = build_joint(trunk, trunk.stage("stage1"), init="fresh", batch_norm=False)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in without.modules())


def test_a_backbone_with_batch_norm_gets_no_second_one() -> None:
    trunk = tiny_trunk(batch_norm=True)
    joint = build_joint(trunk, trunk.stage("stage1"), init="fresh", batch_norm=True)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in joint.modules()) == 2


def test_after_the_last_stage_comes_one_new_convolution_block() -> None:
    trunk = tiny_trunk()
    joint = build_joint(trunk, trunk.stages[-1], init="backbone", batch_norm=True)
    (conv,) = convolutions(joint)
    assert (conv.in_channels, conv.out_channels, conv.kernel_size) == (16, 8, (3, 3))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in joint.modules()) == 1


@pytest.mark.parametrize("init", ["fresh", "backbone"])
def test_the_trunk_is_left_as_it_was(init: str) -> None:
    trunk = tiny_trunk(batch_norm=True).train()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    joint = build_joint(trunk, trunk.stage("stage1"), init=init, batch_norm=True)
    after = trunk.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(module.training for module in trunk.modules())
    own = {t.untyped_storage().data_ptr() for t in trunk.state_dict().values()}
    assert not own & {t.untyped_storage().data_ptr() for t in joint.state_dict().values()}


def test_a_fresh_sub_network_has_nothing_of_the_backbone() -> None:
    trunk = tiny_trunk(batch_norm=True)
    trunk.units[1][1].running_mean.fill_(5.0)
    joint = build_joint(trunk, trunk.stage("stage1"), init="fresh", batch_norm=True)
    assert not torch.allclose(convolutions(joint)[0].weight[:, :6], trunk.units[1][0].weight / 2)
    assert all(m.running_mean.eq(0).all() for m in joint.modules() if isinstance(m, nn.BatchNorm2d))


def test_he_initialisation_has_its_variance() -> None:
    conv = nn.Conv2d(64, 128, 3)
    torch.manual_seed(0)
    he_init(conv)
    assert conv.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert not conv.bias.any()


def test_a_pooling_before_the_first_convolution_is_kept() -> None:
    trunk = build_trunk("squeezenet1_1", weights="none")
    joint = build_joint(trunk, trunk.stage("stage2"), init="fresh", batch_norm=False)
    assert isinstance(joint[0], nn.MaxPool2d)
    (squeeze,) = [c for c in convolutions(joint) if c.in_channels == 256 and c.kernel_size == (1, 1)][:1]
    assert squeeze is convolutions(joint)[0]


def test_densenet_is_refused_with_a_sentence() -> None:
    settings = NetworkSettings(backbone="densenet121", weights="none", tap="stage-2")
    with pytest.raises(RecipeError, match=r"network\.tap 'stage4': the next layer cannot take both views"):
        build_network(settings, 3)


def test_a_grouped_first_convolution_is_refused() -> None:
    trunk = tiny_trunk()
    trunk.units[2] = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8))
    with pytest.raises(RecipeError, match="grouped convolution"):
        build_joint(trunk, trunk.stage("stage2"), init="fresh", batch_norm=False)
