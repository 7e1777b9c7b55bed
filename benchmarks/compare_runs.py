"""A table of runs on one test part, and paired differences with intervals.

    python benchmarks/compare_runs.py RUN RUN ... [--readout both]

Every run must have been trained and tested on the same split of the same case table.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import polars as pl

from dermapair.inference.model import read_facts
from dermapair.metrics.bootstrap import mcnemar_exact, paired_bootstrap

METRICS = ["accuracy", "macro_auc", "macro_f1"]


def table_line(run: Path) -> list[str]:
    """Return the Markdown rows of one run."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    rows = []
    for readout, figures in results["readouts"].items():
        shown = [
            f"{figures[m]['value']:.3f} ({figures[m]['low']:.3f}-{figures[m]['high']:.3f})" for m in METRICS
        ]
        rows.append(f"| {run.name} | {readout} | {' | '.join(shown)} |")
    return rows


def scores_of(run: Path, readout: str) -> pl.DataFrame:
    """Return the test predictions of one readout, by lesion."""
    frame = pl.read_parquet(run / "predictions.parquet")
    return frame.filter(split="test", readout=readout).filter(pl.col("truth").is_not_null()).sort("lesion_id")


def difference(first: tuple[Path, str], second: tuple[Path, str]) -> str:
    """Return the Markdown row of second minus first."""
    a, b = (scores_of(run, readout) for run, readout in (first, second))
    if a["lesion_id"].to_list() != b["lesion_id"].to_list():
        raise SystemExit(f"{first} and {second} were not tested on the same lesions")
    classes = list(read_facts(first[0]).classes)
    labels = [classes.index(name) for name in a["truth"]]
    p, q = (frame.select(classes).to_numpy() for frame in (a, b))
    found = paired_bootstrap(labels, p, q, groups=a["lesion_id"].rank("dense").to_numpy(), metrics=METRICS)
    shown = [f"{d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})" for d in (found[m] for m in METRICS)]
    p_value = mcnemar_exact(labels, p.argmax(axis=1), q.argmax(axis=1))
    names = [f"{run.name} {readout}" for run, readout in (second, first)]
    return f"| {names[0]} - {names[1]} | {' | '.join(shown)} | {p_value:.3g} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--readout", default="both")
    arguments = parser.parse_args()
    print("| run | readout | accuracy | macro AUC | macro F1 |\n|---|---|---|---|---|")
    for run in arguments.runs:
        print("\n".join(table_line(run)))
    print("\n| difference | accuracy | macro AUC | macro F1 | McNemar p |\n|---|---|---|---|---|")
    for first, second in itertools.combinations(arguments.runs, 2):
        print(difference((first, arguments.readout), (second, arguments.readout)))
    for run in arguments.runs:
        for view in ("clinical", "dermoscopic"):
            print(difference((run, view), (run, arguments.readout)))


if __name__ == "__main__":
    main()
