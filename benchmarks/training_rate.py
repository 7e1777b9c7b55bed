"""How close training comes to the rate of the same network on tensors already in memory.

Three things take turns in one process, several times over: steps on one batch that stays in memory; steps fed
Three things take turns in one process, several times over: steps on one batch that stays in memory, steps fed

    python benchmarks/training_rate.py CASES [--recipe milk10k] [--set KEY=VALUE] [--default-malloc]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric

from dermapair.config import AugmentSettings, Recipe, load_recipe
from dermapair.data.cases import read_cases
from dermapair.data.lesions import Batch, select_lesions
from dermapair.data.store import prepare
from dermapair.data.task import build_task
from dermapair.inference.allocator import keep_freed_memory
from dermapair.models import build_network
from dermapair.training.feeding import epoch_steps, read_ahead
from dermapair.training.loop import _train_step
from dermapair.training.losses import PairLoss
from dermapair.training.optimise import build_optimizer, training_mode
from dermapair.training.state import Logits

STEPS = 12
MIRROR = AugmentSettings(mirror=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--recipe", default="milk10k")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--default-malloc", action="store_true", help="do not keep freed memory")
    arguments = parser.parse_args()
    if not arguments.default_malloc:
        keep_freed_memory()
    table = read_cases(arguments.cases)
    rates: dict[str, list[float]] = {}
    for precision in ("bf16", "fp32"):
        recipe = load_recipe(arguments.recipe, overrides=[*arguments.set, f"train.precision={precision}"])
        source = prepare(table, recipe.data)
        task = build_task(recipe.task, table.diagnoses)
        lesions = select_lesions(table, task, split="train").one_image_each(seed=0)
        plain = recipe.model_copy(update={"augment": MIRROR})
        for attempt in range(arguments.rounds + 1):
            for name, setting in (("mirror", plain), ("recipe", recipe)):
                steps = epoch_steps(len(lesions), setting, epoch=attempt + 1)[:STEPS]
                views = ("clinical", "dermoscopic")
                fed = read_ahead(lesions, source, setting, steps, epoch=attempt + 1, views=views)
                first = next(read_ahead(lesions, source, setting, steps[:1], epoch=1, views=views))
                memory = iter([first] * STEPS)
                for kind, batches in ((f"{precision} memory", memory), (f"{precision} {name}", fed)):
                    rate = _rate(recipe, lesions.labels, len(task.classes), batches)
                    if attempt:
                        rates.setdefault(kind, []).append(rate)
    _show(rates)


def _rate(recipe: Recipe, labels: np.ndarray, n_classes: int, batches: Iterator[Batch]) -> float:
    """Return images per second of STEPS training steps."""
    fabric = Fabric(accelerator="auto", devices=1)
    torch.manual_seed(0)
    network = build_network(recipe.network.model_copy(update={"weights": "none"}), n_classes)
    network = network.to(fabric.device, memory_format=torch.channels_last)
    training_mode(network, freeze_batch_norm=recipe.train.freeze_batch_norm)
    wrapped = Logits(network, recipe.train.precision, fabric.device)
    model, optimizer = fabric.setup(wrapped, build_optimizer(network, recipe.optimizer))
    loss = PairLoss(recipe.loss, labels, n_classes, fabric.device)
    batch = next(batches)
    _train_step(fabric, recipe, model, optimizer, loss, batch)  # warm up
    seen, began = 0, time.perf_counter()
    for batch in batches:
        _train_step(fabric, recipe, model, optimizer, loss, batch)
        seen += sum(map(len, batch.images.values()))
    return seen / (time.perf_counter() - began)


def _show(rates: dict[str, list[float]]) -> None:
    """Print the ratios of the medians, then the rates."""
    median = {name: float(np.median(values)) for name, values in rates.items()}
    ratios = {
        f"{p} {fed} / {p} memory": median[f"{p} {fed}"] / median[f"{p} memory"]
        for p in ("bf16", "fp32")
        for fed in ("mirror", "recipe")
    }
    ratios["bf16 memory / fp32 memory"] = median["bf16 memory"] / median["fp32 memory"]
    for name, ratio in ratios.items():
        print(f"{name:<32} {ratio:.3f}")
    for name, rate in median.items():
        print(f"{name:<32} {rate:.1f} images/s (all rounds: {', '.join(f'{r:.1f}' for r in rates[name])})")
    print(json.dumps({"ratios": ratios, "images_per_s": median, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
