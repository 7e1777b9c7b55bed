"""From the predictions of all runs to `reproduce.json`: tables, differences, and what the paper says.

Letters: N test lesions, K classes, S seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermapair.data.cases import CaseTable
from dermapair.data.task import build_task
from dermapair.errors import RunError
from dermapair.evaluation import truth_of
from dermapair.inference.scores import Array, combine, read_scores
from dermapair.metrics.bootstrap import Difference, bootstrap_mean
from dermapair.reproduce.ge2017 import plan
from dermapair.reproduce.ge2017.plan import Planned
from dermapair.reproduce.ge2017.run import SWAPPED
from dermapair.training.fit import fit_weights
from dermapair.types import READOUTS, VIEWS

ByReadout = Mapping[str, Array]
WEIGHTS_OF_LOSS = {"clinical": 1.0, "dermoscopic": 1.0}


@dataclass(frozen=True)
class Scored:
    """The test lesions that every run has scored with both views.

    Attributes:
        ids: N lesion ids.
        labels: (N,) class indices.
        groups: (N,) patients where known, else lesions.
        classes: K names.
        probabilities: run folder -> readout -> (N, K).
        swapped: likewise, with the views exchanged.
        fitted: run folder -> readout -> its weight in `both`, fitted on validation.
        left_out: test lesions with a truth that some run has not scored with both views.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    classes: tuple[str, ...]
    probabilities: dict[str, dict[str, Array]]
    swapped: dict[str, dict[str, Array]]
    fitted: dict[str, dict[str, float]]
    left_out: int = 0

    def right(self, runs: Sequence[Planned], readout: str, *, swapped: bool = False) -> Array:
        """Return (N,) how often each lesion is named rightly, the mean over runs (seeds)."""
        source = self.swapped if swapped else self.probabilities
        each = [source[r.folder][readout].argmax(axis=1) == self.labels for r in runs]
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)


def read_scored(runs: Sequence[Planned], table: CaseTable, out: Path, *, task: Any) -> Scored:
    """Read the predictions of all runs.

    Raises:
        RunError: a run has scored none of the lesions that all others have.
    """
    truth = truth_of(table, build_task(task, table.diagnoses), split="test")
    found = {run.folder: _by_lesion(out, run, "predictions.parquet") for run in runs}
    turned = {run.folder: _by_lesion(out, run, SWAPPED) for run in runs}
    everywhere = [set(rows) for scores in (*found.values(), *turned.values()) for rows in scores.values()]
    known = {lesion for lesion, label in truth.labels.items() if label >= 0}
    ids = tuple(sorted(known.intersection(*everywhere)))
    if not ids:
        raise RunError(f"{out}: no test lesion has a truth and every readout of every run; look at the data")
    classes = read_scores(out / "runs" / runs[0].folder / "predictions.parquet", split="test")[0]
    return Scored(
        ids,
        np.array([truth.labels[i] for i in ids], dtype=np.int64),
        np.array([truth.groups[i] for i in ids]),
        classes,
        {name: {r: np.array([rows[i] for i in ids]) for r, rows in s.items()} for name, s in found.items()},
        {name: {r: np.array([rows[i] for i in ids]) for r, rows in s.items()} for name, s in turned.items()},
        {run.folder: _fitted(run, table, out, task) for run in runs},
        len(known) - len(ids),
    )


def _by_lesion(out: Path, run: Planned, name: str) -> dict[str, dict[str, Array]]:
    """Return readout -> lesion -> (K,) probabilities of the test part."""
    scores = read_scores(out / "runs" / run.folder / name, split="test")[1]
    return {r: dict(zip(ids, p, strict=True)) for r, (ids, p) in scores.items()}


def _fitted(run: Planned, table: CaseTable, out: Path, task: Any) -> dict[str, float]:
    """Return the weights of the readouts in `both`, fitted on the validation lesions that have all."""
    truth = truth_of(table, build_task(task, table.diagnoses), split="val").labels
    scores = read_scores(out / "runs" / run.folder / "predictions.parquet", split="val")[1]
    rows = {r: dict(zip(ids, p, strict=True)) for r, (ids, p) in scores.items() if r != "both"}
    ids = sorted({i for i, label in truth.items() if label >= 0}.intersection(*rows.values()))
    if not ids:
        raise RunError(f"{out / 'runs' / run.folder}: no validation lesion has every readout; train it again")
    labels = np.array([truth[i] for i in ids], dtype=np.int64)
    return fit_weights({r: np.array([each[i] for i in ids]) for r, each in rows.items()}, labels)


def collect(
    scored: Scored,
    runs: Sequence[Planned],
    *,
    cancers: Sequence[str],
    melanoma: str,
    alpha: float,
) -> dict[str, Any]:
    """Return the tables and differences of `reproduce.json`.

    Args:
        scored: what the runs say of the test lesions.
        runs: all of them.
        cancers: classes that count as cancer.
        melanoma: the class that is melanoma.
        alpha: weight of the third sub-network in the loss, for `both` weighted as in the loss.
    """
    of = {name: [r for r in runs if r.network == name and not r.change] for name in {r.network for r in runs}}
    main = [name for name in (*plan.TABLE_1, plan.RESNET, plan.RESNET_BP, plan.CAM_NETWORK) if name in of]
    return {
        "n_lesions": len(scored.ids),
        "left_out": scored.left_out,
        "classes": list(scored.classes),
        "table_1": [
            _row(scored, name, of[name], readout) for name in main for readout in _readouts(scored, of[name])
        ],
        "orderings": _orderings(scored, of),
        "relative": _relative(scored, of),
        "tasks": _tasks(scored, of[plan.TRIPLE_CAM], cancers, melanoma),
        "swap": [_swap(scored, name, of[name]) for name in main],
        "swap_difference": _swap_difference(scored, of),
        "ablations": [_ablation(scored, run, of) for run in runs if run.change],
        "weights_of_both": _weights(scored, of[plan.TRIPLE_CAM], alpha),
    }


def _readouts(scored: Scored, runs: Sequence[Planned]) -> list[str]:
    return [readout for readout in READOUTS if readout in scored.probabilities[runs[0].folder]]


def _figure(difference: Difference) -> dict[str, float]:
    return {"value": difference.value, "low": difference.low, "high": difference.high}


def _with_p(difference: Difference) -> dict[str, float]:
    return _figure(difference) | {"p_value": difference.p_value}


def _row(scored: Scored, name: str, runs: Sequence[Planned], readout: str) -> dict[str, Any]:
    """Return one row of Table 1; the interval is over lesions, the spread over seeds stands beside it."""
    each = [float(scored.right([run], readout).mean()) for run in runs]
    interval = bootstrap_mean(scored.right(runs, readout), groups=scored.groups)
    paper = plan.TABLE_1.get(name, {}).get(readout)
    spread = float(np.std(each, ddof=1)) if len(each) > 1 else None
    return {"network": name, "readout": readout, "accuracy": _figure(interval)} | {
        "seeds": each,
        "spread": spread,
        "paper": paper,
    }


def _difference(scored: Scored, a: Array, b: Array) -> dict[str, float]:
    """Return the mean of b - a over lesions, paired."""
    return _with_p(bootstrap_mean(b - a, groups=scored.groups))


def _orderings(scored: Scored, of: Mapping[str, Sequence[Planned]]) -> list[dict[str, Any]]:
    """Return each ordering that the paper claims, with the paired difference found here."""
    claims: list[tuple[str, tuple[str, str], tuple[str, str]]] = [
        *((f"{r}: Share-Net above Sole-Net", (plan.SOLE, r), (plan.SHARE, r)) for r in (*VIEWS, "both")),
        ("both: Triple-Net above Share-Net", (plan.SHARE, "both"), (plan.TRIPLE, "both")),
        ("both: Share-Net, CAM-BP above without", (plan.SHARE, "both"), (plan.SHARE_CAM, "both")),
        ("both: Triple-Net, CAM-BP above without", (plan.TRIPLE, "both"), (plan.TRIPLE_CAM, "both")),
    ]
    for name in plan.TABLE_1:
        best = max(VIEWS, key=lambda view: float(scored.right(of[name], view).mean()))
        claims.append((f"{name}: both above its better view ({best})", (name, best), (name, "both")))
    result = []
    for claim, (a, of_a), (b, of_b) in claims:
        first, second = scored.right(of[a], of_a), scored.right(of[b], of_b)
        paper = plan.TABLE_1[b][of_b] - plan.TABLE_1[a][of_a]
        if a == b:  # the paper's own better view, which may be the other one
            paper = plan.TABLE_1[b]["both"] - max(plan.TABLE_1[a][view] for view in VIEWS)
        result.append({"claim": claim, "paper": paper, **_difference(scored, first, second)})
    return result


def _relative(scored: Scored, of: Mapping[str, Sequence[Planned]]) -> list[dict[str, Any]]:
    """Return the paper's relative gains: of `both` over the mean of the views, and over ResNet-BP."""

    def accuracy(name: str, readout: str) -> float:
        return float(scored.right(of[name], readout).mean())

    result = []
    for name in (plan.SOLE, plan.SHARE):
        single = float(np.mean([accuracy(name, view) for view in VIEWS]))
        stated = plan.TABLE_1[name]
        paper = stated["both"] / np.mean([stated[view] for view in VIEWS]) - 1
        result.append(
            {
                "claim": f"{name}: both over the mean of its views",
                "value": _gain(accuracy(name, "both"), single),
                "paper": float(paper),
            }
        )
    gain = _gain(accuracy(plan.TRIPLE_CAM, "both"), accuracy(plan.RESNET_BP, "both"))
    return [*result, {"claim": "Triple-Net + CAM-BP over ResNet-BP, both", "value": gain, "paper": 0.067}]


def _gain(value: float, over: float) -> float | None:
    """Return how much larger a value is than another, as a share of that; None over nothing."""
    return value / over - 1 if over else None


def _tasks(
    scored: Scored, runs: Sequence[Planned], cancers: Sequence[str], melanoma: str
) -> list[dict[str, Any]]:
    """Return figure 4, left: tasks with fewer classes are read from all classes by summing probabilities."""
    index = {name: k for k, name in enumerate(scored.classes)}
    cancer = np.zeros(len(scored.classes), dtype=bool)
    cancer[[index[name] for name in cancers]] = True
    one = np.arange(len(scored.classes)) == index[melanoma]
    everything = np.ones(len(scored.labels), dtype=bool)
    without_others = one[scored.labels] | ~cancer[scored.labels]
    tasks: list[tuple[str, NDArray[np.bool_], Callable[[Array], Array], NDArray[np.bool_]]] = [
        ("cancer against the rest", cancer, lambda p: p[:, cancer].sum(1) > p[:, ~cancer].sum(1), everything),
        ("melanoma against benign", one, lambda p: p[:, one].sum(1) > p[:, ~cancer].sum(1), without_others),
    ]
    rows = [_row(scored, plan.TRIPLE_CAM, runs, "both")["accuracy"]]
    result = [
        {"task": "all classes", "n": len(everything), "accuracy": rows[0], "paper": plan.TASKS["all classes"]}
    ]
    for name, positive, decide, among in tasks:
        truth = positive[scored.labels]
        right = np.mean([decide(scored.probabilities[r.folder]["both"]) == truth for r in runs], axis=0)
        interval = bootstrap_mean(right[among], groups=scored.groups[among])
        larger = max(float(truth[among].mean()), 1 - float(truth[among].mean()))
        result.append(
            {
                "task": name,
                "n": int(among.sum()),
                "accuracy": _figure(interval),
                "largest_class": larger,
                "paper": plan.TASKS[name],
            }
        )
    return result


def _swap(scored: Scored, name: str, runs: Sequence[Planned]) -> dict[str, Any]:
    """Return what each readout loses when the views are exchanged."""
    drops = {
        readout: _difference(scored, scored.right(runs, readout, swapped=True), scored.right(runs, readout))
        for readout in _readouts(scored, runs)
    }
    return {"network": name, "drop": drops}


def _swap_difference(scored: Scored, of: Mapping[str, Sequence[Planned]]) -> dict[str, float]:
    """Return the drop of Sole-Net minus that of Triple-Net, `both`; the paper: 7% of unsaid kind."""
    drops = [
        scored.right(of[name], "both") - scored.right(of[name], "both", swapped=True)
        for name in (plan.TRIPLE, plan.SOLE)
    ]
    return {**_difference(scored, *drops), "paper": 0.07}


def _ablation(scored: Scored, run: Planned, of: Mapping[str, Sequence[Planned]]) -> dict[str, Any]:
    """Return one changed run beside the unchanged one of the same seed."""
    unchanged = [other for other in of[run.network] if other.seed == run.seed]
    a, b = scored.right(unchanged, "both"), scored.right([run], "both")
    accuracy = _figure(bootstrap_mean(b, groups=scored.groups))
    return {"network": run.network, "change": run.change, "accuracy": accuracy} | {
        "difference": _difference(scored, a, b)
    }


def _weights(scored: Scored, runs: Sequence[Planned], alpha: float) -> list[dict[str, Any]]:
    """Return `both` with other weights of the readouts, from the same predictions."""
    ways: dict[str, Callable[[Planned], Mapping[str, float]]] = {
        "equal": lambda run: dict.fromkeys(scored.fitted[run.folder], 1.0),
        "as in the loss": lambda run: WEIGHTS_OF_LOSS | {"cross": alpha},
        "fitted on validation": lambda run: scored.fitted[run.folder],
    }
    result = []
    for name, weights in ways.items():
        right = []
        for run in runs:
            each = {r: p for r, p in scored.probabilities[run.folder].items() if r != "both"}
            right.append(combine(each, weights(run)).argmax(axis=1) == scored.labels)
        interval = bootstrap_mean(np.mean(right, axis=0), groups=scored.groups)
        result.append({"weights": name, "accuracy": _figure(interval)})
    return result
