"""Class activation maps and Grad-CAM of networks on pairs: the identities of the method."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dermapair.models import Output, PairNet
from dermapair.models.cam import class_maps
from dermapair.saliency.maps import cam, grad_cam, maps_of
from dermapair.types import VIEWS
from models.tiny import K, pair_batch, tiny_network

KINDS = ("single", "sole", "share", "triple")
EQUAL = dict.fromkeys((*VIEWS, "cross"), 1.0)


def explained(network: PairNet, clinical: list[int], dermoscopic: list[int], *, seed: int = 0) -> Output:
    images, rows = pair_batch(clinical, dermoscopic, seed=seed)
    return network.eval()({view: x.requires_grad_() for view, x in images.items()}, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_over_cells_plus_the_bias_is_the_logit(kind: str) -> None:
    network = tiny_network(kind)
    output = explained(network, [0, 1, 3], [0, 2, 3])
    for view in network.views:
        maps, linear = cam(network, output, view), network.classifier(view)
        assert maps is not None and maps.shape == (3, K, 8, 8)
        torch.testing.assert_close(maps.mean((2, 3)) + linear.bias, output.logits[view], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_grad_cam_of_gap_and_linear_is_cam_over_the_number_of_cells(kind: str) -> None:
    network = tiny_network(kind)
    output = explained(network, [0, 1, 3], [0, 2, 3])
    for view in network.views:
        by_slope = grad_cam(output, output.logits[view], views=(view,), at_tap=False)[view]
        torch.testing.assert_close(by_slope * 64, cam(network, output, view), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["share", "triple"])
def test_the_maps_of_one_view_do_not_change_with_the_image_of_the_other(kind: str) -> None:
    network = tiny_network(kind).eval()
    images, rows = pair_batch([0, 1], [0, 1])
    others = {**images, "dermoscopic": pair_batch([0, 1], [0, 1], seed=50)[0]["dermoscopic"]}
    one, two = network(images, rows), network(others, rows)
    assert not torch.allclose(one.logits["dermoscopic"], two.logits["dermoscopic"], atol=1e-3)
    torch.testing.assert_close(cam(network, one, "clinical"), cam(network, two, "clinical"))


def by_hand(network: PairNet, output: Output, k: int) -> dict[str, Tensor]:
    """Grad-CAM of `cross` from the third sub-network alone, fed with the two maps as separate leaves."""
    taps = {view: output.taps[view].of_view.detach().requires_grad_() for view in VIEWS}
    score = network.joint_head(network.joint(torch.cat([taps[v] for v in VIEWS], dim=1)))[:, k].sum()
    slopes = torch.autograd.grad(score, list(taps.values()))
    return {
        view: (slope.mean((2, 3), keepdim=True) * taps[view]).sum(1)
        for view, slope in zip(taps, slopes, strict=True)
    }


def test_each_view_of_a_shared_trunk_gets_its_own_map_of_cross() -> None:
    network = tiny_network("triple")
    output = explained(network, [0, 1], [0, 1])
    maps, method = maps_of(network, output, "cross", weights=EQUAL)
    assert method == "grad-cam"
    for k in range(K):
        for view, expected in by_hand(network, output, k).items():
            torch.testing.assert_close(maps[view][:, k], expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(maps["clinical"], maps["dermoscopic"], atol=1e-4)


@pytest.mark.parametrize("kind", ["sole", "share", "triple"])
def test_both_is_explained_by_the_slope_of_its_log_probability(kind: str) -> None:
    network = tiny_network(kind)
    output = explained(network, [0], [0])
    maps, _ = maps_of(network, output, "both", weights=EQUAL)
    with torch.no_grad():
        p = {r: z.softmax(1)[0] for r, z in output.logits.items()}
    both = torch.stack(list(p.values())).mean(0)
    expected = {view: torch.zeros(K, 8, 8) for view in VIEWS}
    for readout, z in output.logits.items():
        parts = grad_cam(output, z, views=VIEWS, at_tap=True)
        for k in range(K):
            slope = p[readout][k] * ((torch.arange(K) == k).float() - p[readout]) / len(p) / both[k]
            for view in VIEWS:
                expected[view][k] += torch.einsum("c,chw->hw", slope, parts[view][0])
    for view in VIEWS:
        torch.testing.assert_close(maps[view][0], expected[view], atol=1e-5, rtol=1e-4)


def test_both_of_a_very_sure_network_has_finite_maps() -> None:
    network = tiny_network("share")
    with torch.no_grad():
        network.heads[0].classifier.bias[0] += 300
    output = explained(network, [0], [0])
    maps, _ = maps_of(network, output, "both", weights=EQUAL)
    for view in VIEWS:
        assert torch.isfinite(maps[view]).all()
        assert maps[view][0, 1].abs().max() > 0


def test_explaining_leaves_gradients_and_hooks_as_they_were() -> None:
    network = tiny_network("triple")
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    hooks = [len(m._forward_hooks) + len(m._backward_hooks) for m in network.modules()]
    output = explained(network, [0, 1], [0, 1])
    for readout in (*VIEWS, "cross", "both"):
        maps_of(network, output, readout, weights=EQUAL)
    assert all(bool((p.grad == 1).all()) for p in network.parameters())
    assert hooks == [len(m._forward_hooks) + len(m._backward_hooks) for m in network.modules()]


def test_the_product_is_that_of_jia_and_shen_eq_2() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])  # two channels, one row of two cells
    weight = torch.tensor([[1.0, -1.0], [0.5, 2.0]])
    expected = torch.tensor([[[[-2.0, -3.0]], [[6.5, 11.0]]]])
    torch.testing.assert_close(class_maps(features, weight), expected)
