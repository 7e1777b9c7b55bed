"""What a benchmark measures on when no data is named: phantom lesions, and a run that was not trained."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermapair.config import load_recipe
from dermapair.data.adapters.phantom import draw
from dermapair.data.cases import read_cases, write_cases
from dermapair.data.split import split_cases
from dermapair.data.task import build_task
from dermapair.inference.model import ModelFacts, save_model
from dermapair.models import build_network

LESIONS = 300
SIZE_PX = 160


@contextmanager
def case_folder(given: Path | None) -> Iterator[Path]:
    """Yield the given case folder, else one of phantom lesions that is deleted afterwards."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        table = draw(Path(folder), lesions=LESIONS, seed=0, size_px=SIZE_PX)
        write_cases(split_cases(table, val=0.15, test=0.15, seed=0), Path(folder))
        yield Path(folder)


@contextmanager
def run_folder(given: Path | None, cases: Path) -> Iterator[Path]:
    """Yield the given run, else one of the recipe `demo` with random weights that is deleted afterwards."""
    if given:
        yield given
        return
    recipe = load_recipe("demo")
    task = build_task(recipe.task, read_cases(cases).diagnoses)
    network = build_network(recipe.network, len(task.classes))
    facts = ModelFacts(
        recipe=recipe.name,
        task=task.name,
        classes=task.classes,
        class_of=task.class_of,
        diagnoses=task.diagnoses,
        network=recipe.network,
        data=recipe.data,
        predict=recipe.predict,
        combine_weights=dict.fromkeys(network.readouts, 1.0),
        precision="fp32",
        started_from="random weights, not trained",
    )
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), network, facts)
        yield Path(folder)
