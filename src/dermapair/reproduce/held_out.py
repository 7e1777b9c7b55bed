"""A network that takes its maps from another run must not be tested on lesions which that run has learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Lesions
from dermapair.errors import LeakError
from dermapair.report.read import read_run


def with_cam_source(recipe: Recipe, table: CaseTable, parts: Mapping[str, Lesions]) -> Recipe:
    """Return the recipe with an absolute `network.cam_source`, if that run has held out what this one will.

    Args:
        recipe: the experiment.
        table: its cases.
        parts: by split, their lesions.

    Raises:
        RunError: the run is unfinished or damaged.
        LeakError: it was trained on the same set, and has not held out every lesion of our validation and
            test parts.
    """
    if recipe.network.pooling != "cam_bp" or recipe.network.cam_source == "self":
        return recipe
    source = Path(recipe.network.cam_source).resolve()
    run = read_run(source, manifest=None)
    if run.manifest["data"]["adapter"] == table.manifest.get("adapter"):
        held_out = set(run.predictions["lesion_id"].unique())
        for split in ("val", "test"):
            learned = (
                [lesion for lesion in parts[split].ids if lesion not in held_out] if split in parts else []
            )
            if learned:
                raise LeakError(
                    f"{source}: expected a CAM network that has held out the lesions of our {split} part, "
                    f"got one that may have learned {len(learned)} of them, {learned[0]!r} the first; train "
                    f"it on this split"
                )
    network = recipe.network.model_copy(update={"cam_source": str(source)})
    return recipe.model_copy(update={"network": network})
