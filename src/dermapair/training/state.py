"""What training reads, what changes while it runs, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dermapair.config import Recipe
from dermapair.data.lesions import Batch, Lesions
from dermapair.data.store import PixelSource
from dermapair.data.task import Task
from dermapair.inference.forward import Scorer, autocast, to_tensor
from dermapair.models import PairNet


@dataclass(frozen=True)
class TrainingData:
    """What the loop reads: training and validation lesions, all with a label, and their pixels."""

    task: Task
    train: Lesions
    val: Lesions
    source: PixelSource


@dataclass(frozen=True)
class Trained:
    """The network of the best epoch.

    Attributes:
        scorer: the network, in eval mode, with the readouts weighted equally in `both`.
        recipe: resolved; `train.precision` is what was used.
        epoch: the best one, from 1.
        value: its validation metric.
        fabric: the processes; only the first one should write files.
    """

    scorer: Scorer
    recipe: Recipe
    epoch: int
    value: float
    fabric: Fabric


@dataclass
class State:
    """What changes while training, and what a checkpoint holds.

    Attributes:
        network: as the optimiser moves it.
        optimizer: its own state.
        average: the averaged network, or None.
        epoch: the last one that was trained.
        best: epoch, value of the validation metric, and weights.
    """

    network: PairNet
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    epoch: int = 0
    best: dict[str, Any] = field(default_factory=lambda: {"epoch": 0, "value": float("nan"), "state": {}})

    @property
    def kept(self) -> PairNet:
        """The network that is scored and saved."""
        return self.network if self.average is None else cast(PairNet, self.average.module)

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "optimizer": self.optimizer, "average": self.average}
        return {name: part for name, part in parts.items() if part is not None}

    def load(self, checkpoint: Mapping[str, Any]) -> None:
        """Go back to a checkpoint."""
        for name, part in self._parts().items():
            part.load_state_dict(checkpoint[name])
        self.epoch, self.best = checkpoint["epoch"], checkpoint["best"]

    def as_checkpoint(self) -> dict[str, Any]:
        """Return tensors and plain values."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {**parts, "epoch": self.epoch, "best": self.best}


class Tensors(NamedTuple):
    """One process's share of a batch, on its device."""

    images: dict[str, Tensor]
    rows: dict[str, Tensor]
    labels: Tensor
    ids: tuple[str, ...]


def batch_tensors(batch: Batch, device: torch.device) -> Tensors:
    """Return the pixels of a batch as (n, 3, H, W) float in [0, 1], and what belongs to them."""
    images = {view: to_tensor(x, device) for view, x in batch.images.items()}
    rows = {view: torch.from_numpy(r).to(device) for view, r in batch.rows.items()}
    return Tensors(images, rows, torch.from_numpy(batch.labels).to(device), batch.ids)


class Logits(nn.Module):
    """A network in its precision whose outputs are plain dictionaries, which every strategy carries."""

    def __init__(self, network: PairNet, precision: str, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self.precision = precision
        self.device = device

    def forward(
        self, images: Mapping[str, Tensor], rows: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Return the logits that are trained and their rows (see `models.Output`), and the cost of nothing.

        The latter is 0; where no image could be read it hangs on a parameter, so that this process can take
        part in the backward pass that the others wait for.
        """
        with autocast(self.device, self.precision):
            output = self.network(images, rows)
        if output.logits:
            beside = {name: output.rows[name.removeprefix("cam_")] for name in output.auxiliary}
            nothing = torch.zeros((), device=self.device)
            return output.logits | output.auxiliary, output.rows | beside, nothing
        first = next(p for p in self.network.parameters() if p.requires_grad)
        return output.logits, output.rows, first.sum() * 0
