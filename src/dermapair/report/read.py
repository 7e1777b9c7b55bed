"""Reading the files of one run for its report; what they hold is decided where they are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermapair.config import Recipe, load_recipe
from dermapair.errors import RunError
from dermapair.inference.model import ModelFacts, read_facts, weights_digest
from dermapair.training.checkpoint import read_lines


@dataclass(frozen=True)
class RunFiles:
    """What a run folder holds, apart from weights.

    Attributes:
        recipe: resolved.
        facts: of `model.json`.
        journal: one entry per epoch, in order.
        results: of `results.json`.
        predictions: `lesion_id, readout, split, truth` and one column per class.
        manifest: of `manifest.json`.
        maps: of `maps.json`, which `dermapair explain --data` writes; None where it is not there.
    """

    recipe: Recipe
    facts: ModelFacts
    journal: list[dict[str, Any]]
    results: dict[str, Any]
    predictions: pl.DataFrame
    manifest: dict[str, Any]
    maps: dict[str, Any] | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """Results of the readout `both`, which a user is shown."""
        both: dict[str, Any] = self.results["readouts"]["both"]
        return both

    @property
    def readouts(self) -> list[str]:
        """Readouts that the run has, `both` first."""
        return ["both", *(readout for readout in self.results["readouts"] if readout != "both")]

    @property
    def classes(self) -> list[str]:
        """Class names, those with most cases first (the task's order among equals)."""
        return sorted(self.results["classes"], key=lambda name: -self.shown["per_class"][name]["n"])

    def scored(self, readout: str) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """Return the scored lesions of a readout, and their (n, K) probabilities in the task's order."""
        rows = self.predictions.filter(
            pl.col("split") == self.results["split"],
            pl.col("readout") == readout,
            pl.col("truth").is_not_null(),
        )
        return rows, rows.select(self.results["classes"]).to_numpy()


def read_run(run: Path, *, manifest: dict[str, Any] | None) -> RunFiles:
    """Read a run folder.

    Args:
        run: the folder.
        manifest: what `manifest.json` will say, while the run is being finished; None reads the file.

    Raises:
        RunError: the run is unfinished, or a file is missing or damaged.
    """
    if manifest is None and not (run / "manifest.json").is_file():
        raise RunError(
            f"{run}: expected a finished run with manifest.json; train it to the end with --resume"
        )
    try:
        predictions = pl.read_parquet(run / "predictions.parquet")
    except (FileNotFoundError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{run / 'predictions.parquet'}: {_advice(error)}") from error
    return RunFiles(
        recipe=load_recipe(run / "recipe.toml"),
        facts=read_facts(run),
        journal=read_lines(run / "journal.jsonl"),
        results=_read_json(run / "results.json"),
        predictions=predictions,
        manifest=_read_json(run / "manifest.json") if manifest is None else manifest,
        maps=_read_maps(run) if (run / "maps.json").is_file() else None,
    )


def _read_maps(run: Path) -> dict[str, Any]:
    """Read `maps.json`, if it is of these weights."""
    maps = _read_json(run / "maps.json")
    if maps.get("weights") != weights_digest(run):
        got = "those of another network" if "weights" in maps else "a file that does not name its weights"
        raise RunError(
            f"{run / 'maps.json'}: expected maps of this run's weights, got {got}; measure them again "
            f"(dermapair explain --data), or delete the file"
        )
    return maps


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: {_advice(error)}") from error
    return content


def _advice(error: Exception) -> str:
    """Return the rest of the sentence for a file that could not be read."""
    what = "it is not there" if isinstance(error, FileNotFoundError) else f"it is damaged ({error})"
    return f"expected this file of the run, but {what}; copy the whole run folder, or train again"
