"""A finished training of a reproduction is kept, if it is the one that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable
from dermapair.errors import RunError
from dermapair.reproduce.boxes import run_name
from dermapair.training.files import check_recipe


def check_finished(folder: Path, recipe: Recipe, table: CaseTable) -> None:
    """Refuse a finished run of other settings or data.

    Raises:
        RunError: naming what differs.
    """
    check_recipe(folder, recipe)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    first = run_name(Path(recipe.crop.run)) if recipe.crop.run else None
    if manifest.get("stage_one", first) != first:
        raise RunError(
            f"{folder}: goes on from another stage one ({manifest.get('stage_one')}, now {first}); remove "
            f"it, or take another --out"
        )
    before = manifest["data"]
    for key in ("adapter", "images", "lesions", "split"):
        if before.get(key) != table.manifest.get(key):
            raise RunError(
                f"{folder}: was trained on other data ({key} was {before.get(key)}, is "
                f"{table.manifest.get(key)}); use those, or another --out"
            )
