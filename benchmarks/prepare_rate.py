"""`data prepare` against a plain Pillow loop, in one process, taking turns.

    python benchmarks/prepare_rate.py [CASES] [--size 240] [--images 2000] [--rounds 3]

Without CASES it takes phantom lesions, whose pictures are smaller: size 128.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from _phantom import case_folder
from PIL import Image

from dermapair.config import DataSettings
from dermapair.data.cases import CaseTable, read_cases, write_cases
from dermapair.data.store import prepare


def pillow_loop(table: CaseTable, size: int) -> None:
    """Decode, resize the short side, cut the centre, store: the loop that everybody writes."""
    pixels = np.empty((len(table.frame), size, size, 3), dtype=np.uint8)
    for row in range(len(table.frame)):
        image = Image.open(table.path(row)).convert("RGB")
        scale = size / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        pixels[row] = np.asarray(image.crop((left, top, left + size, top + size)))


def measure(part: CaseTable, *, size: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every round by name; all take turns, each from a folder without pixels."""
    settings = DataSettings(size=size, input=size)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        cases = write_cases(part, Path(folder))
        jobs: dict[str, Callable[[], object]] = {
            "pillow loop": lambda: pillow_loop(cases, size),
            "prepare, 1 thread": lambda: prepare(cases, settings, workers=1),
            "prepare, a thread per core": lambda: prepare(cases, settings),
        }
        for _ in range(rounds):
            for name, job in jobs.items():
                shutil.rmtree(Path(folder) / "pixels", ignore_errors=True)
                began = time.perf_counter()
                job()
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("--size", type=int, help="default: 240, without CASES 128")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    size = arguments.size or (240 if arguments.cases else 128)
    with case_folder(arguments.cases) as folder:
        table = read_cases(folder)
        part = replace(table, frame=table.frame.head(arguments.images), folder=None)
        seconds = measure(part, size=size, rounds=arguments.rounds)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {f"{name} / pillow loop": median["pillow loop"] / value for name, value in median.items()}
    for (name, value), ratio in zip(median.items(), ratios.values(), strict=True):
        print(f"{name:<28} {ratio:.2f} times the Pillow loop, {len(part.frame) / value:.0f} images/s")
    print(json.dumps({"ratios": ratios, "seconds": seconds, "images": len(part.frame), "size": size}))


if __name__ == "__main__":
    main()
