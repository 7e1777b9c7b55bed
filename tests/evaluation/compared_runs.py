"""Run folders to compare, written by hand: what `compare` reads of a finished run, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.config import Recipe, to_toml
from dermapair.inference.model import ModelFacts

CLASSES = ("nevus", "melanoma", "other")
TRUTH = ("nevus",) * 12 + ("melanoma",) * 8 + ("other",) * 4
IDS = tuple(f"L{i:02}" for i in range(len(TRUTH)))


def draw(seed: int, *, skill: float = 1.0) -> np.ndarray:
    """Return (24, 3) probabilities; more skill, more often right."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(TRUTH), 3))
    logits[np.arange(len(TRUTH)), [CLASSES.index(name) for name in TRUTH]] += skill
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def make(
    folder: Path,
    p: np.ndarray | None = None,
    *,
    ids: Sequence[str] = IDS,
    truth: Sequence[str | None] = TRUTH,
    classes: Sequence[str] = CLASSES,
    recipe: Recipe | None = None,
    trained: Sequence[str] = ("T0", "T1"),
    patients: Mapping[str, str] | None = None,
    finished: bool = True,
    split: str = "test",
    **facts: Any,
) -> Path:
    """Write a run; its weights are its own name, so that no two runs have the same."""
    recipe = recipe or Recipe(name="tiny")
    p = draw(0) if p is None else p
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(folder.name.encode())
    (folder / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    said = ModelFacts(
        recipe=recipe.name,
        task="diagnosis",
        classes=tuple(classes),
        class_of={name: name for name in classes},
        diagnoses=tuple(classes),
        network=recipe.network,
        data=recipe.data,
        predict=recipe.predict,
        combine_weights={"clinical": 1.0},
        precision="fp32",
        started_from="random weights",
        **facts,
    )
    (folder / "model.json").write_text(said.model_dump_json(), encoding="utf-8")
    frame = pl.DataFrame({"lesion_id": ids, "readout": "both", "split": split})
    frame = frame.with_columns(pl.Series("truth", truth, dtype=pl.String))
    frame.hstack(pl.DataFrame(p, schema=list(classes))).write_parquet(folder / "predictions.parquet")
    known = dict(patients or {})
    lesions = [(i, known.get(i), f"{i}.jpg", split) for i in ids]
    lesions += [(i, known.get(i), f"{i}.jpg", "train") for i in trained]
    schema = dict.fromkeys(("lesion_id", "patient_id", "image_id", "split"), pl.String)
    pl.DataFrame(lesions, schema=schema, orient="row").write_parquet(folder / "lesions.parquet")
    if finished:
        (folder / "manifest.json").write_text(json.dumps({"data": {"adapter": "csv"}}), encoding="utf-8")
    return folder
