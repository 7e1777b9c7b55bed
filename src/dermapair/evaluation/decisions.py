"""What the decisions stored with a model reach: operating points, decision curves, conformal sets.

Letters: N lesions, K classes, T thresholds, S bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermapair.evaluation.evaluate import Truth, plain, scored
from dermapair.inference.decisions import ConformalSet, OperatingPoint
from dermapair.inference.model import ModelFacts
from dermapair.inference.scores import Array
from dermapair.metrics import binary, weighted
from dermapair.metrics.arrays import Bools, Floats, Ints
from dermapair.metrics.bootstrap import Interval, intervals_of, share
from dermapair.metrics.resampling import resamples

CURVE = np.round(np.arange(0.01, 0.61, 0.01), 2)
"""Threshold probabilities of decision curves."""
SENSITIVITIES = (0.9, 0.95)

Binary = tuple[Callable[[Bools, Floats], float], Callable[[Bools, Floats, Floats], Floats]]
_WHOLE: dict[str, Binary] = {
    "auc": (binary.auc, weighted.auc),
    "average_precision": (binary.average_precision, weighted.average_precision),
    "partial_auc_80": (binary.partial_auc, weighted.partial_auc),
    "brier": (binary.brier, weighted.binary_brier),
}
_AT: dict[str, Binary] = {
    f"specificity_at_sensitivity_{round(100 * s)}": (
        partial(binary.specificity_at_sensitivity, sensitivity=s),
        partial(weighted.specificity_at_sensitivity, sensitivity=s),
    )
    for s in SENSITIVITIES
}
FIGURES = _WHOLE | _AT


def evaluate_decisions(
    both: tuple[Sequence[str], Array],
    truth: Truth,
    facts: ModelFacts,
    *,
    n_samples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return `targets`, `operating_points` and `conformal` of the readout `both`.

    Shares have Wilson's intervals with patients, else lesions, as their number; other figures and the band of
    the decision curve come from the bootstrap over these.

    Args:
        both: lesion ids and their (n, K) calibrated probabilities.
        truth: labels.
        facts: of the model.
        n_samples: bootstrap samples.
        seed: of the bootstrap.
    """
    labels, p, groups = scored(*both, truth)
    draws = partial(resamples, len(labels), groups=groups, n_samples=n_samples, seed=seed, y_true=labels)
    targets = {}
    for name, members in facts.targets.items():
        where = [facts.classes.index(c) for c in members]
        positive, score = np.isin(labels, where), p[:, where].sum(axis=1).clip(0, 1)
        found = intervals_of(
            {key: one(positive, score) for key, (one, _) in FIGURES.items()},
            lambda w, y=positive, s=score: {key: many(y, s, w) for key, (_, many) in FIGURES.items()},  # type: ignore[misc]
            chunks=draws(),
            level=0.95,
        )
        alone = min(len(np.unique(groups[positive])), len(np.unique(groups[~positive]))) < 2
        targets[name] = {
            "classes": list(members),
            "cases": int(positive.sum()),
            "others": int((~positive).sum()),
            **{key: plain(_unsure(f) if alone and key != "brier" else f) for key, f in found.items()},
            "decision_curve": _curve(positive, score, draws),
        }
    return {
        "targets": targets,
        "operating_points": {
            point.name: _point(point, labels, p, groups, facts.classes) for point in facts.operating_points
        },
        "conformal": _conformal(facts.conformal, labels, p, groups, facts.classes)
        if facts.conformal
        else None,
    }


def _unsure(figure: Interval) -> Interval:
    """Return a figure without limits: of one patient's cases no resample says how others would differ."""
    return Interval(figure.value, np.nan, np.nan)


def _curve(positive: Bools, score: Floats, draws: Callable[[], Any]) -> dict[str, list[float]]:
    """Return net benefit over the thresholds (Vickers & Elkin 2006), with a pointwise 95% band."""
    samples = np.concatenate([weighted.net_benefit(positive, score, w, CURVE) for w in draws()], axis=1)
    low, high = np.quantile(samples, [0.025, 0.975], axis=1)
    everyone = binary.net_benefit(positive, np.ones_like(score), CURVE)
    return {
        "threshold": CURVE.tolist(),
        "model": binary.net_benefit(positive, score, CURVE).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "all": everyone.tolist(),
    }


def _point(
    point: OperatingPoint, labels: Ints, p: Array, groups: Ints, classes: Sequence[str]
) -> dict[str, Any]:
    """Return what one operating point reached."""
    positive = np.isin(labels, [classes.index(name) for name in point.classes])
    called = point.decide(p, classes)
    shares = {
        "sensitivity": (called, positive),
        "specificity": (~called, ~positive),
        "ppv": (positive, called),
        "npv": (~positive, ~called),
        "flagged": (called, np.ones_like(called)),
    }
    return {
        **{key: getattr(point, key) for key in ("target", "rule", "threshold")},
        "classes": list(point.classes),
        "validation": {
            "cases": point.cases,
            "others": point.others,
            "sensitivity": plain(Interval(*point.sensitivity)),
            "specificity": plain(Interval(*point.specificity)),
        },
        "cases": int(positive.sum()),
        "others": int((~positive).sum()),
        **{key: plain(share(hits[among], groups[among])) for key, (hits, among) in shares.items()},
    }


def _conformal(
    rule: ConformalSet, labels: Ints, p: Array, groups: Ints, classes: Sequence[str]
) -> dict[str, Any]:
    """Return how often the sets held the truth, and how large they were."""
    inside = rule.contains(p)
    covered, sizes = inside[np.arange(len(labels)), labels], inside.sum(axis=1)
    each: list[tuple[str, NDArray[np.bool_]]] = [(name, labels == k) for k, name in enumerate(classes)]
    return {
        "method": "least probability (Sadinle et al. 2019)",
        "wanted": rule.coverage,
        "least": rule.least,
        "n_lesions": rule.n_lesions,
        "coverage": plain(share(covered, groups)),
        "mean_size": float(sizes.mean()),
        "sizes": {str(size): int((sizes == size).sum()) for size in np.unique(sizes)},
        "per_class": {
            name: {
                "n": int(of.sum()),
                "covered": int(covered[of].sum()),
                "coverage": plain(share(covered[of], groups[of])),
            }
            for name, of in each
        },
    }
