"""Optimiser, learning rate, and what is frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from dermapair.config import OptimizerSettings, Recipe, ScheduleSettings
from dermapair.models import PairNet, Trunk


def build_optimizer(network: PairNet, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Return the optimiser, with a group of its own for what stands behind the backbone."""
    trunk = [p for name, p in network.named_parameters() if p.requires_grad and name.startswith("trunks.")]
    new = [p for name, p in network.named_parameters() if p.requires_grad and not name.startswith("trunks.")]
    groups = [
        {"params": trunk, "lr": settings.lr, "base_lr": settings.lr},
        {"params": new, "lr": settings.lr, "base_lr": settings.lr * settings.new_layer_lr},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


def lr_factor(settings: ScheduleSettings, *, epoch: float, epochs: int) -> float:
    """Return the factor of the base learning rate.

    Args:
        settings: the recipe's `schedule` section.
        epoch: how far training is, in epochs, with its fraction.
        epochs: of the whole training.
    """
    warmup = settings.warmup_epochs
    if epoch < warmup:
        return epoch / warmup
    if settings.name == "exponential":
        return settings.gamma ** math.floor(epoch)
    if settings.name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / max(epochs - warmup, 1e-9)))
    return 1.0


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to `factor` times its base."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def freeze(network: PairNet, recipe: Recipe) -> None:
    """Stop the gradients of what the recipe freezes.

    Raises:
        RecipeError: `train.freeze_until` names no stage of the backbone.
    """
    until = recipe.train.freeze_until
    for trunk in network.trunks if until else ():
        assert isinstance(trunk, Trunk)
        for unit in list(trunk.units)[: trunk.stage(until).end]:
            unit.requires_grad_(False)
    if recipe.train.freeze_batch_norm:
        for norm in _batch_norms(network):
            norm.requires_grad_(False)


def training_mode(network: PairNet, *, freeze_batch_norm: bool) -> None:
    """Put a network into training mode, frozen batch norm excepted.

    Batch norm in a frozen unit keeps its statistics too: they belong to weights that do not move.
    """
    network.train()
    for norm in _batch_norms(network):
        if freeze_batch_norm or not norm.weight.requires_grad:
            norm.eval()


def _batch_norms(network: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """Timm's batch norm with activation is one too."""
    return (module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
