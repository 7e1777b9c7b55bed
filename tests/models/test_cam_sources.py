"""Networks whose poolings are weighted by class activation maps, their own or another network's."""

from __future__ import annotations

import pytest
import torch

from dermapair.config import NetworkSettings
from dermapair.errors import RecipeError
from dermapair.models import PairNet, build_network
from dermapair.types import VIEWS
from models.tiny import pair_batch

K = 3
SMALL = NetworkSettings(backbone="squeezenet1_1", weights="none")
SIDE = 64


def built(kind: str, **keys: object) -> PairNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = SMALL.model_copy(update={"kind": kind, "pooling": "cam_bp", "project": 8, **keys})
        return build_network(settings, K)


def batch() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    return pair_batch([0, 1, 2], [0, 2, 3], side=SIDE)


@pytest.mark.parametrize("kind", ["single", "sole", "share", "triple"])
def test_every_network_takes_weighted_pooling_and_trains_its_own_maps(kind: str) -> None:
    network = built(kind)
    output = network(*batch())
    assert set(output.auxiliary) == {f"cam_{view}" for view in network.views}
    for view in network.views:
        assert output.saliency[view].shape == (3, *output.features[view].shape[2:])
        torch.testing.assert_close(output.saliency[view].sum((1, 2)), torch.ones(3))
    sum(z.square().mean() for z in (*output.logits.values(), *output.auxiliary.values())).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_the_saliency_carries_no_gradient_into_the_heads_that_make_it() -> None:
    network = built("triple")
    sum(z.sum() for z in network(*batch()).logits.values()).backward()
    assert network.cam is not None
    assert all(p.grad is None for p in network.cam.parameters())


@pytest.mark.parametrize(
    ("pool_at", "branches", "third"), [("all", 64, 64), ("branches", 64, 512), ("joint", 512, 64)]
)
def test_the_place_of_the_pooling_is_a_key(pool_at: str, branches: int, third: int) -> None:
    network = built("triple", pool_at=pool_at)
    assert network.heads[0].pooling.width == branches
    assert network.joint_head.pooling.width == third
    assert set(network(*batch()).logits) == {*VIEWS, "cross"}


def test_the_third_sub_network_is_given_the_mean_of_both_views_saliency() -> None:
    network = built("triple").eval()
    given = []
    network.joint_head.register_forward_pre_hook(lambda module, inputs: given.append(inputs[1]))
    output = network(*batch())
    clinical, dermoscopic = output.saliency["clinical"][[0, 2]], output.saliency["dermoscopic"][[0, 1]]
    torch.testing.assert_close(given[0], (clinical + dermoscopic) / 2, atol=1e-6, rtol=0)


def trained(kind: str = "share", **keys: object) -> PairNet:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = {"kind": kind, "backbone": "resnet10t", "cut": "stage-2", "extra": 16, **keys}
        return build_network(SMALL.model_copy(update=settings), K + 2)


def test_another_network_makes_the_maps_and_stays_as_it_is() -> None:
    cam = trained()
    before = {name: value.clone() for name, value in cam.state_dict().items()}
    settings = SMALL.model_copy(update={"kind": "triple", "pooling": "cam_bp", "cam_source": "a-run"})
    network = build_network(settings, K, cam=cam).train()
    assert not cam.training
    output = network(*batch())
    assert output.auxiliary == {}
    assert output.saliency["clinical"].shape == (3, 4, 4), "the grid of the CAM network"
    sum(z.sum() for z in output.logits.values()).backward()
    assert all(p.grad is None and not p.requires_grad for p in cam.parameters())
    for name, value in cam.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    ("kind", "keys", "lacking"),
    [
        ("single", {"view": "clinical"}, "dermoscopic"),
        ("share", {"head": "fc4096", "extra": 0}, "clinical and dermoscopic"),
        ("share", {"pooling": "bp"}, "clinical and dermoscopic"),
    ],
)
def test_a_cam_network_without_maps_is_refused(kind: str, keys: dict[str, object], lacking: str) -> None:
    settings = SMALL.model_copy(update={"pooling": "cam_bp", "cam_source": "a-run"})
    with pytest.raises(RecipeError, match=rf"cam_source 'a-run': .* got none for {lacking}; train one"):
        build_network(settings, K, cam=trained(kind, **keys))


def test_an_unknown_class_rule_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"unknown network\.cam_classes 'true'; known: .*predicted"):
        built("share", cam_classes="true")


def test_a_trunk_is_cut_and_gets_a_convolution() -> None:
    network = trained()
    assert network.trunks[0].stages[-1].name == "extra"
    assert network(*batch()).features["clinical"].shape == (3, 16, 4, 4)
    assert network.classifier("clinical").weight.shape == (K + 2, 16)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "triple", "head": "fc4096"}, r"pooling 'cam_bp': the head fc4096 has no such pooling"),
        ({"kind": "share", "pool_at": "joint"}, r"a share network has no third sub-network; take"),
        ({"kind": "single", "pool_at": "joint", "pooling": "bp"}, r"a single network has no third"),
    ],
)
def test_a_pooling_that_no_head_would_use_is_refused(keys: dict[str, object], message: str) -> None:
    settings = SMALL.model_copy(update={"pooling": "cam_bp", **keys})
    with pytest.raises(RecipeError, match=message):
        build_network(settings, K)


def test_a_cam_network_that_takes_maps_itself_is_refused() -> None:
    settings = SMALL.model_copy(update={"kind": "triple", "pooling": "cam_bp", "cam_source": "a-run"})
    with pytest.raises(RecipeError, match=r"expected a network with plain poolings, got one that takes maps"):
        build_network(settings, K, cam=built("triple", pool_at="joint"))
