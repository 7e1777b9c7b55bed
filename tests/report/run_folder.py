"""A small run folder made without training: three classes, four readouts, results by the real evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.config import Recipe, to_toml
from dermapair.data.task import Task
from dermapair.evaluation import evaluate
from dermapair.evaluation.evaluate import Truth
from dermapair.inference.model import ModelFacts
from dermapair.training.checkpoint import append_line
from dermapair.types import READOUTS

HOSTILE = "<b>x</b>"
CLASSES = ("nevus", HOSTILE, "absent")
LABELS = np.array([0] * 30 + [1] * 6)


def make_run(folder: Path, *, finished: bool = True, seed: int = 0) -> Path:
    """Write a run folder; `absent` has no case, so that its AUC is not defined."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    ids = [f"lesion_{i}" for i in range(len(LABELS))]
    scores = {readout: (ids, rng.dirichlet(np.ones(3), len(ids))) for readout in READOUTS}
    task = Task("diagnosis", CLASSES, {name: name for name in CLASSES}, CLASSES)
    truth = Truth(
        "test", task, dict(zip(ids, LABELS.tolist(), strict=True)), {n: i for i, n in enumerate(ids)},
        {"clinical": 3, "dermoscopic": 0},
    )  # fmt: skip
    results = evaluate(scores, truth, n_samples=50) | {
        "errors": [["lesion_99", "/home/me/a b/pic.jpg: empty"]]
    }
    recipe = Recipe(name="tiny")
    _write(folder / "results.json", results)
    (folder / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    (folder / "model.json").write_text(_facts(recipe).model_dump_json(), encoding="utf-8")
    frames = [_frame(scores[r], r, split) for split in ("val", "test") for r in READOUTS]
    pl.concat(frames).write_parquet(folder / "predictions.parquet")
    for epoch in (1, 2):
        append_line(folder / "journal.jsonl", journal_line(epoch))
    if finished:
        _write(folder / "manifest.json", manifest())
    return folder


def _frame(scores: tuple[list[str], Any], readout: str, split: str) -> pl.DataFrame:
    ids, p = scores
    named = {"lesion_id": ids, "readout": readout, "split": split, "truth": [CLASSES[k] for k in LABELS]}
    return pl.DataFrame(named | {name: p[:, k] for k, name in enumerate(CLASSES)})


def _facts(recipe: Recipe) -> ModelFacts:
    return ModelFacts(
        recipe="tiny",
        task="diagnosis",
        classes=CLASSES,
        class_of={name: name for name in CLASSES},
        diagnoses=CLASSES,
        network=recipe.network,
        data=recipe.data,
        predict=recipe.predict,
        combine_weights={"clinical": 1.0, "dermoscopic": 1.0, "cross": 1.0},
        precision="fp32",
        started_from="ImageNet weights (/home/me/weights/net.safetensors)",
    )


def journal_line(epoch: int) -> dict[str, Any]:
    """Return one epoch of a journal."""
    return {
        "epoch": epoch,
        "lr": 0.001 / epoch,
        "loss": dict.fromkeys(READOUTS[:3], 1.0 / epoch),
        "val": {readout: {"macro_auc": 0.6 + 0.1 * epoch, "accuracy": None} for readout in READOUTS},
        "train_s": 2.0,
        "waited_s": 0.5,
        "images_per_s": 40.0,
        "val_s": 1.0,
        "best_epoch": epoch,
    }


def manifest() -> dict[str, Any]:
    """Return the manifest of the run."""
    return {
        "schema_version": 1,
        "recipe": "tiny",
        "seed": 7,
        "best_epoch": 2,
        "validation": {"readout": "both", "metric": "macro_auc", "value": 0.8},
        "data": {
            "cases": "/home/me/secret/cases one",
            "adapter": "phantom",
            "split": {"val": 0.2, "test": 0.3, "seed": 5},
            "images": 144,
            "lesions": 72,
            "bayes_accuracy": dict.fromkeys(READOUTS, 0.9),
            "train_lesions": 36,
            "val_lesions": 36,
            "unreadable_images": {"bad_image": "truncated"},
            "lesions_without_diagnosis": {"train": 0, "val": 0},
        },
        "network": {"kind": "triple", "parameters": 1234567},
        "seconds": 61.0,
        "machine": {"platform": "Linux", "cores": 2, "threads": 1, "device": "cpu", "precision": "fp32"},
        "versions": {"python": "3.11", "dermapair": "0.1.0"},
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
