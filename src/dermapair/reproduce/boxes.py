"""Boxes for a whole case table: of one run, or cross-fitted for the lesions that it has learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dermapair.config import CropSettings, Recipe
from dermapair.data.boxes import check_rule, read_box_frame, write_boxes
from dermapair.data.cases import CaseTable
from dermapair.data.task import build_task
from dermapair.errors import LeakError, RecipeError, RunError, TableError
from dermapair.evaluation.learned import lesions_of
from dermapair.inference.boxes import Found, find_boxes
from dermapair.inference.model import read_facts, weights_digest
from dermapair.inference.predictor import load
from dermapair.reproduce.held_out import check_held_out

SAME = (
    "kind",
    "view",
    "backbone",
    "head",
    "cut",
    "extra",
    "extra_groups",
    "unpadded",
    "pooling",
    "share",
    "tap",
)
"""Keys of [network] in which both stages must agree."""


def make_boxes(
    run: Path,
    table: CaseTable,
    out: Path,
    *,
    settings: CropSettings,
    folds: Sequence[Path] = (),
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write `boxes.parquet` for every image of a case table that the run takes.

    Maps of a network that has seen an image in training point more sharply than those of a new one (Jia &
    Shen 2017 cut by such maps). With `folds`, images of lesions that `run` was trained on get the box of the
    first of these runs which has neither trained on the lesion nor chosen its epoch by it.

    Args:
        run: stage one.
        table: the cases.
        out: the file to write.
        settings: the recipe's `crop` section.
        folds: runs of a cross-validation inside the training part; validation and test must be new to them
            too.
        device: as for `load`.
        progress: called with (images done, images in all).

    Returns:
        `images` with a box, how many of them `cross_fitted`, and `errors`.

    Raises:
        RunError: a run is damaged, has two stages, or does not say what it has learned.
        LeakError: a fold has learned a lesion or patient of our validation or test part, or every fold one of
            the training part.
    """
    runs = [run, *folds]
    for each in runs:
        if read_facts(each).stage_one:
            raise RunError(f"{each}: expected a run of one stage, got one of two; name its stage one")
    source = _sources(runs, table)
    found, done, total = Found([], []), 0, len(source)
    for number, each in enumerate(runs):
        rows = [row for row, of in enumerate(source) if of == number]
        if rows:
            part = find_boxes(
                load(each, device=device),
                table,
                settings,
                rows=rows,
                progress=lambda n, before=done: progress(before + n, total),  # type: ignore[misc]
            )
            origin = {"fold": number if folds else None, "run": run_name(each)}
            found.rows.extend(row | origin for row in part.rows)
            found.errors.extend(part.errors)
        done += len(rows)
    write_boxes(found.rows, out, settings)
    return {
        "boxes": str(out),
        "images": len(found.rows),
        "cross_fitted": sum(bool(row["fold"]) for row in found.rows),
        "errors": found.errors,
    }


def with_stage_one(recipe: Recipe, table: CaseTable) -> Recipe:
    """Return a recipe of stage two with absolute paths, if stage one has held out what this run will.

    Images of validation and test must be cut by stage one itself, as the trained run will cut them.

    Raises:
        RunError: stage one is unfinished, or does not say what it was trained on.
        LeakError: it has learned a lesion or patient of our validation or test part.
        TableError: the boxes cannot be read, or some of those images were cut by another run.
    """
    if not recipe.crop.run:
        return recipe
    run, boxes = Path(recipe.crop.run).resolve(), Path(recipe.data.boxes).resolve()
    check_held_out(run, table, what="a stage one")
    _check_same(recipe, table, run)
    frame, name = read_box_frame(boxes), run_name(run)
    check_rule(boxes, recipe.crop)
    held_out = table.frame.filter(pl.col("split").is_in(["val", "test"]))["image_id"]
    others = frame.filter(pl.col("image_id").is_in(held_out.implode()) & pl.col("run").ne_missing(name))
    if len(others):
        raise TableError(
            f"{boxes}: expected boxes of validation and test images by stage one ({name}), got "
            f"{others['image_id'][0]!r} by {others['run'][0]}; write them with `dermapair boxes {run}`"
        )
    crop = recipe.crop.model_copy(update={"run": str(run)})
    data = recipe.data.model_copy(update={"boxes": str(boxes)})
    return recipe.model_copy(update={"crop": crop, "data": data})


def _check_same(recipe: Recipe, table: CaseTable, run: Path) -> None:
    """Refuse a stage one with another network or other classes: its weights are where training starts."""
    facts = read_facts(run)
    classes = build_task(recipe.task, table.diagnoses).classes
    if facts.classes != classes:
        raise RecipeError(
            f"crop.run {run}: expected a stage one with the classes {', '.join(classes)}, got "
            f"{', '.join(facts.classes)}; use one recipe for both"
        )
    for key in SAME:
        ours, theirs = (getattr(settings, key) for settings in (recipe.network, facts.network))
        if ours != theirs:
            raise RecipeError(
                f"crop.run {run}: expected a stage one with network.{key} = {ours!r}, got {theirs!r}; use "
                f"one recipe for both"
            )


def run_name(run: Path) -> str:
    """Return the name of a run in a file of boxes: its folder's, and the start of its weights' digest."""
    return f"{run.resolve().name}:{weights_digest(run)[:12]}"


def _sources(runs: Sequence[Path], table: CaseTable) -> list[int]:
    """Return for each image the number of the run that finds its box; 0 is the one for new images."""
    lesions = table.frame["lesion_id"]
    source = [0] * len(lesions)
    if len(runs) == 1:
        return source
    for fold in runs[1:]:
        check_held_out(fold, table, what="a fold")
    trained = _ids(runs[0], ["train"])
    learned = [_ids(run, ["train", "val"]) for run in runs[1:]]
    for row, lesion in enumerate(lesions):
        if lesion in trained:
            free = [k for k, ids in enumerate(learned, start=1) if lesion not in ids]
            if not free:
                raise LeakError(
                    f"{table.folder}: expected a fold that has not learned lesion {lesion!r}, got "
                    f"{len(learned)} that have; give the runs of all folds"
                )
            source[row] = free[0]
    return source


def _ids(run: Path, splits: Sequence[str]) -> set[str]:
    return set(lesions_of(run).filter(pl.col("split").is_in(splits))["lesion_id"])
