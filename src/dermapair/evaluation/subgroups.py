"""What the readout `both` reaches in groups of lesions, and whether the largest gap between them is chance.

All groups share the resamples of whole patients, so that a patient with lesions in two groups counts equally
often on both sides. How the largest gap is tested is in `metrics.groups`.

Letters: N lesions, K classes, G groups, S bootstrap samples.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermapair.data.cases import CaseTable
from dermapair.data.task import UNKNOWN
from dermapair.evaluation.attributes import Attribute, attributes_of
from dermapair.evaluation.evaluate import Truth, plain, scored
from dermapair.inference.decisions import OperatingPoint
from dermapair.inference.model import ModelFacts
from dermapair.inference.scores import Array
from dermapair.metrics import METRICS
from dermapair.metrics.arrays import Bools, Floats, Ints
from dermapair.metrics.bootstrap import concatenated, interval_of, share
from dermapair.metrics.comparison import holm
from dermapair.metrics.groups import largest_gap
from dermapair.metrics.resampling import resamples
from dermapair.metrics.weighted_classes import WEIGHTED

LEAST = 20
"""Patients where known, else lesions, that a group needs to be measured."""
LEAST_OF_CLASS = 10
"""Lesions of a class that every group needs for the class to count in gaps of `MEANS`."""
MEANS = tuple(name for name in METRICS if name.startswith("macro_") or name == "balanced_accuracy")
"""Metrics that are means over classes: groups are compared by them over the same classes only."""
UNTESTED = ("expected_calibration_error",)
"""Metrics whose gaps are shown without a test: they grow as lesions get fewer, so size alone makes a gap."""
LEVEL = 0.95
OWN, ALIKE = "all lesions of the group", "those of the classes that are compared"
Key = tuple[str, str, str]
"""Attribute, group, and `OWN` or `ALIKE`."""
Measured = Mapping[str, tuple[float, Floats]]
"""Metric -> value, and its values in the resamples (S,)."""


@dataclass(frozen=True)
class Scored:
    """N lesions with what is said of them.

    Attributes:
        labels: (N,) class indices.
        p: (N, K) probabilities.
        patients: (N,) a number equal for lesions of one patient.
        classes: K names.
        points: operating points of the model.
    """

    labels: Ints
    p: Floats
    patients: Ints
    classes: tuple[str, ...]
    points: tuple[OperatingPoint, ...]

    def take(self, rows: Bools) -> Scored:
        """Return some of the lesions."""
        return Scored(self.labels[rows], self.p[rows], self.patients[rows], self.classes, self.points)


def subgroups(
    both: tuple[Sequence[str], Array],
    truth: Truth,
    table: CaseTable,
    facts: ModelFacts | None,
    *,
    n_samples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return by attribute what `both` reaches in each of its groups, and the largest gaps between them.

    Args:
        both: lesion ids and their (n, K) calibrated probabilities; lesions without a diagnosis are left out.
        truth: labels.
        table: the cases, for skin tone, sex, age, site and source.
        facts: of the model, for its operating points; None: there are none.
        n_samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        By attribute `scale`, how many lesions are `unknown` (of these `disagreeing`: rows differ), `least`,
        `groups` and `gaps`. A group of fewer than `least` patients, else lesions, has counts only. Metrics
        have percentile bootstrap intervals, recalls and operating points Wilson's. A gap names the groups
        with the lowest (`a`) and highest (`b`) figure, b - a, its interval, `p_value`, and `p_holm`, Holm's
        over all attributes and metrics. Means over classes are compared between `compared_groups` and over
        `compared_classes` only, of which `compared` has each group's figures: other classes would make a gap
        by themselves.
    """
    labels, p, patients = scored(*both, truth)
    ids = [lesion for lesion in both[0] if truth.labels.get(lesion, UNKNOWN) != UNKNOWN]
    whole = Scored(labels, p, patients, truth.task.classes, facts.operating_points if facts else ())
    found = attributes_of(table, ids)
    parts = {name: _groups_of(attribute) for name, attribute in found.items()}
    chunks = resamples(len(labels), groups=patients, n_samples=n_samples, seed=seed, y_true=labels)
    measured = _measure(_jobs(parts, whole), whole, chunks)
    result = {
        name: {
            "scale": attribute.scale,
            "unknown": sum(value is None for value in attribute.values),
            "disagreeing": attribute.disagreeing,
            "least": LEAST,
            "groups": {
                group: _group(
                    whole.take(rows), measured.get((name, group, OWN)), measured.get((name, group, ALIKE))
                )
                for group, rows in parts[name].items()
            },
            **_gaps(name, parts[name], whole, measured),
        }
        for name, attribute in found.items()
    }
    _adjust([gap for entry in result.values() for gap in entry["gaps"].values()])
    return result


def _groups_of(attribute: Attribute) -> dict[str, Bools]:
    """Return by group which lesions (N,) are in it; those of unknown value are in none."""
    values = np.array(attribute.values, dtype=object)
    return {group: np.asarray(values == group, dtype=bool) for group in attribute.groups}


def _large(groups: Mapping[str, Bools], whole: Scored) -> list[str]:
    """Return the groups that are large enough to be measured."""
    return [name for name, rows in groups.items() if len(np.unique(whole.patients[rows])) >= LEAST]


def _compared(groups: Mapping[str, Bools], whole: Scored) -> tuple[list[str], Ints]:
    """Return the groups that are compared by means over classes, and the classes.

    All large groups, without the smallest ones until the rest have two classes in common.
    """
    names = sorted(_large(groups, whole), key=lambda name: int(groups[name].sum()))
    n_classes = len(whole.classes)
    counts = [np.bincount(whole.labels[groups[name]], minlength=n_classes) for name in names]
    for first in range(len(names) - 1):
        shared = np.flatnonzero(np.min(counts[first:], axis=0) >= LEAST_OF_CLASS)
        if len(shared) >= 2:
            return [name for name in groups if name in names[first:]], shared
    return [], np.array([], dtype=np.int64)


def _jobs(parts: Mapping[str, Mapping[str, Bools]], whole: Scored) -> dict[Key, Bools]:
    """Return which lesions (N,) each group's figures are of, and its figures of compared classes."""
    jobs: dict[Key, Bools] = {}
    for attribute, groups in parts.items():
        jobs |= {(attribute, name, OWN): groups[name] for name in _large(groups, whole)}
        names, classes = _compared(groups, whole)
        alike = np.isin(whole.labels, classes)
        jobs |= {(attribute, name, ALIKE): groups[name] & alike for name in names}
    return jobs


def _measure(jobs: Mapping[Key, Bools], whole: Scored, chunks: Iterable[Floats]) -> dict[Key, Measured]:
    """Return by job and metric the value on its lesions and those of the resamples (S,)."""
    drawn: dict[Key, list[dict[str, Floats]]] = defaultdict(list)
    metrics = {OWN: tuple(METRICS), ALIKE: MEANS}
    for weights in chunks:
        for key, rows in jobs.items():
            of, w = whole.take(rows), weights[rows]
            drawn[key].append({name: WEIGHTED[name](of.labels, of.p, w) for name in metrics[key[2]]})
    return {
        key: {
            name: (METRICS[name](whole.labels[jobs[key]], whole.p[jobs[key]]), samples)
            for name, samples in concatenated(each).items()
        }
        for key, each in drawn.items()
    }


def _group(of: Scored, measured: Measured | None, compared: Measured | None) -> dict[str, Any]:
    """Return what one group reaches; only counts where nothing was measured."""
    entry = {"n": len(of.labels), "patients": len(np.unique(of.patients)), "too_few": measured is None}
    if measured is None:
        return entry
    named = of.p.argmax(axis=1)
    recalls = {}
    for k, name in enumerate(of.classes):
        mine = of.labels == k
        hits = share(named[mine] == k, of.patients[mine])
        recalls[name] = {"n": int(mine.sum()), "recall": plain(hits)}
    return entry | {
        "metrics": _figures(measured),
        "compared": _figures(compared or {}),
        "per_class": recalls,
        "points": {point.name: _point(point, of) for point in of.points},
    }


def _figures(measured: Measured) -> dict[str, Any]:
    """Return figures with their percentile intervals."""
    return {name: plain(interval_of(name, v, samples, LEVEL)) for name, (v, samples) in measured.items()}


def _point(point: OperatingPoint, of: Scored) -> dict[str, Any]:
    """Return what an operating point reaches in one group."""
    positive = np.isin(of.labels, [of.classes.index(name) for name in point.classes])
    called = point.decide(of.p, of.classes)
    return {
        "cases": int(positive.sum()),
        "others": int((~positive).sum()),
        "sensitivity": plain(share(called[positive], of.patients[positive])),
        "specificity": plain(share(~called[~positive], of.patients[~positive])),
    }


def _gaps(
    attribute: str,
    groups: Mapping[str, Bools],
    whole: Scored,
    measured: Mapping[Key, Measured],
) -> dict[str, Any]:
    """Return `compared_groups`, `compared_classes`, and by metric the largest gap between two groups."""
    large, (alike, classes) = _large(groups, whole), _compared(groups, whole)
    gaps = {}
    for metric in METRICS:
        names, kind = (alike, ALIKE) if metric in MEANS else (large, OWN)
        figures = [measured[attribute, name, kind][metric] for name in names]
        values = np.array([value for value, _ in figures])
        if np.isfinite(values).sum() < 2:
            continue
        tested = metric not in UNTESTED
        samples = np.stack([drawn if tested else np.full(1, np.nan) for _, drawn in figures])
        a, b, gap = largest_gap(values, samples, level=LEVEL)
        p = {"p_value": gap.p_value if math.isfinite(gap.p_value) else None}
        gaps[metric] = {"a": names[a], "b": names[b], **plain(gap), **p}
    return {
        "compared_groups": alike,
        "compared_classes": [whole.classes[k] for k in classes],
        "gaps": gaps,
    }


def _adjust(gaps: Sequence[dict[str, Any]]) -> None:
    """Write `p_holm`, over all of the gaps, into each."""
    adjusted = holm([math.nan if gap["p_value"] is None else gap["p_value"] for gap in gaps])
    for gap, p in zip(gaps, adjusted.tolist(), strict=True):
        gap["p_holm"] = p if math.isfinite(p) else None
