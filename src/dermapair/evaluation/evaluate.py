"""Results: every readout's metrics with 95% intervals, per-class recall with counts, confusion matrices.

Intervals are percentile bootstrap intervals over patients where they are known, else over lesions; of a
recall, Wilson's for so many patients. The numbers themselves are in `metrics`.

Letters: N lesions, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermapair.data.cases import CaseTable
from dermapair.data.lesions import select_lesions
from dermapair.data.task import UNKNOWN, Task
from dermapair.errors import TableError
from dermapair.inference.scores import Array
from dermapair.metrics import METRICS, Interval
from dermapair.metrics.bootstrap import bootstrap, share
from dermapair.metrics.classification import classes_without_cases, confusion_matrix
from dermapair.metrics.isic import ISIC2017_CATEGORIES, isic2017_intervals
from dermapair.types import VIEWS

ISIC2017_AUCS = {
    "melanoma_auc": ("melanoma",),
    "seborrheic_keratosis_auc": ("seborrheic_keratosis",),
    "mean_auc": ("melanoma", "seborrheic_keratosis"),
}
"""Extra figures of tasks that have these classes, as the ISIC 2017 challenge names them."""

ByReadout = Mapping[str, tuple[Sequence[str], Array]]


@dataclass(frozen=True)
class Truth:
    """The labels of one part of a case table.

    Attributes:
        split: which part.
        task: its classes.
        labels: lesion id -> class index, UNKNOWN where the diagnosis is null.
        groups: lesion id -> a number equal for lesions of one patient.
        missing_view: view -> how many of the lesions lack it.
        dropped: lesions of the part whose diagnosis the task leaves out.
    """

    split: str
    task: Task
    labels: dict[str, int]
    groups: dict[str, int]
    missing_view: dict[str, int]
    dropped: frozenset[str] = frozenset()


def truth_of(table: CaseTable, task: Task, *, split: str | None) -> Truth:
    """Return the truth of a split of a case table (None: all lesions)."""
    lesions = select_lesions(table, task, split=split)
    missing: dict[str, int] = {view: sum(not rows for rows in lesions.images[view]) for view in VIEWS}
    return Truth(
        split or "all",
        task,
        dict(zip(lesions.ids, lesions.labels.tolist(), strict=True)),
        dict(zip(lesions.ids, lesions.groups.tolist(), strict=True)),
        missing,
        frozenset(_lesions_of(table, split)) - frozenset(lesions.ids),
    )


def _lesions_of(table: CaseTable, split: str | None) -> pl.Series:
    """Return the lesion ids of a split, all of them for None."""
    frame = table.frame if split is None else table.frame.filter(pl.col("split") == split)
    return frame["lesion_id"]


def evaluate(scores: ByReadout, truth: Truth, *, n_samples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Return results.

    Args:
        scores: by readout, the lesion ids and their (n, K) probabilities.
        truth: labels; lesions without one, or that the task drops, are left out and counted.
        n_samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        What `results.json` holds: plain values; a figure that is not defined is None.

    Raises:
        TableError: a predicted lesion is not in the table's split, or none has a label.
    """
    for readout, (ids, _) in scores.items():
        known = truth.labels.keys() | truth.dropped
        strange = next((lesion for lesion in ids if lesion not in known), None)
        if strange is not None:
            raise TableError(
                f"lesion {strange!r} (readout {readout}) is not in split {truth.split!r} of the table"
            )
    labelled = [lesion for lesion, label in truth.labels.items() if label != UNKNOWN]
    predicted = {lesion for ids, _ in scores.values() for lesion in ids}
    return {
        "task": truth.task.name,
        "classes": list(truth.task.classes),
        "n_lesions": len(labelled),
        "split": truth.split,
        "interval": {
            "level": 0.95,
            "method": "percentile bootstrap over patients, else lesions; of the calibration error basic",
            "n": n_samples,
        },
        "not_predicted": sorted(set(labelled) - predicted),
        "without_truth": len(truth.labels) - len(labelled),
        "outside_the_task": len(predicted & truth.dropped),
        "readouts": {
            readout: _readout(ids, p, truth, n_samples=n_samples, seed=seed)
            for readout, (ids, p) in scores.items()
        },
        "missing_view": truth.missing_view,
    }


def _readout(
    ids: Sequence[str], probabilities: Array, truth: Truth, *, n_samples: int, seed: int
) -> dict[str, Any]:
    """Return the results of one readout."""
    labels, p, groups = scored(ids, probabilities, truth)
    if not len(labels):
        raise TableError(
            f"no predicted lesion of split {truth.split!r} has a diagnosis; nothing can be scored"
        )
    classes = truth.task.classes
    named = {f"class {name}": [k] for k, name in enumerate(classes)}
    figures = bootstrap(
        labels,
        p,
        groups=groups,
        metrics=list(METRICS),
        aucs=named,
        n_samples=n_samples,
        seed=seed,
    )
    absent = classes_without_cases(labels, n_classes=len(classes))
    challenge = _isic2017(labels, p, classes, groups=groups, n_samples=n_samples, seed=seed)
    return {
        "n_lesions": len(labels),
        **{name: plain(figures[name]) for name in METRICS},
        **{name: challenge[name] for name in ISIC2017_AUCS if challenge},
        **({"isic2017": challenge} if challenge else {}),
        "per_class": {
            name: _per_class(labels, p, groups, k, figures[f"class {name}"]) for k, name in enumerate(classes)
        },
        "classes_without_cases": [classes[k] for k in absent],
        "confusion_matrix": confusion_matrix(labels, p).tolist(),
    }


def scored(
    ids: Sequence[str], probabilities: Array, truth: Truth
) -> tuple[NDArray[np.int64], Array, NDArray[np.int64]]:
    """Return labels (n,), probabilities (n, K) and groups (n,) of the lesions that have a diagnosis."""
    labels = np.array([truth.labels.get(lesion, UNKNOWN) for lesion in ids], dtype=np.int64)
    groups = np.array([truth.groups.get(lesion, 0) for lesion in ids], dtype=np.int64)
    known = labels != UNKNOWN
    return labels[known], probabilities[known], groups[known]


def _isic2017(
    labels: NDArray[np.int64],
    p: Array,
    classes: Sequence[str],
    *,
    groups: NDArray[np.int64],
    n_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Return all figures of the ISIC 2017 challenge for tasks that have its classes, else nothing."""
    if not set(ISIC2017_CATEGORIES) <= set(classes):
        return {}
    melanoma, sk = (classes.index(name) for name in ISIC2017_CATEGORIES)
    figures = isic2017_intervals(
        labels == melanoma,
        p[:, melanoma],
        labels == sk,
        p[:, sk],
        groups=groups,
        n_samples=n_samples,
        seed=seed,
    )
    return {name: plain(figure) for name, figure in figures.items()}


def _alone(groups: NDArray[np.int64], mine: NDArray[np.bool_]) -> bool:
    """Tell whether the cases are of fewer than two patients, so that no resample says how others differ."""
    return len(np.unique(groups[mine])) < 2


def _per_class(
    labels: NDArray[np.int64], p: Array, groups: NDArray[np.int64], k: int, auc: Interval
) -> dict[str, Any]:
    """Return one class's counts, recall and AUC with intervals; the AUC's needs cases of two patients."""
    mine = labels == k
    limits = (auc.low, auc.high) if not _alone(groups, mine) else (math.nan, math.nan)
    hits = p[mine].argmax(axis=1) == k
    recall = share(hits, groups[mine])
    return {
        "n": int(mine.sum()),
        "found": int(hits.sum()),
        "recall": _number(recall.value),
        "recall_interval": [_number(recall.low), _number(recall.high)],
        "auc": _number(auc.value),
        "auc_interval": [_number(limit) for limit in limits],
    }


def plain(figure: Interval) -> dict[str, float | None]:
    """Return a figure with its interval as JSON has it."""
    return {"value": _number(figure.value), "low": _number(figure.low), "high": _number(figure.high)}


def _number(value: float) -> float | None:
    """Return a number, or None for one that is not defined: JSON knows no NaN."""
    return float(value) if math.isfinite(value) else None
