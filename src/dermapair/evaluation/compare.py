"""Runs beside each other: figures with intervals, paired differences, tests, and the spread over seeds.

Every run's figures are computed on the same bootstrap samples, so a difference of two runs, or of two means
over seeds, is paired. Each table of p-values is corrected on its own (Holm 1979).

Sampling error (other lesions) and the spread over seeds (another training) are two things: they stand beside
each other and are never added.

Letters: N lesions, K classes, S bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from dermapair.errors import UsageError, unknown_choice
from dermapair.evaluation.compared import Compared, Entry
from dermapair.evaluation.evaluate import ISIC2017_AUCS, plain
from dermapair.inference.scores import Array
from dermapair.metrics import METRICS, Difference, Interval
from dermapair.metrics.bootstrap import concatenated, figures_of, interval_of, p_value, percentiles, values_of
from dermapair.metrics.comparison import delong_interval, delong_test, holm, mcnemar_exact
from dermapair.metrics.resampling import resamples

DEFAULT_METRICS = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "log_loss", "brier")
LEVEL = 0.95
Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Sampled:
    """A figure on the lesions themselves, and on each bootstrap sample of them.

    Attributes:
        value: on the lesions.
        samples: (S,).
    """

    value: float
    samples: Array

    def interval(self, name: str) -> Interval:
        """Return the interval of the figure of that name."""
        return interval_of(name, self.value, self.samples, LEVEL)

    def minus(self, other: Sampled) -> Difference:
        """Return the paired difference to a figure on the same samples."""
        gap = self.samples - other.samples
        return Difference(self.value - other.value, *percentiles(gap, LEVEL), p_value(gap))


ByMetric = Mapping[str, Sampled]


def compare(
    compared: Compared, *, metrics: Sequence[str] = DEFAULT_METRICS, n_samples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Return what `comparison.json` holds: plain values; a figure that is not defined is None.

    Args:
        compared: the runs, the reference first.
        metrics: names from METRICS; the AUCs of ISIC 2017 are added where the task has its classes.
        n_samples: bootstrap samples S, of patients where known, else lesions.
        seed: of the bootstrap.

    Returns:
        `runs` with their `figures`; `settings` that differ between recipes; `differences`, every run minus
        the reference; `mcnemar`; `aucs`, of each class and target, compared after DeLong; `families`, runs
        that differ only in their seed, and `family_differences`, both empty where every family is one run.

    Raises:
        UsageError: an unknown metric, or none.
    """
    if not metrics:
        raise UsageError("--metrics: expected at least one name, got none; leave it out for the usual ones")
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"--metrics: {unknown_choice('metric', name, METRICS)}")
    sampled = _sampled(compared, tuple(dict.fromkeys(metrics)), n_samples, seed)
    families = _families(compared.entries)
    several = len(families) < len(compared.entries)
    reference, *others = compared.entries
    return {
        "split": compared.split,
        "readout": compared.readout,
        "classes": _cases(compared),
        "n_lesions": len(compared.ids),
        "n_groups": len(np.unique(compared.groups)),
        "groups": compared.unit,
        "interval": {
            "level": LEVEL,
            "method": f"percentile bootstrap over {compared.unit}; of the calibration error basic",
            "n": n_samples,
        },
        "reference": reference.name,
        "without_truth": compared.without_truth,
        "runs": [_run(e, sampled[e.name], compared, families) for e in compared.entries],
        "settings": _settings(compared.entries),
        "differences": _adjusted([_difference(e, reference, sampled) for e in others]),
        "mcnemar": _mcnemar(compared),
        "aucs": _aucs(compared),
        "families": [_family(f, e, sampled) for f, e in families.items()] if several else [],
        "family_differences": _family_differences(families, reference, sampled) if several else [],
    }


def _sampled(
    compared: Compared, metrics: Sequence[str], n_samples: int, seed: int
) -> dict[str, dict[str, Sampled]]:
    """Return by run and metric the figure on the lesions and on the same samples of them."""
    y, classes = compared.labels, compared.classes
    aucs = {
        name: [classes.index(c) for c in members]
        for name, members in ISIC2017_AUCS.items()
        if set(members) <= set(classes) and all(0 < (y == classes.index(c)).sum() < len(y) for c in members)
    }
    figures = figures_of(metrics, aucs, n_classes=len(classes))
    found = {}
    for run, p in compared.probabilities.items():
        chunks = resamples(len(y), groups=compared.groups, n_samples=n_samples, seed=seed, y_true=y)
        samples = concatenated([{name: f(y, p, w) for name, f in figures.items()} for w in chunks])
        values = values_of(y, p, metrics, aucs)
        found[run] = {name: Sampled(values[name], samples[name]) for name in figures}
    return found


def _cases(compared: Compared) -> dict[str, int]:
    """Return class -> number of lesions."""
    counts = np.bincount(compared.labels, minlength=len(compared.classes)).tolist()
    return dict(zip(compared.classes, counts, strict=True))


def _run(
    entry: Entry, figures: ByMetric, compared: Compared, families: Mapping[str, Sequence[Entry]]
) -> dict[str, Any]:
    return {
        "run": entry.name,
        "recipe": entry.recipe.name if entry.recipe else None,
        "seed": entry.recipe.seed if entry.recipe else None,
        "family": next(name for name, members in families.items() if entry in members),
        "adapter": entry.adapter,
        "calibrated": bool(entry.facts.calibration) if entry.facts else None,
        "learned": entry.learned_digest,
        "left_out": compared.left_out[entry.name],
        "figures": {name: plain(figure.interval(name)) for name, figure in figures.items()},
    }


def _settings(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the keys of the recipes whose values differ, with each run's value; of a path the last part."""
    flat = {e.name: _flat(e.recipe.model_dump(mode="json")) for e in entries if e.recipe}
    keys = dict.fromkeys(key for recipe in flat.values() for key in recipe)
    values = {key: {run: recipe.get(key) for run, recipe in flat.items()} for key in keys}
    return [
        {"key": key, "values": {run: _without_folders(value) for run, value in each.items()}}
        for key, each in values.items()
        if len(set(map(repr, each.values()))) > 1
    ]


def _without_folders(value: Any) -> Any:
    return PurePath(value).name if isinstance(value, str) else value


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings as key -> value, with dots between the parts of a key."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {before + key: value}
    return found


def _difference(
    entry: Entry, reference: Entry, sampled: Mapping[str, Mapping[str, Sampled]]
) -> dict[str, Any]:
    a, b = sampled[reference.name], sampled[entry.name]
    same = entry.family == reference.family
    return {"run": entry.name, "other_seed": same, "figures": {m: _tested(b[m].minus(a[m])) for m in b}}


def _tested(difference: Difference) -> dict[str, float | None]:
    return plain(difference) | {"p_value": _number(difference.p_value)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add `p_holm` to all figures of all rows, corrected together."""
    _adjust(figure for row in rows for figure in row["figures"].values())
    return rows


def _adjust(tests: Iterable[dict[str, Any]]) -> None:
    """Add `p_holm` to tests, corrected together; None where there is no p-value."""
    tests = list(tests)
    p = [np.nan if test["p_value"] is None else test["p_value"] for test in tests]
    for test, adjusted in zip(tests, holm(p), strict=True):
        test["p_holm"] = _number(adjusted)


def _mcnemar(compared: Compared) -> list[dict[str, Any]]:
    """Return how often each run and the reference are right together or alone (McNemar 1947, exact)."""
    y, reference = compared.labels, compared.entries[0].name
    named = {run: p.argmax(axis=1) for run, p in compared.probabilities.items()}
    a, rows = named[reference] == y, []
    for entry in compared.entries[1:]:
        b = named[entry.name] == y
        counts = {"both": a & b, "only_reference": a & ~b, "only_run": ~a & b, "neither": ~a & ~b}
        p = mcnemar_exact(y, named[reference], named[entry.name])
        rows.append({"run": entry.name} | {k: int(v.sum()) for k, v in counts.items()} | {"p_value": p})
    _adjust(rows)
    return rows


def _aucs(compared: Compared) -> list[dict[str, Any]]:
    """Return the AUC of each class and target against the rest, by run, and its difference after DeLong."""
    rows: list[dict[str, Any]] = []
    for name, members in _questions(compared).items():
        index = [compared.classes.index(c) for c in members]
        truth = np.isin(compared.labels, index)
        scores = {run: p[:, index].sum(axis=1) for run, p in compared.probabilities.items()}
        first = scores[compared.entries[0].name]
        each: list[dict[str, Any]] = [
            {"run": run, "auc": plain(delong_interval(truth, s))}
            | ({} if s is first else {"difference": _tested(delong_test(truth, first, s))})
            for run, s in scores.items()
        ]
        rows.append({"name": name, "members": list(members), "n": int(truth.sum()), "runs": each})
    _adjust(run["difference"] for row in rows for run in row["runs"] if "difference" in run)
    return rows


def _questions(compared: Compared) -> dict[str, tuple[str, ...]]:
    """Return what is told from the rest: each class, then targets of several classes, the same for all."""
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in compared.classes}
    targets = [e.facts.targets for e in compared.entries if e.facts and e.facts.targets]
    for name, members in (targets[0] if targets else {}).items():
        if name not in found and len(members) > 1 and all(t.get(name) == members for t in targets):
            found[name] = members
    return found


# --- seeds ---


def _families(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the runs that differ only in their seed, by a name that no other family has."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.family, []).append(entry)
    recipes = [members[0].recipe.name if members[0].recipe else "" for members in found.values()]
    return {
        recipe if recipe and recipes.count(recipe) == 1 else members[0].name: members
        for recipe, members in zip(recipes, found.values(), strict=True)
    }


def _mean(members: Sequence[Entry], sampled: Mapping[str, ByMetric]) -> dict[str, Sampled]:
    """Return by metric the mean over trainings, on the lesions and on each sample of them."""
    each = [sampled[entry.name] for entry in members]
    return {
        m: Sampled(float(np.mean([e[m].value for e in each])), np.mean([e[m].samples for e in each], axis=0))
        for m in each[0]
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Return how figures of several trainings spread; the SD is that of the sample, None of one training."""
    sd = _number(float(np.std(values, ddof=1))) if len(values) > 1 else None
    return {
        "n": len(values),
        "mean": _number(float(np.mean(values))),
        "sd": sd,
        "min": _number(min(values)),
        "max": _number(max(values)),
    }


def _seeds(members: Sequence[Entry]) -> dict[int, Entry]:
    return {entry.recipe.seed: entry for entry in members if entry.recipe}


def _family(name: str, members: Sequence[Entry], sampled: Mapping[str, ByMetric]) -> dict[str, Any]:
    """Return the mean over seeds with its interval over lesions, and beside it the spread over seeds."""
    figures = {
        metric: plain(figure.interval(metric))
        | {"spread": _spread([sampled[e.name][metric].value for e in members])}
        for metric, figure in _mean(members, sampled).items()
    }
    return {
        "family": name,
        "runs": [entry.name for entry in members],
        "seeds": list(_seeds(members)),
        "figures": figures,
    }


def _family_differences(
    families: Mapping[str, Sequence[Entry]], reference: Entry, sampled: Mapping[str, ByMetric]
) -> list[dict[str, Any]]:
    """Return every family minus the reference's: means over all their runs, and beside it pairs of a seed."""
    first = next(name for name, members in families.items() if reference in members)
    a, of_a = _seeds(families[first]), _mean(families[first], sampled)
    rows = []
    for name, members in families.items():
        if name == first:
            continue
        b, of_b = _seeds(members), _mean(members, sampled)
        seeds = [seed for seed in a if seed in b]
        figures: Figures = {metric: _tested(of_b[metric].minus(of_a[metric])) for metric in of_b}
        for metric, figure in figures.items():
            gaps = [sampled[b[s].name][metric].value - sampled[a[s].name][metric].value for s in seeds]
            figure["by_seed"] = dict(zip(map(str, seeds), map(_number, gaps), strict=True))
            figure["spread"] = _spread(gaps) if gaps else None
        rows.append({"family": name, "reference": first, "seeds": seeds, "figures": figures})
    return _adjusted(rows)
