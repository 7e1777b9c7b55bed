"""A network that takes its maps from another run must not be tested on lesions which that run has learned."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable
from dermapair.errors import LeakError, RunError

LESIONS = "lesions.parquet"
"""File of a run: `lesion_id`, `patient_id` and `split` of its case table."""
LEARNED = {"val": ["train"], "test": ["train", "val"]}
"""Our split -> parts of the other run that it must not share; validation chose that run's epoch."""


def write_lesions(table: CaseTable, out: Path) -> None:
    """Write which lesions a run has trained on and held out."""
    table.frame.select("lesion_id", "patient_id", "split").unique(maintain_order=True).write_parquet(
        out / LESIONS
    )


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


def lesions_of(run: Path) -> pl.DataFrame:
    """Return `lesion_id`, `patient_id` and `split` of what a finished run was trained and tested on.

    Raises:
        RunError: it is unfinished, or does not say.
    """
    if not (run / "manifest.json").is_file():
        raise RunError(f"{run}: expected a finished run with manifest.json; train it to the end")
    try:
        return pl.read_parquet(run / LESIONS)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{run / LESIONS}: expected the lesions of a run ({error}); train it again") from error


def check_held_out(source: Path, table: CaseTable, *, what: str) -> None:
    """Refuse a run that has learned a lesion or patient, by id, of our validation or test part.

    Args:
        source: folder of the other run.
        table: our cases.
        what: what the other run is for us, for messages.

    Raises:
        RunError: the run is unfinished, or does not say what it was trained on.
        LeakError: it has learned one.
    """
    theirs = lesions_of(source)
    for split, parts in LEARNED.items():
        ours, learned = (
            table.frame.filter(pl.col("split") == split),
            theirs.filter(pl.col("split").is_in(parts)),
        )
        for column in ("lesion_id", "patient_id"):
            both = ours[column].drop_nulls().unique(maintain_order=True)
            both = both.filter(both.is_in(learned[column].drop_nulls().implode()))
            if len(both):
                raise LeakError(
                    f"{source}: expected {what} that has held out our {split} part, got one that has "
                    f"learned {len(both)} of its {column}, {both[0]!r} the first; train it on this split"
                )
