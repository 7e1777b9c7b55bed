"""The time of a two-stage prediction of one image beside that of its stage one, reading the file in both.

One process, the two taking turns over the same files, medians of each file's fastest round.

    python benchmarks/two_stages.py [RUN [CASES]] [--images 40] [--rounds 3]

RUN has two stages; without it, both are the same network of random weights. Without CASES it takes phantom
lesions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

from _phantom import case_folder, run_folder

from dermapair.data.cases import read_cases
from dermapair.inference.allocator import keep_freed_memory
from dermapair.inference.model import load_model, save_model
from dermapair.inference.predictor import Predictor, load


@contextmanager
def two_stages(given: Path | None, cases: Path) -> Iterator[Predictor]:
    """Yield a run of two stages: the given one, else a network with random weights used twice."""
    if given:
        yield load(given, precision="fp32")
        return
    with run_folder(None, cases) as run, tempfile.TemporaryDirectory() as folder:
        one = load(run)
        scorer, facts = load_model(run, device=one.scorer.device, precision="fp32")
        both = facts.model_copy(update={"stage_one": facts})
        save_model(Path(folder), scorer.network, both, stage_one=deepcopy(scorer.network))
        yield load(Path(folder), precision="fp32")


def measure(both: Predictor, files: list[Path], *, view: str, rounds: int) -> dict[str, float]:
    """Return by name the median over files of the fastest of `rounds`, in milliseconds."""
    assert both.stage_one is not None, "RUN has one stage; name one of two"
    each = {"stage one": both.stage_one, "two stages": both}
    for predictor in each.values():
        predictor.predict(**{view: files[0]})
    best: dict[str, list[float]] = {name: [] for name in each}
    for path in files:
        seconds: dict[str, list[float]] = {name: [] for name in each}
        for _ in range(rounds):
            for name, predictor in each.items():
                began = time.perf_counter()
                predictor.predict(**{view: path})
                seconds[name].append(time.perf_counter() - began)
        for name, values in seconds.items():
            best[name].append(1000 * min(values))
    return {name: round(statistics.median(values), 2) for name, values in best.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()  # as the command does
    with case_folder(arguments.cases) as cases, two_stages(arguments.run, cases) as both:
        view, table = both.scorer.network.views[-1], read_cases(cases)
        rows = [row for row, of in enumerate(table.frame["view"]) if of == view][: arguments.images]
        found = measure(both, [table.path(row) for row in rows], view=view, rounds=arguments.rounds)
    ratio = round(found["two stages"] / found["stage one"], 2)
    for name, value in found.items():
        print(f"{name:<12} {value:8.2f} ms")
    print(f"two stages take {ratio:.2f} times as long as one")
    print(json.dumps({"milliseconds": found, "ratio": ratio, "images": len(rows)}))


if __name__ == "__main__":
    main()
