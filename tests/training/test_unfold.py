"""Folded batch norm gets statistics of its own, and the network stays the function that it was."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dermapair.data.lesions import Batch
from dermapair.models import SingleNet
from dermapair.models.heads import Head
from dermapair.models.poolings import GlobalAverage
from dermapair.models.trunk import Stage, Trunk
from dermapair.training.unfold import unfold_batch_norm


def folded_network() -> SingleNet:
    """A network whose two batch norm layers do nothing but add a bias."""
    torch.manual_seed(0)
    units = [
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.BatchNorm2d(8),
    ]
    for unit in units:
        if isinstance(unit, nn.BatchNorm2d):
            nn.init.uniform_(unit.bias, 1, 3)
    trunk = Trunk(units, [Stage("stage1", 5, 8, 1)])
    return SingleNet(view="clinical", trunk=trunk, head=Head(GlobalAverage(8), 3))


def batch(rng: np.random.Generator) -> Batch:
    images = {"clinical": rng.integers(0, 256, (16, 12, 12, 3), dtype=np.uint8)}
    return Batch(images, {"clinical": np.arange(16)}, np.zeros(16, np.int64), ("x",) * 16)


def outputs(network: SingleNet, of: Batch) -> torch.Tensor:
    pixels = torch.from_numpy(of.images["clinical"]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return network({"clinical": pixels}, {"clinical": torch.arange(16)}).features["clinical"]


def test_eval_mode_keeps_the_function_and_training_mode_agrees_with_it(rng: np.random.Generator) -> None:
    network, of = folded_network(), batch(rng)
    before = outputs(network.eval(), of)
    assert not torch.allclose(outputs(network.train(), of), before, atol=0.5)  # why unfolding is needed
    network = folded_network().train()
    assert unfold_batch_norm(network, [of], torch.device("cpu"), parts=network.trunks) == 2
    assert network.training
    assert torch.allclose(outputs(network.eval(), of), before, atol=1e-4)
    assert torch.allclose(outputs(network.train(), of), before, atol=1e-3)


def test_batch_norm_with_statistics_of_its_own_is_left_alone(rng: np.random.Generator) -> None:
    network, of = folded_network(), batch(rng)
    unfold_batch_norm(network, [of], torch.device("cpu"), parts=network.trunks)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert unfold_batch_norm(network, [batch(rng)], torch.device("cpu"), parts=network.trunks) == 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
