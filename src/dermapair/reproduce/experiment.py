"""One experiment from recipe to report: train, fit, predict, evaluate, write the page, then the manifest."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dermapair.config import Recipe
from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Lesions, select_lesions
from dermapair.data.store import PixelSource, Store, open_pixels, unreadable
from dermapair.data.targets import targets_of
from dermapair.data.task import UNKNOWN, build_task
from dermapair.errors import DermapairError, TableError
from dermapair.inference.forward import Scorer
from dermapair.inference.model import (
    ModelFacts,
    cam_facts,
    load_stage_one,
    load_stages,
    read_facts,
    save_model,
)
from dermapair.inference.scores import Scores, with_stages
from dermapair.report import write_report
from dermapair.reproduce.boxes import run_name, with_stage_one
from dermapair.reproduce.finish import json_text, store_outside, with_decisions, write_results
from dermapair.reproduce.held_out import sources_of, with_cam_source, with_pretrained, write_lesions
from dermapair.training.checkpoint import read_lines
from dermapair.training.fit import fit_weights
from dermapair.training.loop import OnStep, Report, train
from dermapair.training.outside import with_gaussians
from dermapair.training.state import Trained, TrainingData
from dermapair.training.validation import score_all
from dermapair.types import VIEWS, View

SCHEMA_VERSION = 1
Stage = tuple[Scorer, PixelSource]


def run_experiment(
    recipe: Recipe,
    table: CaseTable,
    out: Path,
    *,
    resume: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    strict: bool = False,
    report: Report = lambda line: None,
    on_step: OnStep = lambda epoch, done, steps: None,
) -> dict[str, Any]:
    """Run one experiment into a run folder.

    Args:
        recipe: the experiment.
        table: a case table with the splits `train` and `val`, and `test` if results are wanted on it.
        out: the run folder.
        resume: go on with a half-made run.
        accelerator: as Lightning Fabric takes it.
        devices: processes on this machine.
        strict: stop at an image that cannot be read, instead of listing it.
        report: called with each line of the journal.
        on_step: called after each step.

    Returns:
        The content of `results.json`: of the test part where it has truth, else of the validation part.

    Raises:
        TableError: a split is missing, or has no lesion that the network can look at.
        DermapairError: `strict`, and an image cannot be read.
        RunError, TrainingError, RecipeError: see `training.loop.train`.
    """
    parts = _parts(recipe, table)
    targets = targets_of(recipe.task, build_task(recipe.task, table.diagnoses), table)
    recipe = with_stage_one(with_pretrained(with_cam_source(recipe, table), table), table)
    data, left_out = _training_data(recipe, table, parts)
    if strict and left_out["unreadable_images"]:
        raise _unreadable(left_out["unreadable_images"])

    def each_epoch(line: dict[str, Any]) -> None:
        report(line)
        if strict and line["unreadable"]:
            raise _unreadable(line["unreadable"])

    trained = train(
        recipe,
        data,
        out,
        resume=resume,
        accelerator=accelerator,
        devices=devices,
        report=each_epoch,
        on_step=on_step,
    )
    trained_at = time.perf_counter()
    if not trained.fabric.is_global_zero:
        return {}
    trained = _fitted(trained, data)
    (whole, source), *second = _stages(trained, data, table)
    if recipe.predict.outside:
        whole = with_gaussians(whole, parts["train"], source, seed=recipe.seed)
    stages = [(whole, source), *second]
    raw = {s: _score(stages, of, how=recipe.crop.combine) for s, of in parts.items() if s != "train"}
    facts = with_decisions(_facts(trained, data), raw["val"], parts["val"], targets, recipe.predict)
    facts = store_outside(out, whole, raw["val"], facts, allowed=recipe.predict.outside)
    save_model(out, trained.scorer.network, facts, stage_one=load_stage_one(recipe.crop.run))
    results = write_results(raw, parts, facts, table, out)
    epochs = read_lines(out / "journal.jsonl")  # all of them, also those before a kill
    seconds = sum(line["train_s"] + line["val_s"] for line in epochs) + time.perf_counter() - trained_at
    write_lesions(table, out, sources=sources_of(recipe))
    manifest = _manifest(trained, data, table, left_out, seconds=seconds)
    write_report(out, manifest=manifest)
    write_whole(out / "manifest.json", json_text(manifest))
    return results


def _unreadable(images: dict[str, str]) -> DermapairError:
    """Return the error of a strict run."""
    name, reason = next(iter(images.items()))
    return DermapairError(
        f"{len(images)} images cannot be read, the first is {name}: {reason}; mend or remove them"
    )


def _views(recipe: Recipe) -> tuple[View, ...]:
    return (recipe.network.view,) if recipe.network.kind == "single" else VIEWS


def _parts(recipe: Recipe, table: CaseTable) -> dict[str, Lesions]:
    """Return the lesions of each split that the network can look at; a table may lack `test`."""
    task = build_task(recipe.task, table.diagnoses)
    splits = ["train", "val"] + (["test"] if (table.frame["split"] == "test").any() else [])
    return {split: select_lesions(table, task, split=split, views=_views(recipe)) for split in splits}


def _training_data(
    recipe: Recipe, table: CaseTable, parts: dict[str, Lesions]
) -> tuple[TrainingData, dict[str, Any]]:
    """Return what the loop reads, and which lesions and images were left out and why."""
    source = open_pixels(table, recipe.data)
    bad = dict(unreadable(source)) if isinstance(source, Store) else {}
    rows = {i for i, image in enumerate(table.frame["image_id"]) if image in bad}
    usable: dict[str, Lesions] = {}
    without: dict[str, int] = {}
    for split in ("train", "val"):
        lesions = parts[split].without(rows)
        known = np.flatnonzero(lesions.labels != UNKNOWN)
        usable[split], without[split] = lesions.take(known), len(lesions) - len(known)
    if not len(usable["train"]) or not len(usable["val"]):
        raise TableError(
            f"{table.folder}: expected lesions with a diagnosis in the splits train and val; split again"
        )
    task = build_task(recipe.task, table.diagnoses)
    train_part = usable["train"].one_image_each(seed=recipe.seed)
    return TrainingData(task, train_part, usable["val"], source), {
        "pixels": "prepared store" if isinstance(source, Store) else "original files",
        "unreadable_images": bad,
        "lesions_without_diagnosis": without,
    }


def _fitted(trained: Trained, data: TrainingData) -> Trained:
    """Fit the weights of `both` on validation where the recipe asks for it."""
    if trained.recipe.network.combine != "fitted":
        return trained
    scores = score_all(trained.scorer, data.val, data.source)
    each = {r: p for r, p in scores.probabilities.items() if r != "both"}
    weights = fit_weights(each, data.val.labels)
    return replace(trained, scorer=replace(trained.scorer, weights=weights))


def _facts(trained: Trained, data: TrainingData) -> ModelFacts:
    """Return what `model.json` says."""
    recipe, task = trained.recipe, data.task
    weights, source = (Path(getattr(recipe.network, key)).name for key in ("weights", "cam_source"))
    # Folders are the user's own; what was in them is in the file.
    names = {"weights": f"run {weights}" if recipe.network.from_run else weights}
    names |= {} if recipe.network.cam_source == "self" else {"cam_source": f"run {source}"}
    started = "random weights" if weights == "none" else f"ImageNet weights ({weights})"
    if recipe.network.from_run:
        first = read_facts(Path(recipe.network.weights))
        started = (
            f"the trunk of {names['weights']} ({len(first.classes)} classes), that from {first.started_from}"
        )
    stage_one = read_facts(Path(recipe.crop.run)).undecided() if recipe.crop.run else None
    started = f"the weights of stage one, that from {stage_one.started_from}" if stage_one else started
    return ModelFacts(
        recipe=recipe.name,
        task=task.name,
        classes=task.classes,
        class_of=task.class_of,
        diagnoses=task.diagnoses,
        network=recipe.network.model_copy(update=names),
        data=recipe.data.model_copy(update={"boxes": ""}),
        predict=recipe.predict,
        combine_weights=dict(trained.scorer.weights),
        precision=recipe.train.precision,
        started_from=started,
        cam=cam_facts(recipe.network),
        crop=recipe.crop.model_copy(update={"run": f"run {Path(recipe.crop.run).name}" if stage_one else ""}),
        stage_one=stage_one,
    )


def _stages(trained: Trained, data: TrainingData, table: CaseTable) -> list[Stage]:
    """Return the networks of a run and where their pixels come from: one, or stage one and two."""
    run, own = trained.recipe.crop.run, (trained.scorer, data.source)
    if not run:
        return [own]
    first = load_stages(Path(run), device=trained.scorer.device, precision="fp32")[-1]
    return [(replace(first, outside=None), open_pixels(table, first.data)), own]


def _score(stages: Sequence[Stage], lesions: Lesions, *, how: str) -> Scores:
    """Return the scores of a run, of two stages with those of the first beside."""
    first, *second = (score_all(scorer, lesions, source) for scorer, source in stages)
    return with_stages(first, second[0], how=how) if second else first


def _counts(table: CaseTable, column: str) -> dict[str, int]:
    """Return how many images have each value of a column, the most first."""
    counts = table.frame[column].fill_null("unknown").value_counts(sort=True)
    return dict(counts.rows())


def _manifest(
    trained: Trained, data: TrainingData, table: CaseTable, left_out: dict[str, Any], *, seconds: float
) -> dict[str, Any]:
    """Return what is needed to know where the run's numbers come from."""
    network = trained.scorer.network
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": trained.recipe.name,
        "seed": trained.recipe.seed,
        "best_epoch": trained.epoch,
        "validation": {
            "readout": trained.recipe.train.readout,
            "metric": trained.recipe.train.metric,
            "value": trained.value if np.isfinite(trained.value) else None,
        },
        "stage_one": run_name(Path(trained.recipe.crop.run)) if trained.recipe.crop.run else None,
        "data": {
            "cases": str(table.folder),
            **{key: table.manifest.get(key) for key in ("adapter", "phantom", "split", "images", "lesions")},
            "bayes_accuracy": table.manifest.get("bayes_accuracy"),
            "patients": table.frame["patient_id"].drop_nulls().n_unique() or None,
            "licenses": _counts(table, "license"),
            "sources": _counts(table, "source"),
            "train_lesions": len(data.train),
            "train_classes": dict(
                zip(
                    data.task.classes,
                    np.bincount(data.train.labels, minlength=len(data.task.classes)).tolist(),
                    strict=True,
                )
            ),
            "val_lesions": len(data.val),
            **left_out,
        },
        "network": {
            "kind": trained.recipe.network.kind,
            "parameters": sum(p.numel() for p in network.parameters()),
        },
        "seconds": round(seconds, 1),
        "machine": {
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": str(trained.scorer.device),
            "precision": trained.recipe.train.precision,
            "processes": trained.fabric.world_size,
        },
        "versions": {"python": platform.python_version()}
        | {
            name: version(name)
            for name in ("dermapair", "torch", "torchvision", "timm", "lightning", "numpy")
        },
    }
