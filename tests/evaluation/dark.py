"""A network that sees darkness, and pictures with one dark square: the map of class 0 is known to be true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data.tables import row, save, table
from dermapair.data.cases import CaseTable
from dermapair.inference.predictor import Predictor, load
from inference.runs import save_tiny_run

SIDE = 64
DIAGNOSES = ("melanoma", "bcc", "scc", "blue_naevus")


def dark_predictor(run: Path, **facts: Any) -> Predictor:
    """Return a network on dermoscopic images whose class 0 is the more probable the more is dark."""
    predictor = load(save_tiny_run(run, kind="single", **facts), device="cpu")
    network = predictor.scorer.network
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.fill_(1 / module.weight[0].numel())
                nn.init.zeros_(module.bias)
        first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
        first.weight.neg_()  # white, which is positive after normalisation, becomes 0 behind the ReLU
        linear = network.classifier("dermoscopic")
        linear.weight.zero_()
        linear.bias.zero_()
        linear.weight[0] = 3.0
    return predictor


def dark_squares(root: Path, corners: list[tuple[int, int]], *, side: int = 16) -> CaseTable:
    """Return a table of white pictures with a dark square each, at (x, y), and masks of these squares."""
    for i, (x, y) in enumerate(corners):
        picture = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        picture[y : y + side, x : x + side] = 0
        mask[y : y + side, x : x + side] = 255
        save(root / f"i{i}.png", picture)
        save(root / f"m{i}.png", mask)
    rows = [row(f"i{i}", mask=f"m{i}.png", diagnosis="melanoma") for i in range(len(corners))]
    return table(rows, root, diagnoses=DIAGNOSES)
