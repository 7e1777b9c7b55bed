"""A network that takes its maps from another run must not be tested on lesions which that run has learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable
from dermapair.errors import LeakError, RunError

LESIONS = "lesions.parquet"
"""File of a run: `lesion_id`, `patient_id`, `image_id` and `split` of its case table."""
BEFORE = "learned_before.parquet"
"""File of a run that started from others: the same of what these, and those before them, have learned."""
IDS = ("lesion_id", "patient_id", "image_id")
LEARNED = {"val": ["train"], "test": ["train", "val"]}
"""Our split -> parts of the other run that it must not share; validation chose that run's epoch."""


def write_lesions(table: CaseTable, out: Path, *, sources: Sequence[Path] = ()) -> None:
    """Write what a run has trained on and held out, and what the runs that it came from have learned."""
    table.frame.select(*IDS, "split").unique(maintain_order=True).write_parquet(out / LESIONS)
    before = [frame for source in sources for frame in (lesions_of(source), _before(source))]
    if before:
        learned = pl.concat(before, how="diagonal_relaxed").filter(pl.col("split").is_in(["train", "val"]))
        learned.unique(maintain_order=True).write_parquet(out / BEFORE)


def sources_of(recipe: Recipe) -> list[Path]:
    """Return the runs whose weights or maps a run takes."""
    network = recipe.network
    found = [recipe.crop.run, network.weights if network.from_run else ""]
    found += [network.cam_source if network.pooling == "cam_bp" and network.cam_source != "self" else ""]
    return [Path(run) for run in found if run]


def _before(run: Path) -> pl.DataFrame:
    """Return what the runs before a run have learned; of a run that came from none, no row."""
    path = run / BEFORE
    return pl.read_parquet(path) if path.is_file() else lesions_of(run).clear()


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
    theirs = pl.concat([lesions_of(source), _before(source)], how="diagonal_relaxed")
    for split, parts in LEARNED.items():
        ours, learned = (
            table.frame.filter(pl.col("split") == split),
            theirs.filter(pl.col("split").is_in(parts)),
        )
        for column in (name for name in IDS if name in theirs.columns):  # older runs do not name images
            both = ours[column].drop_nulls().unique(maintain_order=True)
            both = both.filter(both.is_in(learned[column].drop_nulls().implode()))
            if len(both):
                raise LeakError(
                    f"{source}: expected {what} that has held out our {split} part, got one that has "
                    f"learned {len(both)} of its {column}, {both[0]!r} the first; train it on this split"
                )
