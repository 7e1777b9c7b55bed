"""The report's tables: rows of plain values, from the run's files; formatting is the template's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermapair.evaluation.evaluate import ISIC2017_AUCS
from dermapair.metrics.isic import ISIC2017_CATEGORIES
from dermapair.report.figures import THIN
from dermapair.report.read import RunFiles
from dermapair.report.wording import count, direction, metric_name, without_folders

N_MISTAKES = 15
STAGES = {
    "stage1": "stage 1: the whole image",
    "stage2": "stage 2: the part cut out",
    "mean": "mean of both",
    "stage2 - stage1": "stage 2 minus stage 1",
    "mean - stage1": "mean minus stage 1",
}
Row = dict[str, Any]


def metric_rows(files: RunFiles) -> list[Row]:
    """Return one row per metric, with its cells by readout."""
    readouts = files.results["readouts"]
    keys = [key for key, value in files.shown.items() if isinstance(value, dict) and "value" in value]
    return [
        {
            "name": metric_name(key),
            "direction": direction(key),
            "cells": [readouts[r][key] for r in files.readouts],
        }
        for key in keys
    ]


def stage_rows(files: RunFiles) -> list[Row]:
    """Return for each stage of two, then for each difference between them, the figures of `both`."""
    stages = dict(files.results.get("stages") or {})
    differences = stages.pop("differences", {})
    return [
        {"name": STAGES[name], "cells": [by_readout["both"][key] for key in stage_metrics(files)]}
        for name, by_readout in (stages | differences).items()
    ]


def stage_metrics(files: RunFiles) -> list[str]:
    """Return the metrics that the stages are compared by: those of ISIC 2017 where the task has them."""
    return [key for key in ("accuracy", "macro_auc", "macro_f1", *ISIC2017_AUCS) if key in files.shown]


def challenge_rows(files: RunFiles) -> list[Row]:
    """Return what the ISIC 2017 challenge listed of `both`, by category, and the mean."""
    found = files.shown.get("isic2017") or {}
    names = (*ISIC2017_CATEGORIES, "mean") if found else ()
    kinds = [key.removeprefix("mean_") for key in found if key.startswith("mean_")]
    return [{"name": name, "cells": {kind: found[f"{name}_{kind}"] for kind in kinds}} for name in names]


def class_rows(files: RunFiles) -> list[Row]:
    """Return one row per class: figures of `both`, and the recall of the other readouts beside it."""
    rows = []
    for name in files.classes:
        beside = [files.results["readouts"][r]["per_class"][name]["recall"] for r in files.readouts[1:]]
        entry = files.shown["per_class"][name]
        rows.append({"name": name, **entry, "others": beside, "thin": 0 < entry["n"] < THIN})
    return rows


def confusion(files: RunFiles, readout: str) -> list[Row]:
    """Return one row per true class: its cells hold count, share of the row, and whether it is right."""
    result = files.results["readouts"][readout]
    order = [files.results["classes"].index(name) for name in files.classes]
    counts = np.asarray(result["confusion_matrix"])[np.ix_(order, order)]
    rows = []
    for k, (name, row) in enumerate(zip(files.classes, counts.tolist(), strict=True)):
        n = sum(row)
        cells = [{"count": c, "share": c / n if n else 0.0, "right": i == k} for i, c in enumerate(row)]
        rows.append({"name": name, "n": n, "cells": cells})
    return rows


def mistakes(files: RunFiles) -> list[Row]:
    """Return the wrong answers of `both` in which the network was most confident."""
    rows, p = files.scored("both")
    classes = files.results["classes"]
    truth = np.array([classes.index(name) for name in rows["truth"]], dtype=int)
    named = p.argmax(axis=1)
    wrong = np.flatnonzero(named != truth)
    worst = wrong[np.argsort(-p[wrong, named[wrong]], kind="stable")][:N_MISTAKES]
    return [mistake(rows, p, classes, int(i)) for i in worst]


def mistake(rows: pl.DataFrame, p: NDArray[np.float64], classes: Sequence[str], i: int) -> Row:
    """Return what is said of lesion i of the scored ones."""
    truth, named = rows["truth"][i], int(p[i].argmax())
    return {
        "lesion": rows["lesion_id"][i],
        "truth": truth,
        "predicted": classes[named],
        "p_predicted": float(p[i, named]),
        "p_truth": float(p[i, classes.index(truth)]),
    }


def count_rows(files: RunFiles) -> list[Row]:
    """Return the number of lesions by class (last: without diagnosis) and split; None where not recorded."""
    lesions = files.predictions.unique(["lesion_id", "split"])
    counted = {(s, t): n for s, t, n in lesions.group_by("split", "truth").agg(pl.len()).rows()}
    train = files.manifest["data"].get("train_classes")
    rows = [
        {
            "name": name,
            "train": train.get(name, 0) if train else None,
            "val": counted.get(("val", name), 0),
            "test": counted.get(("test", name), 0),
        }
        for name in files.classes
    ]
    without = files.manifest["data"].get("lesions_without_diagnosis") or {}
    missing = {split: counted.get((split, None), 0) for split in ("val", "test")}
    if any(missing.values()) or without.get("train"):
        rows.append({"name": "no diagnosis", "train": without.get("train", 0), **missing})
    return [*rows, _total(files, rows)]


def _total(files: RunFiles, rows: list[Row]) -> Row:
    sums = {split: sum(row[split] for row in rows) for split in ("val", "test")}
    left_out = (files.manifest["data"].get("lesions_without_diagnosis") or {}).get("train", 0)
    return {"name": "all", "train": files.manifest["data"]["train_lesions"] + left_out, **sums}


def speed(files: RunFiles) -> Row:
    """Return images/s over the whole training, and the share of its time that it waited for data."""
    seconds = sum(line["train_s"] for line in files.journal)
    images = sum(line["images_per_s"] * line["train_s"] for line in files.journal)
    waited = sum(line["waited_s"] for line in files.journal)
    return {
        "epochs": len(files.journal),
        "images_per_s": images / seconds if seconds else None,
        "waited": waited / seconds if seconds else None,
    }


def map_rows(files: RunFiles) -> list[Row]:
    """Return one row per view and readout with the figures of its maps, the baselines of the view first."""
    names = {"own": "own maps", "cross": "maps of cross", "both": "maps of both"}
    names |= {"chance": "a constant map", "middle": "the middle of the image"}
    return [
        {
            "view": view,
            "name": names[name],
            "baseline": name in figures["baselines"],
            "n": entry.get("n", figures["n"]),
            "cells": [entry.get(key) for key in ("pointing_game", "mass_inside", "box_iou")],
        }
        for view, figures in (files.maps or {"views": {}})["views"].items()
        for name, entry in (figures["baselines"] | figures["readouts"]).items()
    ]


def faithfulness_rows(files: RunFiles) -> list[Row]:
    """Return one row per view with the areas of its curves and the correlations with randomised weights."""
    return [
        {
            "view": view,
            "n": f["n"],
            "cells": [f[c][order] for c in ("deletion", "insertion") for order in f[c] if order != "over"]
            + list(f["randomised"].values()),
        }
        for view, f in (files.maps or {"faithfulness": {}})["faithfulness"].items()
    ]


def facts(files: RunFiles) -> list[tuple[str, str]]:
    """Return name and value of what is known about the training and its machine."""
    machine, pace = files.manifest["machine"], speed(files)
    cores = f"{count(machine['cores'], 'core')}, {count(machine['threads'], 'thread')}"
    minutes, seconds = divmod(round(files.manifest["seconds"]), 60)
    rate = "not recorded" if pace["images_per_s"] is None else f"{pace['images_per_s']:,.1f} images/s"
    share = "" if pace["waited"] is None else f", {100 * pace['waited']:.1f}% of the time waiting for data"
    return [
        ("Starting weights", without_folders(files.facts.started_from)),
        ("Parameters", f"{files.manifest['network']['parameters']:,}"),
        ("Time", f"{minutes} min {seconds} s from start to results, {count(pace['epochs'], 'epoch')}"),
        ("Training speed", rate + share),
        ("Machine", f"{machine['device']}, {cores}"),
        ("System", machine["platform"]),
        ("Precision", machine["precision"]),
        ("Weights of both", ", ".join(f"{r} {w:.3g}" for r, w in files.facts.combine_weights.items())),
        ("Versions", ", ".join(f"{name} {v}" for name, v in files.manifest["versions"].items())),
    ]
