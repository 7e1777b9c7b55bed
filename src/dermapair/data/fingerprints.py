"""What an audit keeps of each image: a digest of its pixels, its size, and two thumbnails.

Images are read in threads, one after the other; 3 kB of each stay in memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dermapair.data.cases import CaseTable
from dermapair.errors import ImageError
from dermapair.imaging.read import read_image

SIDE = 48
"""Of the grey thumbnail, pixels."""
COLOUR_SIDE = 12
"""Of the coloured one."""


@dataclass(frozen=True)
class Fingerprints:
    """N images, in the order of the case table.

    Attributes:
        grey: (N, SIDE, SIDE) uint8, the whole image squashed to a square; 0 where it cannot be read.
        colour: (N, COLOUR_SIDE, COLOUR_SIDE, 3) uint8 RGB, likewise.
        sizes: (N, 2) width and height of the upright image, pixels; 0 where it cannot be read.
        digests: of size and pixels, equal for images that are the same to the last bit; None where it cannot
            be read.
        errors: why it cannot be read, or None.
    """

    grey: NDArray[np.uint8]
    colour: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    digests: tuple[bytes | None, ...]
    errors: tuple[str | None, ...]


def fingerprints(
    table: CaseTable, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Fingerprints:
    """Read every image of a table whole."""
    n = len(table.frame)
    grey = np.zeros((n, SIDE, SIDE), dtype=np.uint8)
    colour = np.zeros((n, COLOUR_SIDE, COLOUR_SIDE, 3), dtype=np.uint8)
    sizes = np.zeros((n, 2), dtype=np.int64)
    digests: list[bytes | None] = []
    errors: list[str | None] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, found in enumerate(pool.map(_fingerprint, map(table.path, range(n)))):
            progress(row + 1, n)
            if isinstance(found, str):
                digests.append(None)
                errors.append(found)
                continue
            grey[row], colour[row], sizes[row], digest = found
            digests.append(digest)
            errors.append(None)
    return Fingerprints(grey, colour, sizes, tuple(digests), tuple(errors))


def _fingerprint(
    path: Path,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[int, int], bytes] | str:
    """Return grey and coloured thumbnail, size and digest of one image, or why it cannot be read."""
    try:
        image = read_image(path)
    except ImageError as error:
        return error.reason
    height, width = image.shape[:2]
    digest = hashlib.blake2b(image.data, digest_size=16, person=f"{width}x{height}".encode()).digest()
    colour = cv2.resize(image, (COLOUR_SIDE, COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    return grey_thumbnail(image), np.asarray(colour, dtype=np.uint8), (width, height), digest


def grey_thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the (SIDE, SIDE) grey thumbnail of an H x W x 3 uint8 RGB image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def thumbnails(table: CaseTable) -> tuple[NDArray[np.uint8], list[int]]:
    """Return (N, SIDE, SIDE) grey thumbnails, read as fast as can be, and the rows that cannot be read.

    The thumbnails of those are 0.
    """

    def one(path: Path) -> NDArray[np.uint8] | None:
        try:
            return grey_thumbnail(read_image(path, min_side=2 * SIDE))
        except ImageError:
            return None

    grey = np.zeros((len(table.frame), SIDE, SIDE), dtype=np.uint8)
    unreadable = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, found in enumerate(pool.map(one, map(table.path, range(len(grey))))):
            if found is None:
                unreadable.append(row)
            else:
                grey[row] = found
    return grey, unreadable
