"""Do calibration, conformal sets and operating points hold? Fitted and measured over many splits.

    python benchmarks/_decisions_again.py RUN [--splits 20] [--coverage 0.9] [--readout both]

It measures accuracy and not speed, so `make bench` leaves it out. The lesions of a run's validation and test
part are divided anew, half and half, patients kept together: everything is fitted on one half and measured on
the other. The run's network was kept for its value on the old validation part, which both halves hold alike.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.model_selection import GroupShuffleSplit

from dermapair.inference.decisions import calibrated
from dermapair.inference.model import ModelFacts, read_facts
from dermapair.inference.scores import Array, Scores
from dermapair.metrics.classification import expected_calibration_error, log_loss
from dermapair.training.fit import fit_calibration, fit_conformal, fit_points


def lesions_of(run: Path, readout: str, facts: ModelFacts) -> tuple[Array, Array, Array]:
    """Return probabilities (N, K), labels (N,) and groups (N,) of a run's held-out lesions.

    The probabilities may be calibrated by the run: to fit a temperature again finds the same one in all.
    """
    frame = pl.read_parquet(run / "predictions.parquet").filter(
        pl.col("readout") == readout, pl.col("truth").is_not_null()
    )
    own = pl.read_parquet(run / "lesions.parquet").unique("lesion_id")
    frame = frame.join(own.select("lesion_id", "patient_id"), on="lesion_id", how="left")
    groups = frame.select(pl.coalesce("patient_id", "lesion_id")).to_series().to_numpy()
    labels = np.array([facts.classes.index(name) for name in frame["truth"]])
    return frame.select(facts.classes).to_numpy(), labels, groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--readout", default="both")
    args = parser.parse_args()

    facts = read_facts(args.run)
    p, labels, groups = lesions_of(args.run, args.readout, facts)
    rows = []
    halves = GroupShuffleSplit(args.splits, test_size=0.5, random_state=0)
    for fit, test in halves.split(p, labels, groups):
        rows.append(measure(p, labels, fit, test, facts, coverage=args.coverage))
    table = pl.DataFrame(rows)
    print(f"{args.run}: {len(p)} lesions in halves, {args.splits} splits, readout {args.readout}")
    for name in table.columns:
        x = table[name].to_numpy()
        print(f"{name:<40} mean {x.mean():.3f}, sd {x.std(ddof=1):.3f}, {x.min():.3f} to {x.max():.3f}")
    near = (abs(table["coverage"] - args.coverage) <= 0.02).sum()
    print(f"splits whose coverage is within 0.02 of {args.coverage}: {near} of {args.splits}")


def measure(
    p: Array, labels: Array, fit: Array, test: Array, facts: ModelFacts, *, coverage: float
) -> dict[str, float]:
    """Return what is reached on the rows `test` by what was fitted on the rows `fit`."""
    with np.errstate(divide="ignore"):
        z = np.log(p)
    scores = Scores(tuple(map(str, range(len(p)))), facts.classes, {"both": p}, {"both": z})
    rows = np.isin(np.arange(len(p)), fit)
    after = calibrated(scores, fit_calibration(scores, labels, method="temperature", lesions=rows))
    q = after.probabilities["both"]
    sets = fit_conformal(q[fit], labels[fit], coverage=coverage).contains(q[test])
    found = {
        "coverage": float(sets[np.arange(len(test)), labels[test]].mean()),
        "mean size of the sets": float(sets.sum(axis=1).mean()),
        "calibration error": expected_calibration_error(labels[test], q[test]),
        "log loss": log_loss(labels[test], q[test]),
    }
    for point in fit_points(q[fit], labels[fit], facts.classes, facts.targets):
        truth = np.isin(labels[test], [facts.classes.index(name) for name in point.classes])
        called = point.decide(q[test], facts.classes)
        found[f"{point.name} sensitivity"] = float(called[truth].mean())
        found[f"{point.name} specificity"] = float((~called[~truth]).mean())
    return found


if __name__ == "__main__":
    main()
