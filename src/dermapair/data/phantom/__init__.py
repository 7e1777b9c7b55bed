"""Phantom lesions: drawn pairs of a clinical photograph and a dermoscopic image with a known best accuracy.

Every lesion gets a diagnosis, discrete attributes that depend on it by chance, and two pictures that each
show some of the attributes. `world` holds the probabilities and computes from them what the best possible
classifier would reach on each readout; `clinical`, `dermoscopic` and `skin` draw on a `canvas`; `cases` puts
one lesion together; `generate` writes a whole set. Tables, manifests and adapters are left to the caller.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from dermapair.data.phantom.cases import Row, draw_view, write_lesion
from dermapair.data.phantom.world import (
    PHANTOM,
    Attribute,
    Diagnosis,
    World,
    bayes_accuracies,
    cancer_bayes_accuracies,
    posterior,
)
from dermapair.errors import UsageError

__all__ = [
    "PHANTOM",
    "Attribute",
    "Diagnosis",
    "World",
    "bayes_accuracies",
    "cancer_bayes_accuracies",
    "draw_view",
    "generate",
    "posterior",
]

_SMALLEST_PX = 64


def generate(
    out: Path, *, lesions: int, seed: int, size_px: int = 256, workers: int = 1
) -> tuple[list[Row], dict[str, Any]]:
    """Draw a set of lesions into `out/images` and `out/masks`.

    Lesion i depends on `seed` and i alone: the same files come from any number of lesions and workers.

    Args:
        out: folder, made if absent.
        lesions: how many, each with two pictures.
        seed: not negative.
        size_px: short side of the pictures; the long side is 4/3 of it.
        workers: processes; 1 draws in this one. They are spawned, so a script needs its `__main__` guard.

    Returns:
        Rows of the case table (clinical, then dermoscopic, lesion by lesion), with `attribute_<name>`,
        `mask` (of the lesion) and `hair_mask` (255 inside) as extra columns and paths relative to `out`;
        `skin_tone` is 1 (very light) to 6 (very dark), age and sex are None where unknown. And the manifest:
        best accuracies, attributes, `world` (name, prior and cancer of each diagnosis, in class order), and
        `phantom`, the arguments that draw the same set again.

    Raises:
        UsageError: a number is out of range.
    """
    for name, value, least in (
        ("lesions", lesions, 1),
        ("seed", seed, 0),
        ("size_px", size_px, _SMALLEST_PX),
    ):
        if value < least:
            raise UsageError(f"phantom {name} must be at least {least}, got {value}; choose a larger one")
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows = [row for pair in _pairs(out, lesions, seed, size_px, workers) for row in pair]
    return rows, _manifest({"lesions": lesions, "seed": seed, "size_px": size_px})


def _pairs(out: Path, lesions: int, seed: int, size_px: int, workers: int) -> Iterator[list[Row]]:
    write = partial(_write_indexed, out, seed, size_px)
    if workers <= 1:
        yield from map(write, range(lesions))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        yield from pool.map(write, range(lesions), chunksize=16)


def _write_indexed(out: Path, seed: int, size_px: int, lesion: int) -> list[Row]:
    return write_lesion(out, lesion=lesion, seed=seed, size_px=size_px)


def _manifest(arguments: dict[str, int]) -> dict[str, Any]:
    return {
        "bayes_accuracy": bayes_accuracies(),
        "cancer_bayes_accuracy": cancer_bayes_accuracies(),
        "attributes": {
            a.name: {"values": list(a.values), "views": list(a.views)} for a in PHANTOM.attributes
        },
        "world": {d.code: {"name": d.name, "prior": d.prior, "cancer": d.cancer} for d in PHANTOM.diagnoses},
        "lesion_ids": "lesion",
        "phantom": arguments,
    }
