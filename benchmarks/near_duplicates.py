"""Near duplicates: how many planted copies are found, what else is, and the time of the search alone.

    python benchmarks/near_duplicates.py [CASES] [--images 1000] [--search 100000]

Of each of `--images` images of CASES, all of different lesions, eight copies are made, one for each change of
`CHANGES`, and all are searched together. Recall counts the pairs of an image and its copy, and all pairs of
one picture; a pair of two different images counts as false, and is named to be looked at, as a set holds
duplicates of its own. `--search` thumbnails are cut from the images at random, so that they are as alike as
those of a large set. Without CASES it takes phantom lesions.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from _phantom import case_folder
from numpy.typing import NDArray

from dermapair.data.cases import CaseTable, read_cases
from dermapair.data.duplicates import similar_pictures
from dermapair.data.fingerprints import SIDE, grey_thumbnail
from dermapair.errors import ImageError
from dermapair.imaging.read import read_image

Pixels = NDArray[np.uint8]


def resized(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the image at 30 to 60% of its size."""
    factor = rng.uniform(0.3, 0.6)
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def compressed(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the image as a JPEG of quality 20 to 40 has it."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 41))]
    _, data = cv2.imencode(".jpg", image[..., ::-1], quality)
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def recoloured(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the image with another gain, offset and gamma in each channel."""
    values = (image / 255.0) ** rng.uniform(0.8, 1.25, 3) * rng.uniform(0.75, 1.1, 3) + rng.uniform(
        -0.05, 0.1, 3
    )
    return np.clip(255 * values, 0, 255).astype(np.uint8)


def all_at_once(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the image resized, recoloured, compressed, and in a random orientation."""
    turned = np.rot90(image[:, ::-1] if rng.integers(2) else image, rng.integers(4))
    return compressed(recoloured(resized(np.ascontiguousarray(turned), rng), rng), rng)


CHANGES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "resized": resized,
    "JPEG": compressed,
    "recoloured": recoloured,
    "mirrored": lambda image, rng: np.ascontiguousarray(image[:, ::-1]),
    "upside down": lambda image, rng: np.ascontiguousarray(image[::-1]),
    "turned by 90": lambda image, rng: np.ascontiguousarray(np.rot90(image)),
    "turned by 180": lambda image, rng: np.ascontiguousarray(np.rot90(image, 2)),
    "all at once": all_at_once,
}


def planted(table: CaseTable, n: int) -> dict[str, object]:
    """Return what of the planted copies is found."""
    rng = np.random.default_rng(0)
    first = (
        table.frame.with_row_index("row")
        .unique("lesion_id", keep="first", maintain_order=True)["row"]
        .to_numpy()
    )
    rows = np.sort(rng.permutation(first)[:n])
    thumbnails = []
    for row in rows:
        image = read_image(table.path(int(row)))
        copies = [change(image, rng) for change in CHANGES.values()]
        thumbnails += [grey_thumbnail(each) for each in (image, *copies)]
    found = similar_pictures(np.stack(thumbnails)).rows
    each = 1 + len(CHANGES)
    same = found[:, 0] // each == found[:, 1] // each
    pairs = {tuple(pair) for pair in found[same].tolist()}
    of_change = {
        name: sum((each * i, each * i + k) in pairs for i in range(len(rows))) / len(rows)
        for k, name in enumerate(CHANGES, start=1)
    }
    every = len(rows) * len(list(combinations(range(each), 2)))
    ids = table.frame["image_id"]
    false = {tuple(ids[int(rows[i // each])] for i in pair) for pair in found[~same].tolist()}
    return {
        "images": len(rows),
        "recall": sum(of_change.values()) / len(CHANGES),
        "recall_of_all_pairs": len(pairs) / every,
        "precision": len(pairs) / len(found),
        "false_pairs": int((~same).sum()),
        "different_images_paired": sorted(false),
        "recall_by_change": of_change,
    }


def cuts(table: CaseTable, n: int) -> NDArray[np.uint8]:
    """Return (n, SIDE, SIDE) thumbnails of random parts of the images, 45 to 80% as wide and high."""
    rng, made = np.random.default_rng(1), []
    each = -(-n // len(table.frame))
    for row in range(len(table.frame)):
        try:
            image = cv2.cvtColor(read_image(table.path(row), min_side=2 * SIDE), cv2.COLOR_RGB2GRAY)
        except ImageError:
            continue
        height, width = image.shape
        for _ in range(each):
            h, w = (rng.uniform(0.45, 0.8, 2) * (height, width)).astype(int)
            y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
            made.append(cv2.resize(image[y : y + h, x : x + w], (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.stack(made[:n])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--search", type=int, default=100_000)
    arguments = parser.parse_args()
    with case_folder(arguments.cases) as folder:
        result = measure(read_cases(folder), arguments)
    print(json.dumps(result, indent=1))


def measure(table: CaseTable, arguments: argparse.Namespace) -> dict[str, object]:
    result: dict[str, object] = {"planted": planted(table, arguments.images)}
    if arguments.search:
        thumbnails = cuts(table, arguments.search)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, cpu = time.perf_counter(), time.process_time()
        found = similar_pictures(thumbnails)
        result["search"] = {
            "thumbnails": len(thumbnails),
            "seconds": round(time.perf_counter() - began, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "pairs": len(found),
            "peak_mib_before": before // 1024,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    return result


if __name__ == "__main__":
    main()
