"""Hair removed from files: one image or a folder, in parallel, nothing lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dermapair.config.files import write_whole
from dermapair.errors import ImageError, UsageError
from dermapair.imaging.hair import MOST, check_method, remove_hair
from dermapair.imaging.read import read_image

HAIR = 255


def clean_files(
    source: Path,
    out: Path,
    *,
    method: str,
    mask: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write `OUT/<stem>.png` for each image, and with `mask` `OUT/<stem>_hair.png` (255 is hair).

    Args:
        source: an image, or a folder of images; hidden files and subfolders are left out.
        out: folder to write to.
        method: a name in `METHODS`.
        mask: write masks too.
        workers: threads; None takes one for each core.
        progress: called with (images done, images in all).

    Returns:
        `images`: by stem the share of pixels that was `hair` and whether it was `refused` as too much;
        `errors`: file name and reason of each that could not be read.

    Raises:
        UsageError: there is no image, two share a stem, `out` would overwrite them, or the method is unknown.
    """
    check_method(method)
    files = _files(source)
    stems = {file.stem for file in files}
    taken = sorted(f"{stem}_hair" for stem in stems if mask and f"{stem}_hair" in stems)
    if taken:
        raise UsageError(
            f"{source}: the mask of an image would be written over the image {taken[0]!r}; leave out "
            f"--mask, or move masks elsewhere"
        )
    if out.resolve() in {file.resolve().parent for file in files}:
        raise UsageError(f"{out}: expected another folder than that of the images; name a new one")
    out.mkdir(parents=True, exist_ok=True)
    images: dict[str, dict[str, Any]] = {}
    errors: list[tuple[str, str]] = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        jobs = [pool.submit(_clean, file, out, method, mask) for file in files]
        for done, (file, job) in enumerate(zip(files, jobs, strict=True)):
            try:
                images[file.stem] = job.result()
            except ImageError as error:
                errors.append((file.name, error.reason))
            progress(done + 1, len(files))
    return {"out": str(out), "method": method, "most": MOST, "images": images, "errors": errors}


def _files(source: Path) -> list[Path]:
    """Return the images to clean, sorted by name."""
    if not source.is_dir():
        return [source]
    files = sorted(p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise UsageError(f"{source}: expected images, but there is no file; check the folder")
    seen: dict[str, str] = {}
    for file in files:
        if file.stem in seen:
            raise UsageError(f"{source}: {seen[file.stem]} and {file.name} share a stem; rename one")
        seen[file.stem] = file.name
    return files


def _clean(file: Path, out: Path, method: str, mask: bool) -> dict[str, Any]:
    """Clean one file, write what was asked for and return its line of the summary."""
    done = remove_hair(read_image(file), method)
    write_whole(out / f"{file.stem}.png", _png(done.image[..., ::-1]))
    if mask:
        write_whole(out / f"{file.stem}_hair.png", _png(done.mask.astype(np.uint8) * HAIR))
    return {"hair": float(done.mask.mean()), "refused": done.refused}


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    """Return grey or BGR pixels as a PNG file."""
    done, data = cv2.imencode(".png", pixels)
    assert done, "a PNG of any size can be encoded"
    return data.tobytes()
