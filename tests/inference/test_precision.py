"""The measurement of precision leaves the network as found, and decides by a clear gain."""

from __future__ import annotations

import pytest
import torch

from dermapair.inference.precision import choose_precision, measure_precision
from models.tiny import tiny_network


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("kind", ["single", "triple"])
def test_measuring_leaves_the_network_as_it_was(kind: str, train: bool) -> None:
    network = tiny_network(kind, batch_norm=True).train()
    network.trunks[0].units[0].eval()
    network.heads[0].classifier.bias.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [m.training for m in network.modules()]
    wanted = [p.requires_grad for p in network.parameters()]
    rates = measure_precision(network, side=32, batch_size=2, train=train)
    assert set(rates) == {"fp32", "bf16"} and all(rate > 0 for rate in rates.values())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert [m.training for m in network.modules()] == modes
    assert [p.requires_grad for p in network.parameters()] == wanted
    assert all(p.grad is None for p in network.parameters())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(("fp32", "bf16", "want"), [(10, 20, "bf16"), (10, 10.5, "fp32"), (10, 5, "fp32")])
def test_half_precision_is_chosen_for_a_clear_gain_only(fp32: float, bf16: float, want: str) -> None:
    assert choose_precision({"fp32": fp32, "bf16": bf16}) == want
