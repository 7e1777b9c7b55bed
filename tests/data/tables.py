"""Small case tables and pictures for the tests of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dermapair.data.cases import CaseTable, case_frame

DIAGNOSES = ("MEL", "NV", "BKL", "DF")


def row(image: str, **values: Any) -> dict[str, Any]:
    """Return one row; a lesion of its own, dermoscopic, a nevus, unless `values` say otherwise."""
    usual = {"image_id": image, "lesion_id": image, "view": "dermoscopic", "path": f"{image}.png"}
    return {**usual, "diagnosis": "NV", **values}


def table(rows: Sequence[Mapping[str, Any]], root: Path = Path("nowhere"), **values: Any) -> CaseTable:
    """Return a table of rows, not written."""
    return CaseTable(case_frame(rows), root, values.get("diagnoses", DIAGNOSES), {"adapter": "test"})


def smooth_picture(seed: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Return a picture of (width, height) with large random patches, HWC uint8 RGB."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return np.asarray(patches.resize(size, Image.Resampling.BICUBIC))


def save(path: Path, pixels: np.ndarray) -> None:
    """Write pixels, the type by the name's ending, with the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def folder_of_pictures(folder: Path, n: int) -> CaseTable:
    """Return a table of n lesions with a picture each, of several sizes, not written."""
    for i in range(n):
        save(folder / f"i{i}.png", smooth_picture(i, size=(41 + 7 * i, 33 + 5 * (i % 3))))
    return table([row(f"i{i}") for i in range(n)], folder)
