"""`data prepare` against a plain Pillow loop, in one process, taking turns.

python benchmarks/prepare_rate.py CASES [--size 240] [--images 2000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--size", type=int, default=240)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = read_cases(arguments.cases)
    part = replace(table, frame=table.frame.head(arguments.images), folder=None)
    settings = DataSettings(size=arguments.size, input=arguments.size)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        cases = write_cases(part, Path(folder))
        jobs: dict[str, Callable[[], object]] = {
            "pillow loop": lambda: pillow_loop(cases, arguments.size),
            "prepare, 1 thread": lambda: prepare(cases, settings, workers=1),
            "prepare, a thread per core": lambda: prepare(cases, settings),
        }
        for _ in range(arguments.rounds):
            for name, job in jobs.items():
                shutil.rmtree(Path(folder) / "pixels", ignore_errors=True)
                began = time.perf_counter()
                job()
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    best = {name: min(values) for name, values in seconds.items()}
    for name, value in best.items():
        rate = len(part.frame) / value
        print(f"{name:<28} {best['pillow loop'] / value:.2f} times the Pillow loop, {rate:.0f} images/s")
    print(json.dumps({"seconds": seconds, "images": len(part.frame)}))


if __name__ == "__main__":
    main()
