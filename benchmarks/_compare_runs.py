"""A table of finished runs on one test part, and their paired differences with 95% intervals.

    python benchmarks/_compare_runs.py RUN RUN ... [--readout both] [--data CASES]

It compares accuracy and not speed, so `make bench` leaves it out. All runs must have been tested on the
same lesions for the same classes. Intervals are over the patients of CASES where they are known, else over
lesions. A readout is compared with another on the lesions that have both; each row says how many.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from dermapair.data.cases import read_cases
from dermapair.data.lesions import select_lesions
from dermapair.inference.model import read_facts
from dermapair.metrics.bootstrap import mcnemar_exact, paired_bootstrap
from dermapair.types import READOUTS, VIEWS

METRICS = ["accuracy", "macro_auc", "macro_f1"]


def table_lines(run: Path) -> list[str]:
    """Return the Markdown rows of one run; a figure that is not defined shows as nan."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    rows = []
    for readout, figures in results["readouts"].items():
        numbers = [[_number(figures[m][key]) for key in ("value", "low", "high")] for m in METRICS]
        shown = [f"{value:.3f} ({low:.3f}-{high:.3f})" for value, low, high in numbers]
        rows.append(f"| {run.name} | {readout} | {' | '.join(shown)} |")
    return rows


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def scores_of(run: Path) -> pl.DataFrame:
    """Return a run's predictions of the test lesions whose truth is known, by lesion."""
    frame = pl.read_parquet(run / "predictions.parquet")
    return frame.filter(pl.col("split") == "test", pl.col("truth").is_not_null()).sort("lesion_id")


def check(runs: list[Path]) -> None:
    """Stop where two runs were not tested on the same lesions and classes."""
    first, *others = runs
    for run in others:
        if read_facts(run).classes != read_facts(first).classes:
            raise SystemExit(f"{run} tells other classes apart than {first}; compare runs of one task")
        differing = set(scores_of(run)["lesion_id"]) ^ set(scores_of(first)["lesion_id"])
        if differing:
            raise SystemExit(
                f"{run} was tested on other lesions than {first} ({len(differing)} are in one alone, such as "
                f"{min(differing)!r}); compare runs of one split"
            )


def patients(run: Path, data: Path) -> dict[str, int]:
    """Return for each test lesion a number that is equal for lesions of one patient."""
    lesions = select_lesions(read_cases(data), read_facts(run).as_task(), split="test")
    groups = dict(zip(lesions.ids, lesions.groups.tolist(), strict=True))
    strange = set(scores_of(run)["lesion_id"]) - set(groups)
    if strange:
        raise SystemExit(
            f"{data}: lesion {min(strange)!r} of {run} is not in its test part; give its own CASES"
        )
    return groups


def difference(
    first: tuple[Path, str], second: tuple[Path, str], groups: Mapping[str, int] | None
) -> str | None:
    """Return the Markdown row of second minus first, None where no lesion has both."""
    a, b = (scores_of(run).filter(pl.col("readout") == readout) for run, readout in (first, second))
    a, b = a.join(b, on="lesion_id", how="semi"), b.join(a, on="lesion_id", how="semi")
    if a.is_empty():
        return None
    classes = list(read_facts(first[0]).classes)
    labels = [classes.index(name) for name in a["truth"]]
    p, q = (frame.sort("lesion_id").select(classes).to_numpy() for frame in (a, b))
    of = [groups[lesion] for lesion in a["lesion_id"]] if groups else None
    found = paired_bootstrap(labels, p, q, groups=of, metrics=METRICS)
    shown = [f"{d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})" for d in (found[m] for m in METRICS)]
    p_value = mcnemar_exact(labels, p.argmax(axis=1), q.argmax(axis=1))
    names = " - ".join(f"{run.name} {readout}" for run, readout in (second, first))
    return f"| {names} | {len(a)} | {' | '.join(shown)} | {p_value:.3g} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--readout", choices=READOUTS, default="both")
    parser.add_argument("--data", type=Path, help="case folder that says which lesions are of one patient")
    arguments = parser.parse_args()
    runs, readout = arguments.runs, arguments.readout
    check(runs)
    groups = patients(runs[0], arguments.data) if arguments.data else None
    print("| run | readout | accuracy | macro AUC | macro F1 |\n|---|---|---|---|---|")
    print("\n".join(line for run in runs for line in table_lines(run)))
    pairs = [((a, readout), (b, readout)) for a, b in itertools.combinations(runs, 2)]
    pairs += [((run, view), (run, readout)) for run in runs for view in VIEWS if view != readout]
    rows = [difference(a, b, groups) for a, b in pairs]
    print(
        "\n| difference | lesions | accuracy | macro AUC | macro F1 | McNemar p |\n|---|---|---|---|---|---|"
    )
    print("\n".join(row for row in rows if row))


if __name__ == "__main__":
    main()
