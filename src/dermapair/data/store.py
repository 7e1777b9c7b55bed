"""Prepared pixels: each image decoded once, in parallel, into a memory-mapped array of uint8 squares.

A store is a folder `pixels/<key>/` of the case folder with `pixels.npy` (N, side, side, 3), `index.parquet`
and, written last, `manifest.json`. The key covers every setting that changes a pixel and every source file's
name, size and time, so a change of either makes a new store. A killed preparation goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermapair.config import DataSettings
from dermapair.config.files import write_whole
from dermapair.data.boxes import Boxes, boxes_digest
from dermapair.data.cases import CaseTable
from dermapair.data.squares import boxes_of, read_square
from dermapair.errors import DermapairError, ImageError
from dermapair.imaging.containers import file_of
from dermapair.imaging.hair import VERSION as HAIR_VERSION
from dermapair.imaging.square import square_map
from dermapair.types import PixelMap, RGBImage

FORMAT_VERSION = 1
INDEX: dict[str, pl.DataType] = {
    "image_id": pl.String(),
    "width": pl.Int64(),
    "height": pl.Int64(),
    "error": pl.String(),
    "hair_refused": pl.Boolean(),
    "box": pl.List(pl.Float64()),
}
CHUNK = 256
"""Images between two marks of progress on the disk."""


class PixelSource(Protocol):
    """Where training and prediction take prepared squares from."""

    def square(self, row: int) -> RGBImage:
        """Return the prepared square of one row of the case table; raises ImageError for a bad image."""

    def square_map(self, row: int) -> PixelMap:
        """Return where that square lies in the original."""


@dataclass(frozen=True)
class FileSource:
    """Squares made on the fly from the original files: slower, nothing on the disk.

    Attributes:
        table: the cases.
        settings: side, fit and limits.
        boxes: the part of each image that is looked at; None: all of it.
    """

    table: CaseTable
    settings: DataSettings
    boxes: Boxes | None = None

    def square(self, row: int) -> RGBImage:
        """Decode and prepare one image."""
        return read_square(self.table, row, self.settings, self.boxes).pixels

    def square_map(self, row: int) -> PixelMap:
        """Decode one image to learn its size."""
        made = read_square(self.table, row, self.settings, self.boxes)
        return square_map(made.size, side=self.settings.size, fit=self.settings.fit, box=made.box)


@dataclass(frozen=True)
class Store:
    """Squares from a finished store.

    Attributes:
        folder: of the store.
        settings: that made it.
        pixels: (N, side, side, 3) uint8 RGB, memory-mapped, in the order of the case table.
        index: one row per image: `image_id, width, height` of the upright original, `error` or null,
            `hair_refused`: its hair was left, as too much of the image was taken for hair, and `box`: the
            part of the original that the square shows, (x0, y0, x1, y1), or null: all of it.
    """

    folder: Path
    settings: DataSettings
    pixels: NDArray[np.uint8]
    index: pl.DataFrame

    def square(self, row: int) -> RGBImage:
        """Return one square; raises ImageError where preparation could not read the image."""
        error = self.index["error"][row]
        if error is not None:
            raise ImageError(self.index["image_id"][row], error)
        square: RGBImage = self.pixels[row]
        return square

    def square_map(self, row: int) -> PixelMap:
        """Return where the square lies in the original."""
        size = (self.index["width"][row], self.index["height"][row])
        box = self.index["box"][row] if "box" in self.index.columns else None
        placed = None if box is None else (box[0], box[1], box[2], box[3])
        return square_map(size, side=self.settings.size, fit=self.settings.fit, box=placed)


def store_key(table: CaseTable, settings: DataSettings) -> str:
    """Return the name of the store for these files and settings."""
    digest = hashlib.sha256()
    unused = {"input"} | ({"hair"} if settings.hair == "none" else set())  # none: as before there was the key
    pixel_settings = settings.model_dump(exclude=unused | {"boxes"})
    if settings.hair != "none":
        pixel_settings["hair_version"] = HAIR_VERSION
    if settings.boxes:
        pixel_settings["boxes"] = boxes_digest(Path(settings.boxes))
    digest.update(json.dumps([FORMAT_VERSION, pixel_settings], sort_keys=True).encode())
    for image_id, path in table.frame.select("image_id", "path").iter_rows():
        try:
            state = os.stat(file_of(table.root / path))
            digest.update(f"{image_id}\0{path}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{image_id}\0{path}\0missing\n".encode())
    return f"{settings.fit}-{settings.size}-{digest.hexdigest()[:12]}"


def open_store(table: CaseTable, settings: DataSettings) -> Store | None:
    """Return the finished store for these files and settings, or None."""
    if table.folder is None:
        return None
    folder = table.folder / "pixels" / store_key(table, settings)
    if not (folder / "manifest.json").is_file():
        return None
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    return Store(folder, settings, pixels, pl.read_parquet(folder / "index.parquet"))


def open_pixels(table: CaseTable, settings: DataSettings) -> PixelSource:
    """Return the prepared store where there is one, else the original files."""
    return open_store(table, settings) or FileSource(table, settings, boxes_of(table, settings))


def prepare(
    table: CaseTable,
    settings: DataSettings,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Make the store for these files and settings, or finish a half-made one.

    Args:
        table: a written case table.
        settings: side, fit and limits.
        workers: threads; decoding releases Python's lock. None takes one for each core.
        progress: called with (images done, images in all).

    Returns:
        The finished store. Images that cannot be read are listed in its index; their squares are black and
        never handed out.
    """
    assert table.folder is not None, "only a written case table has a place for its pixels"
    finished = open_store(table, settings)
    if finished:
        return finished
    folder = table.folder / "pixels" / store_key(table, settings)
    folder.mkdir(parents=True, exist_ok=True)
    n = len(table.frame)
    parts = folder / "parts"
    if not (folder / "pixels.npy").is_file():
        shutil.rmtree(parts, ignore_errors=True)  # marks of progress without the pixels that they mark
    parts.mkdir(exist_ok=True)
    boxes = boxes_of(table, settings)
    pixels = _open_array(folder / "pixels.npy", (n, settings.size, settings.size, 3))
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for start in range(0, n, CHUNK):
            part = parts / f"{start:09d}.json"
            if not part.is_file():
                rows = range(start, min(start + CHUNK, n))
                found = list(pool.map(lambda row: _prepare_row(table, settings, boxes, pixels, row), rows))
                pixels.flush()
                write_whole(part, json.dumps(found))
            progress(min(start + CHUNK, n), n)
    _finish(folder, table, settings)
    store = open_store(table, settings)
    assert store is not None
    return store


def _open_array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Open the array of a half-made store, or make a new one with its whole space reserved.

    Writing to mapped memory that the disk has no room for would kill the process without a word.
    """
    if path.is_file():
        return np.lib.format.open_memmap(path, mode="r+", dtype=np.uint8, shape=shape)
    size = math.prod(shape)
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise DermapairError(
            f"{path}: expected room for {size / 2**30:.2f} GiB of prepared pixels, got {error.strerror!r}; "
            f"free space on the disk or lower the size"
        ) from error
    return array


def _prepare_row(
    table: CaseTable,
    settings: DataSettings,
    boxes: Boxes | None,
    pixels: NDArray[np.uint8],
    row: int,
) -> dict[str, Any]:
    """Decode one image into its place and return its line of the index."""
    line: dict[str, Any] = {
        "image_id": table.frame["image_id"][row],
        "width": None,
        "height": None,
        "error": None,
        "hair_refused": False,
        "box": None,
    }
    try:
        made = read_square(table, row, settings, boxes)
        pixels[row] = made.pixels
        line["width"], line["height"] = made.size
        line["hair_refused"], line["box"] = made.hair_refused, made.box
    except ImageError as error:
        line["error"] = str(error)
    return line


def _finish(folder: Path, table: CaseTable, settings: DataSettings) -> None:
    """Join the parts to the index and write the manifest."""
    parts = sorted((folder / "parts").glob("*.json"))
    lines = [line for part in parts for line in json.loads(part.read_text(encoding="utf-8"))]
    pl.DataFrame(lines, schema=INDEX).write_parquet(folder / "index.parquet")
    manifest = {
        "format_version": FORMAT_VERSION,
        "settings": settings.model_dump(),
        "images": len(table.frame),
        "unreadable": sum(line["error"] is not None for line in lines),
    }
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    for part in parts:
        part.unlink()
    (folder / "parts").rmdir()


def unreadable(store: Store) -> Iterator[tuple[str, str]]:
    """Yield the image id and reason of each image that preparation could not read."""
    bad = store.index.filter(pl.col("error").is_not_null())
    yield from bad.select("image_id", "error").iter_rows()


def with_refused_hair(store: Store) -> list[str]:
    """Return the ids of the images whose hair was left, as too much was taken for hair."""
    if "hair_refused" not in store.index.columns:  # a store from before there was hair removal
        return []
    return store.index.filter("hair_refused")["image_id"].to_list()
