"""Peak memory of `predict` while it goes through many images: it must be flat.

A case table names the same pictures again and again, so any number of images fits on any disk. The process's
resident memory is printed at every tenth of the way.

    python benchmarks/predict_memory.py [RUN [CASES]] [--images 20000]

Without RUN it takes a small network that was not trained, without CASES phantom lesions.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl
from _phantom import case_folder, run_folder

from dermapair.data.cases import CaseTable, read_cases
from dermapair.inference.allocator import keep_freed_memory
from dermapair.inference.predictor import load
from dermapair.inference.stream import write_predictions


def resident_mib() -> float:
    """Return this process's resident memory (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def repeated(table: CaseTable, images: int) -> CaseTable:
    """Return a table of at least `images` rows with new ids and the same files, not in any case folder."""
    copies = -(-images // len(table.frame))
    frames = [
        table.frame.with_columns(
            (pl.col("image_id") + f"_{i}").alias("image_id"),
            (pl.col("lesion_id") + f"_{i}").alias("lesion_id"),
        )
        for i in range(copies)
    ]
    return replace(table, frame=pl.concat(frames), folder=None)


def marks(run: Path, table: CaseTable) -> list[tuple[int, float]]:
    """Predict all lesions of a table; return images done and resident memory at the start and every tenth."""
    memory: list[tuple[int, float]] = []

    def look(done: int, total: int) -> None:
        if done * 10 // total >= len(memory):
            memory.append((done * len(table.frame) // total, round(resident_mib(), 1)))
            print(f"{memory[-1][0]:>6} images {memory[-1][1]:>8.1f} MiB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        write_predictions(load(run), table, Path(folder) / "predictions.csv", progress=look)
    return memory


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=20_000)
    arguments = parser.parse_args()
    keep_freed_memory()  # as the command does
    with case_folder(arguments.cases) as cases, run_folder(arguments.run, cases) as run:
        memory = marks(run, repeated(read_cases(cases), arguments.images))
    growth = round(memory[-1][1] - memory[:2][-1][1], 1)
    print(f"growth from the second to the last mark: {growth:.1f} MiB")
    print(json.dumps({"resident_mib": memory, "growth_mib": growth}))


if __name__ == "__main__":
    main()
