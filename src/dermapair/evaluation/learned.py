"""What a run has learned, by its own files: lesions, patients and images of training and validation."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.errors import RunError

LESIONS = "lesions.parquet"
"""File of a run: `lesion_id`, `patient_id`, `image_id` and `split` of its case table."""
BEFORE = "learned_before.parquet"
"""File of a run that started from others: the same of what these, and those before them, have learned."""
IDS = ("lesion_id", "patient_id", "image_id")
LEARNED = {"val": ["train"], "test": ["train", "val"]}
"""Our split -> parts of the other run that it must not share; validation chose that run's epoch."""


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


def learned_before(run: Path) -> pl.DataFrame:
    """Return what the runs before a run have learned; of a run that came from none, no row."""
    path = run / BEFORE
    return pl.read_parquet(path) if path.is_file() else lesions_of(run).clear()


def learned(run: Path, *, held_out: str) -> pl.DataFrame:
    """Return the rows of what a run and those before it have learned and must not share with a split of ours.

    Raises:
        RunError: as `lesions_of`.
    """
    both = pl.concat([lesions_of(run), learned_before(run)], how="diagonal_relaxed")
    return both.filter(pl.col("split").is_in(LEARNED.get(held_out, ["train", "val"])))
