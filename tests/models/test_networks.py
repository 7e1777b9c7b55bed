"""The identities of Sole-, Share- and Triple-Net, on hand-made trunks with and without batch norm."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from dermapair.models import ShareNet
from dermapair.types import VIEWS
from models.tiny import K, pair_batch, tiny_head, tiny_network, tiny_trunk

KINDS = ("single", "sole", "share", "triple")
both_norms = pytest.mark.parametrize("batch_norm", [False, True])


def storages(module: nn.Module) -> set[int]:
    return {t.untyped_storage().data_ptr() for t in module.state_dict().values()}


def both(logits: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([z.softmax(dim=1) for z in logits.values()]).mean(dim=0)


@both_norms
def test_swapped_views_leave_both_of_share_net_and_exchange_its_readouts(batch_norm: bool) -> None:
    network = tiny_network("share", batch_norm=batch_norm).eval()
    images, rows = pair_batch([0, 1, 2], [0, 1, 2])
    swapped = {"clinical": images["dermoscopic"], "dermoscopic": images["clinical"]}
    with torch.no_grad():
        one, two = network(images, rows).logits, network(swapped, rows).logits
    assert not torch.allclose(one["clinical"], one["dermoscopic"], atol=1e-3)  # else nothing is tested
    torch.testing.assert_close(both(one), both(two), atol=1e-6, rtol=0)
    torch.testing.assert_close(one["clinical"], two["dermoscopic"], atol=1e-6, rtol=0)
    torch.testing.assert_close(one["dermoscopic"], two["clinical"], atol=1e-6, rtol=0)


@both_norms
def test_triple_net_with_alpha_0_has_the_gradients_of_share_net(batch_norm: bool) -> None:
    share, triple = (tiny_network(kind, batch_norm=batch_norm) for kind in ("share", "triple"))
    images, rows = pair_batch([0, 1, 2], [0, 1, 3])
    for network, alpha in ((share, 0.0), (triple, 0.0)):
        logits = network(images, rows).logits
        cost = sum(z.square().mean() for r, z in logits.items() if r != "cross")
        if "cross" in logits:
            cost = cost + alpha * logits["cross"].square().mean()
        cost.backward()
    shared = dict(share.named_parameters())
    for name, parameter in triple.named_parameters():
        if name in shared:
            torch.testing.assert_close(parameter.grad, shared[name].grad, atol=1e-6, rtol=0)
        else:
            assert not parameter.grad.any(), name
    assert len(shared) == sum(not name.startswith("joint") for name, _ in triple.named_parameters())


@both_norms
def test_the_cost_of_the_third_sub_network_reaches_the_layers_below_the_tap_only(batch_norm: bool) -> None:
    network = tiny_network("triple", batch_norm=batch_norm)
    network(*pair_batch([0, 1], [0, 1])).logits["cross"].sum().backward()
    trunk = network.trunks[0]
    reached = [any(p.grad is not None for p in unit.parameters()) for unit in trunk.units]
    assert reached == [True, True, False]  # the tap is stage2
    assert all(p.grad is None for p in network.heads.parameters())


@pytest.mark.parametrize(("kind", "batch_norm"), [*product(KINDS, (False, True))])
def test_a_lesion_scores_the_same_alone_and_inside_any_batch(kind: str, batch_norm: bool) -> None:
    network = tiny_network(kind, batch_norm=batch_norm).eval()
    with torch.no_grad():
        whole = network(*pair_batch([0, 1, 3, 4], [0, 2, 3]))
        for readout, rows in whole.rows.items():
            for place, lesion in enumerate(rows.tolist()):
                alone = network(
                    *pair_batch(*([lesion] if lesion in m else [] for m in ([0, 1, 3, 4], [0, 2, 3])))
                )
                got = alone.logits[readout][alone.rows[readout] == lesion][0]
                torch.testing.assert_close(got, whole.logits[readout][place], atol=1e-5, rtol=0)


def test_rows_say_which_lesions_each_readout_has() -> None:
    output = tiny_network("triple")(*pair_batch([0, 1, 3, 4], [0, 2, 3]))
    assert {r: rows.tolist() for r, rows in output.rows.items()} == {
        "clinical": [0, 1, 3, 4],
        "dermoscopic": [0, 2, 3],
        "cross": [0, 3],
    }
    assert {r: tuple(z.shape) for r, z in output.logits.items()} == {
        "clinical": (4, K),
        "dermoscopic": (3, K),
        "cross": (2, K),
    }
    assert {v: tuple(f.shape) for v, f in output.features.items()} == {
        "clinical": (4, 8, 8, 8),
        "dermoscopic": (3, 8, 8, 8),
    }


@pytest.mark.parametrize(("clinical", "dermoscopic"), [([0, 1], []), ([0], [1])])
def test_cross_is_left_out_where_no_lesion_has_both_views(
    clinical: list[int], dermoscopic: list[int]
) -> None:
    output = tiny_network("triple")(*pair_batch(clinical, dermoscopic))
    assert (
        set(output.logits)
        == set(output.rows)
        == {v for v in VIEWS if (clinical, dermoscopic)[VIEWS.index(v)]}
    )


def test_no_zero_image_reaches_batch_norm() -> None:
    network = tiny_network("triple", batch_norm=True)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # running statistics are then those of the last batch
    images, rows = pair_batch([0, 1, 3, 4], [0, 2, 3])
    network(images, rows)
    present = torch.cat([images["clinical"], images["dermoscopic"]])
    x = (present - network.trunks[0].mean) / network.trunks[0].std
    for unit in network.trunks[0].units:
        conv, norm = unit[0], unit[1]
        y = conv(x)
        torch.testing.assert_close(norm.running_mean, y.mean((0, 2, 3)), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(norm.running_var, y.var((0, 2, 3)), atol=1e-6, rtol=1e-5)
        x = unit(x)


def test_batch_norm_of_the_third_sub_network_sees_lesions_with_both_views_only() -> None:
    network = tiny_network("triple", batch_norm=True)
    seen = []
    norm = next(m for m in network.joint.modules() if isinstance(m, nn.BatchNorm2d))
    norm.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    network(*pair_batch([0, 1, 3, 4], [0, 2, 3]))
    assert seen == [2]


def test_both_views_pass_a_shared_trunk_as_one_batch() -> None:
    network = tiny_network("share", batch_norm=True)
    sizes = []
    network.trunks[0].units[0].register_forward_hook(lambda m, inputs, output: sizes.append(len(inputs[0])))
    network(*pair_batch([0, 1, 2], [1, 2]))
    assert sizes == [5]


def test_the_networks_of_sole_net_share_no_storage() -> None:
    sole = tiny_network("sole")
    assert not storages(sole.trunks[0]) & storages(sole.trunks[1])
    assert not storages(sole.heads[0]) & storages(sole.heads[1])


def test_the_views_of_sole_net_do_not_touch_each_other() -> None:
    network = tiny_network("sole")
    images, rows = pair_batch([0, 1], [0, 1])
    network(images, rows).logits["clinical"].sum().backward()
    assert all(p.grad is not None for p in network.trunks[0].parameters())
    assert all(p.grad is None for p in (*network.trunks[1].parameters(), *network.heads[1].parameters()))


def test_share_net_has_the_parameters_of_one_network() -> None:
    share = tiny_network("share")
    one = sum(p.numel() for p in (*tiny_trunk().parameters(), *tiny_head().parameters()))
    assert sum(p.numel() for p in share.parameters()) == one
    images, rows = pair_batch([0], [0])
    images["dermoscopic"] = images["clinical"]
    logits = share(images, rows).logits
    torch.testing.assert_close(logits["clinical"], logits["dermoscopic"], atol=1e-6, rtol=0)


def test_two_heads_share_the_trunk_only() -> None:
    network = ShareNet(trunk=tiny_trunk(), heads=[tiny_head(), tiny_head(seed=1)])
    images, rows = pair_batch([0], [0])
    images["dermoscopic"] = images["clinical"]
    output = network(images, rows)
    torch.testing.assert_close(output.features["clinical"], output.features["dermoscopic"], atol=1e-6, rtol=0)
    assert not torch.allclose(output.logits["clinical"], output.logits["dermoscopic"], atol=1e-3)


def test_a_network_names_its_views_and_readouts() -> None:
    got = {kind: (tiny_network(kind).views, tiny_network(kind).readouts) for kind in KINDS}
    assert got == {
        "single": (("dermoscopic",), ("dermoscopic",)),
        "sole": (VIEWS, VIEWS),
        "share": (VIEWS, VIEWS),
        "triple": (VIEWS, (*VIEWS, "cross")),
    }


def test_the_logits_of_a_gap_head_are_the_mean_of_its_class_maps_plus_the_bias() -> None:
    network = tiny_network("share")
    output = network(*pair_batch([0, 1], [0, 1]))
    linear = network.heads[0].classifier
    for view in VIEWS:
        maps = torch.einsum("kd,bdhw->bkhw", linear.weight, output.features[view])
        torch.testing.assert_close(maps.mean((2, 3)) + linear.bias, output.logits[view], atol=1e-5, rtol=0)


def test_a_trunk_normalises_images_with_its_own_statistics() -> None:
    trunk = tiny_trunk()
    grey = trunk.mean.expand(1, 3, 32, 32)
    zero = trunk.units[0](torch.zeros(1, 3, 32, 32))
    torch.testing.assert_close(trunk(grey)[0], zero, atol=1e-6, rtol=0)
