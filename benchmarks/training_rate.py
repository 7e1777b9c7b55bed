"""How close training comes to the rate of the same network on tensors that are in memory already.

Three feeds take turns in one process, several times over: one batch of ready float tensors; batches read,
mirrored and turned into tensors as in training; the same with the recipe's whole augmentation. The first
steps of each are not timed, as they empty the queue that was filled during the warm-up, nor are the last
ones, in which nothing is left to read. The weights are random. No feed validates or averages weights.

    python benchmarks/training_rate.py [CASES] [--recipe milk10k] [--set KEY=VALUE] [--precisions bf16 fp32]
        [--rounds 2] [--steps 40] [--default-malloc]

Without CASES it takes phantom lesions and the recipe `demo`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from _phantom import case_folder
from lightning.fabric import Fabric

from dermapair.config import AugmentSettings, Recipe, load_recipe
from dermapair.data.cases import read_cases
from dermapair.data.lesions import Lesions, select_lesions
from dermapair.data.store import PixelSource, prepare
from dermapair.data.task import build_task
from dermapair.inference.allocator import keep_freed_memory
from dermapair.models import build_network
from dermapair.training.feeding import epoch_steps, read_ahead
from dermapair.training.loop import _train_step
from dermapair.training.losses import PairLoss
from dermapair.training.optimise import build_optimizer, freeze, training_mode
from dermapair.training.state import Logits, Tensors, batch_tensors
from dermapair.types import VIEWS

FIRST_UNTIMED, LAST_UNTIMED = 5, 3
MIRROR = AugmentSettings(mirror=True)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if not arguments.default_malloc:
        keep_freed_memory()
    recipe = load_recipe(arguments.recipe, overrides=arguments.set)
    fabric = Fabric(accelerator="auto", devices=1)
    rates: dict[str, list[float]] = {}
    with case_folder(arguments.cases) as folder:
        table = read_cases(folder)
        source, task = prepare(table, recipe.data), build_task(recipe.task, table.diagnoses)
        lesions = select_lesions(table, task, split="train").one_image_each(seed=0)
        for _, precision in itertools.product(range(arguments.rounds), arguments.precisions):
            train = recipe.train.model_copy(update={"precision": precision})
            setting = recipe.model_copy(update={"train": train})
            for feed, tensors in _feeds(setting, lesions, source, arguments.steps, fabric).items():
                rate = _rate(setting, fabric, tensors, labels=lesions.labels, n_classes=len(task.classes))
                rates.setdefault(f"{precision} {feed}", []).append(rate)
    _show(rates, arguments.precisions, steps=arguments.steps)


def _arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("--recipe", help="default: milk10k, without CASES demo")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--precisions", nargs="+", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40, help="of each measurement, untimed ones included")
    parser.add_argument("--default-malloc", action="store_true", help="do not keep freed memory")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.steps <= FIRST_UNTIMED + LAST_UNTIMED:
        parser.error(f"expected --rounds from 1 and --steps from {FIRST_UNTIMED + LAST_UNTIMED + 1}")
    arguments.recipe = arguments.recipe or ("milk10k" if arguments.cases else "demo")
    return arguments


def _feeds(
    recipe: Recipe, lesions: Lesions, source: PixelSource, count: int, fabric: Fabric
) -> dict[str, Iterator[Tensors]]:
    """Return by name what hands out the tensors of `count` steps; reading starts at the first one asked."""
    epochs = (epoch_steps(len(lesions), recipe, epoch=epoch) for epoch in itertools.count(1))
    steps = list(itertools.islice(itertools.chain.from_iterable(epochs), count))
    views = (recipe.network.view,) if recipe.network.kind == "single" else VIEWS

    def fed(setting: Recipe, steps: Sequence[np.ndarray]) -> Iterator[Tensors]:
        batches = read_ahead(lesions, source, setting, steps, epoch=1, views=views)
        return (batch_tensors(batch, fabric.device) for batch in batches)

    ready = next(fed(recipe, steps[:1]))
    mirror = recipe.model_copy(update={"augment": MIRROR})
    return {
        "memory": itertools.repeat(ready, count),
        "mirror": fed(mirror, steps),
        "recipe": fed(recipe, steps),
    }


def _rate(
    recipe: Recipe, fabric: Fabric, feed: Iterator[Tensors], *, labels: np.ndarray, n_classes: int
) -> float:
    """Return images per second over the timed training steps of a new network."""
    torch.manual_seed(0)
    network = build_network(recipe.network.model_copy(update={"weights": "none"}), n_classes)
    network = network.to(fabric.device, memory_format=torch.channels_last)
    freeze(network, recipe)
    training_mode(network, freeze_batch_norm=recipe.train.freeze_batch_norm)
    wrapped = Logits(network, recipe.train.precision, fabric.device)
    model, optimizer = fabric.setup(wrapped, build_optimizer(network, recipe.optimizer))
    loss = PairLoss(recipe.loss, labels, n_classes, fabric.device)
    ends, images = [], []
    for tensors in feed:
        _train_step(fabric, recipe, model, optimizer, loss, tensors)
        ends.append(time.perf_counter())
        images.append(sum(map(len, tensors.images.values())))
    timed = slice(FIRST_UNTIMED, len(ends) - LAST_UNTIMED)
    return sum(images[timed]) / (ends[timed][-1] - ends[FIRST_UNTIMED - 1])


def _show(rates: dict[str, list[float]], precisions: Sequence[str], *, steps: int) -> None:
    """Print the ratios of the medians, then the rates."""
    median = {name: float(np.median(values)) for name, values in rates.items()}
    pairs = [(f"{p} {feed}", f"{p} memory") for p in precisions for feed in ("mirror", "recipe")]
    if {"bf16", "fp32"} <= set(precisions):
        pairs.append(("bf16 memory", "fp32 memory"))
    ratios = {f"{a} / {b}": median[a] / median[b] for a, b in pairs}
    for name, ratio in ratios.items():
        print(f"{name:<32} {ratio:.3f}")
    for name, rate in median.items():
        print(f"{name:<32} {rate:.1f} images/s (all rounds: {', '.join(f'{r:.1f}' for r in rates[name])})")
    facts = {"timed_steps": steps - FIRST_UNTIMED - LAST_UNTIMED, "threads": torch.get_num_threads()}
    print(json.dumps({"ratios": ratios, "images_per_s": median, "rounds": rates, **facts}))


if __name__ == "__main__":
    main()
