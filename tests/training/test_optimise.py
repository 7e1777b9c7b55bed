"""Learning rates at exact values, parameter groups, and what freezing keeps still."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dermapair.config import OptimizerSettings, ScheduleSettings
from dermapair.errors import RecipeError
from dermapair.training.optimise import build_optimizer, freeze, lr_factor, set_lr, training_mode
from models.tiny import pair_batch, tiny_network
from training.phantoms import tiny_recipe


@pytest.mark.parametrize(
    ("settings", "epoch", "want"),
    [
        ({"name": "constant"}, 7.3, 1.0),
        ({"name": "exponential", "gamma": 0.95}, 0.0, 1.0),
        ({"name": "exponential", "gamma": 0.95}, 0.99, 1.0),
        ({"name": "exponential", "gamma": 0.95}, 1.0, 0.95),
        ({"name": "exponential", "gamma": 0.95}, 2.5, 0.9025),
        ({"name": "cosine"}, 0.0, 1.0),
        ({"name": "cosine"}, 5.0, 0.5),
        ({"name": "cosine"}, 2.5, (1 + 0.5**0.5) / 2),
        ({"name": "cosine"}, 10.0, 0.0),
        ({"name": "cosine", "warmup_epochs": 2}, 0.0, 0.0),
        ({"name": "cosine", "warmup_epochs": 2}, 0.5, 0.25),
        ({"name": "cosine", "warmup_epochs": 2}, 2.0, 1.0),
        ({"name": "cosine", "warmup_epochs": 2}, 6.0, 0.5),
        ({"name": "constant", "warmup_epochs": 4}, 1.0, 0.25),
    ],
)
def test_the_schedule_has_exact_values(settings: dict[str, object], epoch: float, want: float) -> None:
    got = lr_factor(ScheduleSettings.model_validate(settings), epoch=epoch, epochs=10)
    assert got == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_new_layers_have_a_rate_of_their_own(name: str) -> None:
    network = tiny_network("triple")
    optimizer = build_optimizer(network, OptimizerSettings(name=name, lr=0.1, new_layer_lr=10.0))
    set_lr(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for parameter_name, parameter in network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.05 if parameter_name.startswith("trunks.") else 0.5)
    assert len(rates) == len(list(network.parameters()))


def test_sgd_has_the_papers_momentum_and_decay() -> None:
    settings = OptimizerSettings(name="sgd", lr=0.001, momentum=0.9, weight_decay=5e-5)
    for group in build_optimizer(tiny_network("share"), settings).param_groups:
        assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-5)


def test_a_frozen_trunk_has_no_group() -> None:
    network = tiny_network("share")
    freeze(network, tiny_recipe(train={"freeze_until": "stage-1"}))
    optimizer = build_optimizer(network, OptimizerSettings())
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in network.heads.parameters()}


@pytest.mark.parametrize("kind", ["sole", "share", "triple"])
def test_frozen_units_and_their_batch_norm_stay_as_they_are(kind: str) -> None:
    network = tiny_network(kind, batch_norm=True)
    freeze(network, tiny_recipe(train={"freeze_until": "stage2"}))
    training_mode(network, freeze_batch_norm=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = build_optimizer(network, OptimizerSettings(name="sgd", lr=0.1, weight_decay=0.1))
    torch.stack(
        [z.square().mean() for z in network(*pair_batch([0, 1], [0, 1])).logits.values()]
    ).sum().backward()
    optimizer.step()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    still = {n for n in before if n.startswith("trunks.") and n.split(".")[3] in ("0", "1")}
    assert still
    assert not moved & still
    assert {n for n in before if n.startswith("trunks.") and n.split(".")[3] == "2"} <= moved
    assert any(name.startswith("heads.") for name in moved)


def test_frozen_batch_norm_keeps_statistics_and_weights_everywhere() -> None:
    network = tiny_network("triple", batch_norm=True)
    freeze(network, tiny_recipe(train={"freeze_batch_norm": True}))
    training_mode(network, freeze_batch_norm=True)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [{k: v.clone() for k, v in norm.state_dict().items()} for norm in norms]
    optimizer = build_optimizer(network, OptimizerSettings(name="sgd", lr=0.1, weight_decay=0.1))
    torch.stack(
        [z.square().mean() for z in network(*pair_batch([0, 1], [0, 1])).logits.values()]
    ).sum().backward()
    optimizer.step()
    assert len(norms) == 4
    for norm, state in zip(norms, before, strict=True):
        assert not norm.training
        assert all(torch.equal(value, state[key]) for key, value in norm.state_dict().items())
    assert network.trunks[0].training and network.heads[0].dropout.training


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"unknown stage of this backbone 'layer9'; known: .*stage3"):
        freeze(tiny_network("share"), tiny_recipe(train={"freeze_until": "layer9"}))
