"""How often chance alone is called a gap between groups: drawn lesions, groups drawn at random.

    python benchmarks/_gap_level.py --draws 200 --samples 300

Lesions have the class shares of the MILK10k test part and one source of scores; groups say nothing about
them, so 5% of the p-values should lie below 0.05. It measures truth and not speed, so `make bench` leaves it
out.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from dermapair.data.cases import CaseTable, case_frame
from dermapair.data.task import Task
from dermapair.evaluation.evaluate import Truth
from dermapair.evaluation.subgroups import subgroups

COUNTS = (303, 90, 65, 57, 54, 36, 6, 6, 6, 5, 1)
CLASSES = tuple(f"class{k}" for k in range(len(COUNTS)))
GROUPS = {
    "sex": (252, 377),
    "skin_tone": (53, 404, 120, 34, 18),
    "site": (126, 126, 126, 126, 125),
    "source": (30, 40, 559),
}
"""Attribute -> expected sizes of its groups."""


def drawn(seed: int) -> tuple[tuple[list[str], np.ndarray], Truth, CaseTable]:
    """Return predictions, truth and a case table of lesions."""
    rng, n = np.random.default_rng(seed), sum(COUNTS)
    labels = rng.choice(len(COUNTS), p=np.array(COUNTS) / n, size=n)
    z = rng.normal(size=(n, len(COUNTS))) + np.log(COUNTS) + 2.0 * np.eye(len(COUNTS))[labels]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    ids = [f"l{i}" for i in range(n)]
    columns = {
        name: rng.choice(len(sizes), p=np.array(sizes) / sum(sizes), size=n) for name, sizes in GROUPS.items()
    }
    rows = [
        {"image_id": i, "lesion_id": i, "view": "clinical", "path": f"{i}.jpg"}
        | {name: f"group {values[k]}" for name, values in columns.items()}
        for k, i in enumerate(ids)
    ]
    task = Task("diagnosis", CLASSES, {name: name for name in CLASSES}, CLASSES)
    truth = Truth(
        "test", task, dict(zip(ids, labels.tolist(), strict=True)), {i: k for k, i in enumerate(ids)}, {}
    )
    return (ids, p), truth, CaseTable(case_frame(rows), Path(), CLASSES, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--samples", type=int, default=300, help="bootstrap samples of each")
    how = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for seed in range(how.draws):
        for name, entry in subgroups(*drawn(seed), None, n_samples=how.samples, seed=seed).items():
            for metric, gap in entry["gaps"].items():
                if gap["p_value"] is not None:
                    found[name, metric].append(gap["p_value"])
    print(f"{'groups':<28}{'metric':<26}{'draws':>6}{'p < 0.05':>10}")
    for (name, metric), p in found.items():
        sizes = ", ".join(map(str, GROUPS[name]))
        print(f"{sizes:<28}{metric:<26}{len(p):>6}{np.mean(np.array(p) < 0.05):>10.3f}")
    shares = [float(np.mean(np.array(p) < 0.05)) for p in found.values()]
    print(json.dumps({"lowest": min(shares), "mean": float(np.mean(shares)), "highest": max(shares)}))


if __name__ == "__main__":
    main()
