"""What each of two stages reaches, and what the second gains over the first on the same lesions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dermapair.data.task import UNKNOWN
from dermapair.evaluation.evaluate import ISIC2017_AUCS, ByReadout, Truth, evaluate, plain
from dermapair.metrics import METRICS
from dermapair.metrics.bootstrap import Difference
from dermapair.metrics.comparison import paired_bootstrap

GAINS = (("stage2", "stage1"), ("mean", "stage1"))
"""Differences that are reported: the first minus the second."""


def evaluate_stages(
    stages: Mapping[str, ByReadout], truth: Truth, *, n_samples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Return the results of each stage and the paired differences between them.

    Args:
        stages: by `types.STAGES`, by readout the lesion ids and their (n, K) probabilities.
        truth: labels.
        n_samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        By stage its readouts, as `evaluate` has them, and as `differences` "stage2 - stage1" and
        "mean - stage1": by readout and metric the value with its 95% interval and two-sided p-value.
    """
    result: dict[str, Any] = {
        stage: evaluate(scores, truth, n_samples=n_samples, seed=seed)["readouts"]
        for stage, scores in stages.items()
    }
    result["differences"] = {
        f"{b} - {a}": {
            readout: paired_difference(
                stages[a][readout], stages[b][readout], truth, n_samples=n_samples, seed=seed
            )
            for readout in stages[b]
            if readout in stages[a]
        }
        for b, a in GAINS
    }
    return result


def paired_difference(
    a: tuple[Any, Any], b: tuple[Any, Any], truth: Truth, *, n_samples: int = 2000, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """Return by metric the difference b - a over the lesions with a truth that both have scored, paired.

    Args:
        a: lesion ids and their (n, K) probabilities.
        b: likewise.
        truth: labels.
        n_samples: bootstrap samples, of patients where known, else lesions.
        seed: of the bootstrap.

    Returns:
        Every metric of METRICS, and those of ISIC 2017 where the task has its classes: `value`, `low`, `high`
        and `p_value`; None where not defined, nothing where no lesion is common.
    """
    rows = [dict(zip(ids, p, strict=True)) for ids, p in (a, b)]
    ids = [i for i in a[0] if i in rows[1] and truth.labels.get(i, UNKNOWN) != UNKNOWN]
    if not ids:
        return {}
    classes = truth.task.classes
    aucs = {
        name: [classes.index(c) for c in members]
        for name, members in ISIC2017_AUCS.items()
        if set(members) <= set(classes)
    }
    found = paired_bootstrap(
        np.array([truth.labels[i] for i in ids]),
        *(np.array([of[i] for i in ids]) for of in rows),
        groups=[truth.groups[i] for i in ids],
        metrics=list(METRICS),
        aucs=aucs,
        n_samples=n_samples,
        seed=seed,
    )
    if "mean_auc" in found and not all(np.isfinite(found[name].value) for name in ISIC2017_AUCS):
        found["mean_auc"] = Difference(
            np.nan, np.nan, np.nan, np.nan
        )  # of both or not at all, as the challenge
    return {
        name: plain(d) | {"p_value": d.p_value if np.isfinite(d.p_value) else None}
        for name, d in found.items()
    }
