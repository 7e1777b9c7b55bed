"""Opening a run folder: a new one, or one to go on with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dermapair.config import Recipe, load_recipe
from dermapair.data.boxes import boxes_digest
from dermapair.data.lesions import Lesions
from dermapair.errors import RunError
from dermapair.inference.model import weights_digest
from dermapair.training.checkpoint import load_checkpoint, truncate_journal


def open_run(out: Path, recipe: Recipe, *, data_key: str, resume: bool) -> dict[str, Any] | None:
    """Return the checkpoint to go on from, or None for a fresh start.

    Raises:
        RunError: the folder holds a finished run, a half-made one without `resume`, or one of another recipe
            or of other data.
    """
    if (out / "manifest.json").is_file():
        raise RunError(f"{out}: holds a finished run; choose another folder, or delete it to train again")
    started = (out / "recipe.toml").is_file()
    if not started:
        return None
    if not resume:
        raise RunError(f"{out}: holds a half-made run; go on with --resume, or choose another folder")
    check_recipe(out, recipe)
    checkpoint = load_checkpoint(out / "checkpoints" / "last.pt")
    if checkpoint and checkpoint["data_key"] != data_key:
        raise RunError(
            f"{out}: was started on other lesions, boxes or another split; use those, or another folder"
        )
    truncate_journal(out / "journal.jsonl", epochs=checkpoint["epoch"] if checkpoint else 0)
    return checkpoint


def check_recipe(out: Path, recipe: Recipe) -> None:
    """Refuse a run that was started with another recipe.

    Raises:
        RunError: naming the first key that differs.
    """
    before, recipe = (_moved(each) for each in (load_recipe(out / "recipe.toml"), recipe))
    if recipe.train.precision == "auto":
        recipe = with_precision(recipe, before.train.precision)
    if before != recipe:
        raise RunError(
            f"{out}: was started with another recipe ({_first_difference(before, recipe)}); use that"
        )


def _moved(recipe: Recipe) -> Recipe:
    """Return a recipe that says of other runs, weights and boxes the name only: folders may be moved."""
    sections = {"network": ("cam_source", "weights"), "crop": ("run",), "data": ("boxes",)}
    names = {
        name: section.model_copy(update={key: Path(getattr(section, key)).name for key in keys})
        for name, keys in sections.items()
        for section in [getattr(recipe, name)]
    }
    return recipe.model_copy(update=names)


def data_key(train: Lesions, val: Lesions, *, recipe: Recipe) -> str:
    """Return a digest of the lesions, their labels and images, and of the run that training starts from."""
    digest = hashlib.sha256()
    if recipe.crop.run:
        digest.update(boxes_digest(Path(recipe.data.boxes)).encode())
        digest.update(weights_digest(Path(recipe.crop.run)).encode())
    elif recipe.network.from_run:
        digest.update(weights_digest(Path(recipe.network.weights)).encode())
    for part in (train, val):
        digest.update(repr((part.ids, part.labels.tolist(), sorted(part.images.items()))).encode())
    return digest.hexdigest()


def with_precision(recipe: Recipe, precision: str) -> Recipe:
    """Return the recipe with `train.precision` settled."""
    train = recipe.train.model_copy(update={"precision": precision})
    return recipe.model_copy(update={"train": train})


def _first_difference(before: Recipe, now: Recipe) -> str:
    """Return the first key that differs, with both values."""
    old, new = before.model_dump(), now.model_dump()
    for section, value in old.items():
        if value != new[section] and isinstance(value, dict):
            key = next(k for k in value if value[k] != new[section][k])
            return f"{section}.{key} was {value[key]!r}, is {new[section][key]!r}"
        if value != new[section]:
            return f"{section} was {value!r}, is {new[section]!r}"
    return "no key"
