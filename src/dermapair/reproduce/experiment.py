"""One experiment from recipe to report: train, fit, predict, evaluate, write the page, then the manifest."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from dermapair.config import Recipe
from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Lesions, select_lesions
from dermapair.data.store import Store, open_pixels, unreadable
from dermapair.data.task import UNKNOWN, build_task
from dermapair.errors import DermapairError, TableError
from dermapair.evaluation import evaluate, evaluate_stages, truth_of
from dermapair.inference.model import (
    ModelFacts,
    cam_facts,
    load_model,
    load_stage_one,
    read_facts,
    save_model,
)
from dermapair.inference.scores import Scores, scores_frame, with_stages
from dermapair.report import write_report
from dermapair.reproduce.boxes import run_name, with_stage_one
from dermapair.reproduce.held_out import sources_of, with_cam_source, with_pretrained, write_lesions
from dermapair.training.checkpoint import read_lines
from dermapair.training.fit import fit_weights
from dermapair.training.loop import OnStep, Report, train
from dermapair.training.state import Trained, TrainingData
from dermapair.training.validation import score_all
from dermapair.types import VIEWS, View

SCHEMA_VERSION = 1
STAGES_FILE = "stages.parquet"
"""File of a run of two stages: what each stage, and the mean of both, say of validation and test."""


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
    first = load_stage_one(recipe.crop.run)
    save_model(out, trained.scorer.network, _facts(trained, data), stage_one=first)
    results = _predict_and_evaluate(trained, parts, data, table, out)
    epochs = read_lines(out / "journal.jsonl")  # all of them, also those before a kill
    seconds = sum(line["train_s"] + line["val_s"] for line in epochs) + time.perf_counter() - trained_at
    write_lesions(table, out, sources=sources_of(recipe))
    manifest = _manifest(trained, data, table, left_out, seconds=seconds)
    write_report(out, manifest=manifest)
    write_whole(out / "manifest.json", _json(manifest))
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
    stage_one = read_facts(Path(recipe.crop.run)) if recipe.crop.run else None
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


def _predict_and_evaluate(
    trained: Trained, parts: dict[str, Lesions], data: TrainingData, table: CaseTable, out: Path
) -> dict[str, Any]:
    """Write `predictions.parquet` (validation and test) and `results.json`; return the latter."""
    frames, stages, results = [], [], {}
    for split, lesions in parts.items():
        if split == "train":
            continue
        scores = _both_stages(trained, lesions, data, table)
        frames.append(_with_truth(scores_frame(scores), lesions, data.task.classes, split))
        stages += [
            _with_truth(scores_frame(scores, stage=stage), lesions, data.task.classes, split, stage=stage)
            for stage in scores.stages
        ]
        present = _present(scores.probabilities, scores.ids)
        if present and (lesions.labels != UNKNOWN).any():
            truth = truth_of(table, data.task, split=split)
            each = {stage: _present(p, scores.ids) for stage, p in scores.stages.items()}
            results[split] = evaluate(present, truth) | {"errors": list(scores.errors)}
            results[split] |= {"stages": evaluate_stages(each, truth)} if each else {}
    pl.concat(frames).write_parquet(out / "predictions.parquet")
    if stages:
        pl.concat(stages).write_parquet(out / STAGES_FILE)
    chosen = results.get("test", results["val"])
    write_whole(out / "results.json", _json(chosen))
    return chosen


def _both_stages(trained: Trained, lesions: Lesions, data: TrainingData, table: CaseTable) -> Scores:
    """Return the scores of a run, of two stages with those of the first beside."""
    scores = score_all(trained.scorer, lesions, data.source)
    crop = trained.recipe.crop
    if not crop.run:
        return scores
    first, facts = load_model(Path(crop.run), device=trained.scorer.device, precision="fp32")
    return with_stages(score_all(first, lesions, open_pixels(table, facts.data)), scores, how=crop.combine)


def _present(probabilities: Mapping[str, Any], names: Sequence[str]) -> dict[str, tuple[list[str], Any]]:
    """Return by readout the lesions that have it, and their probabilities."""
    result = {}
    for readout, p in probabilities.items():
        rows = np.flatnonzero(~np.isnan(p[:, 0]))
        if len(rows):
            result[readout] = ([names[i] for i in rows.tolist()], p[rows])
    return result


def _with_truth(
    scores: pl.DataFrame, lesions: Lesions, classes: tuple[str, ...], split: str, *, stage: str = ""
) -> pl.DataFrame:
    """Return predictions with `stage`, `split` and `truth` (null where unknown) among the columns."""
    names = [classes[label] if label != UNKNOWN else None for label in lesions.labels]
    truth = pl.DataFrame({"lesion_id": lesions.ids, "truth": pl.Series(names, dtype=pl.String)})
    frame = scores.join(truth, on="lesion_id", how="left", maintain_order="left")
    of = [pl.lit(stage).alias("stage")] if stage else []
    return frame.select("lesion_id", *of, "readout", pl.lit(split).alias("split"), "truth", *classes)


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


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
