"""A network that takes its maps from another run must not be tested on lesions which that run has learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable
from dermapair.errors import LeakError
from dermapair.evaluation.learned import BEFORE, IDS, LEARNED, LESIONS, learned, learned_before, lesions_of


def write_lesions(table: CaseTable, out: Path, *, sources: Sequence[Path] = ()) -> None:
    """Write what a run has trained on and held out, and what the runs that it came from have learned."""
    table.frame.select(*IDS, "split").unique(maintain_order=True).write_parquet(out / LESIONS)
    before = [frame for source in sources for frame in (lesions_of(source), learned_before(source))]
    if before:
        learned = pl.concat(before, how="diagonal_relaxed").filter(pl.col("split").is_in(["train", "val"]))
        learned.unique(maintain_order=True).write_parquet(out / BEFORE)


def sources_of(recipe: Recipe) -> list[Path]:
    """Return the runs whose weights or maps a run takes."""
    network = recipe.network
    found = [recipe.crop.run, network.weights if network.from_run else ""]
    found += [network.cam_source if network.pooling == "cam_bp" and network.cam_source != "self" else ""]
    return [Path(run) for run in found if run]


def with_cam_source(recipe: Recipe, table: CaseTable) -> Recipe:
    """Return the recipe with an absolute `network.cam_source`, if that run has held out what this one will.

    Lesions and patients are compared by their ids.

    Args:
        recipe: the experiment.
        table: its cases.

    Raises:
        RunError: the run is unfinished, or does not say what it was trained on.
        LeakError: it has learned a lesion or patient of our validation or test part.
    """
    if recipe.network.pooling != "cam_bp" or recipe.network.cam_source == "self":
        return recipe
    source = Path(recipe.network.cam_source).resolve()
    check_held_out(source, table, what="a CAM network")
    network = recipe.network.model_copy(update={"cam_source": str(source)})
    return recipe.model_copy(update={"network": network})


def with_pretrained(recipe: Recipe, table: CaseTable) -> Recipe:
    """Return the recipe with an absolute `network.weights`, if a run that it names has held out our parts.

    Raises:
        RunError, LeakError: as `with_cam_source`.
    """
    if not recipe.network.from_run:
        return recipe
    source = Path(recipe.network.weights).resolve()
    check_held_out(source, table, what="a pretrained run")
    network = recipe.network.model_copy(update={"weights": str(source)})
    return recipe.model_copy(update={"network": network})


def check_held_out(source: Path, table: CaseTable, *, what: str) -> None:
    """Refuse a run that has learned, or whose sources have, a lesion, patient or image that we hold out.

    By id: the same picture under another name is not seen.

    Args:
        source: folder of the other run.
        table: our cases.
        what: what the other run is for us, for messages.

    Raises:
        RunError: the run is unfinished, or does not say what it was trained on.
        LeakError: it has learned one.
    """
    for split in LEARNED:
        ours, theirs = table.frame.filter(pl.col("split") == split), learned(source, held_out=split)
        for column in (name for name in IDS if name in theirs.columns):  # older runs do not name images
            both = ours[column].drop_nulls().unique(maintain_order=True)
            both = both.filter(both.is_in(theirs[column].drop_nulls().implode()))
            if len(both):
                raise LeakError(
                    f"{source}: expected {what} that has held out our {split} part, got one that has "
                    f"learned {len(both)} of its {column}, {both[0]!r} the first; train it on this split"
                )
