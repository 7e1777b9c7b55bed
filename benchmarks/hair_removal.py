"""Hair removal: masks against given ones, pixels against the same image without hair, and speed.

    python benchmarks/hair_removal.py [FOLDER] [--rounds 3]

FOLDER holds `real/` (NAME.jpg and NAME_hair.png; every second image is scored, as the learned method was
trained on the others) and `triplets/` (NAME_hairy.jpg, NAME_clean.jpg, NAME_hair.png). Without FOLDER it
takes phantom lesions, masks and speed only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from _phantom import case_folder
from numpy.typing import NDArray

from dermapair.data.cases import read_cases
from dermapair.imaging.hair import METHODS, remove_hair
from dermapair.imaging.read import read_image
from dermapair.types import RGBImage

Mask = NDArray[np.bool_]
HAIRY = 0.01
"""Least share of hair of an image whose mask is scored."""
BORDER = 0.02
"""Share of each side that is left out: the given masks mark borders of images."""
EDGE = np.ones((5, 5), np.uint8)
"""Hair is scored with two pixels round it, which its blurred edge changes."""


def masked(folder: Path) -> list[tuple[RGBImage, Mask]]:
    """Return the hairy ones among every second image of `real/`, the borders cut off their masks."""
    files = sorted(folder.glob("*_hair.png"))[1::2]
    found = [(read_image(str(f).replace("_hair.png", ".jpg")), read_image(f)[..., 0] > 127) for f in files]
    return [(image, mask) for image, mask in found if inner(mask).mean() >= HAIRY]


def triplets(folder: Path) -> list[tuple[RGBImage, RGBImage, Mask]]:
    """Return hairy image, the same without hair, and the mask of the hair with its edge."""
    result = []
    for file in sorted(folder.glob("*_hair.png")):
        hairy, clean = (read_image(str(file).replace("_hair.png", f"_{x}.jpg")) for x in ("hairy", "clean"))
        result.append((hairy, clean, cv2.dilate(read_image(file)[..., 0], EDGE) > 127))
    return result


def phantoms() -> list[tuple[RGBImage, Mask]]:
    """Return phantom lesions with enough hair and the mask of it."""
    with case_folder(None) as folder:
        table = read_cases(folder)
        masks = [read_image(table.root / path)[..., 0] > 127 for path in table.frame["hair_mask"]]
        images = [read_image(table.path(row)) for row in range(len(masks))]
    return [(i, m) for i, m in zip(images, masks, strict=True) if inner(m).mean() >= HAIRY]


def inner(mask: Mask) -> Mask:
    """Return a mask without its border."""
    y, x = (int(np.ceil(BORDER * side)) for side in mask.shape)
    return mask[y : mask.shape[0] - y, x : mask.shape[1] - x]


def overlap(method: str, images: list[tuple[RGBImage, Mask]]) -> dict[str, float]:
    """Return the means over images of Dice, precision and recall."""
    rows = []
    for image, truth in images:
        found, mask = inner(remove_hair(image, method).mask), inner(truth)
        both = (found & mask).sum()
        rows.append((2 * both / (found.sum() + mask.sum()), both / max(found.sum(), 1), both / mask.sum()))
    return dict(zip(("dice", "precision", "recall"), np.mean(rows, axis=0).tolist(), strict=True))


def psnr(image: RGBImage, truth: RGBImage, where: Mask) -> float:
    """Return the peak signal-to-noise ratio inside a mask, dB."""
    squared = (image[where].astype(float) - truth[where]) ** 2
    return float(10 * np.log10(255**2 / max(squared.mean(), 1e-9)))


def restored(method: str, images: list[tuple[RGBImage, RGBImage, Mask]]) -> dict[str, float]:
    """Return the means of PSNR inside and outside hair, and the share of the clean image touched, percent."""
    rows = []
    for hairy, clean, mask in images:
        done = remove_hair(hairy, method).image
        touched = (remove_hair(clean, method).image != clean).any(axis=2).mean()
        rows.append((psnr(done, clean, mask), psnr(done, clean, ~mask), 100 * touched))
    names = ("psnr_inside_db", "psnr_outside_db", "clean_touched_percent")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def rates(images: list[RGBImage], rounds: int) -> dict[str, float]:
    """Return images per second by method, a thread for each core, all taking turns; medians of the rounds."""
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number in range(rounds + 1):
            for name, values in found.items():
                began = time.perf_counter()
                list(pool.map(lambda image, method=name: remove_hair(image, method), images))
                if number:  # the first round warms up
                    values.append(len(images) / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Hair removal: masks, pixels and speed.")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)  # a thread for each core is there already
    images = masked(options.folder / "real") if options.folder else phantoms()
    speed = rates([image for image, _ in images], options.rounds)
    for method in METHODS:
        line = {"method": method, "images": len(images), "images_per_s": speed[method]} | overlap(
            method, images
        )
        if options.folder:
            line |= restored(method, triplets(options.folder / "triplets"))
        print(
            json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in line.items()}), flush=True
        )


if __name__ == "__main__":
    main()
