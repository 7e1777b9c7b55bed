"""Where the tables and images of a published set lie, as its archives unpack.

A `*` in a name stands for nothing or for a version, `_v2` and so on; the newest that is there is read. A
table lies in the set's folder, in a folder of its own name, or among the images. Images may lie one folder
deeper, in one of the same name. Only files with the endings of images count, so the superpixels and tables
beside them are left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dermapair.imaging import containers

JPEG = (".jpg", ".jpeg")


def newest(folder: Path, name: str) -> Path | None:
    """Return the entry of a folder with this name, where a `*` may be a version; None if there is none."""
    head, *rest = name.split("/")
    if rest:
        below = newest(folder, head)
        return newest(below, "/".join(rest)) if below and below.is_dir() else None
    if "*" not in head:
        return folder / head if (folder / head).exists() else None
    pattern = re.compile(r"(?:_v(\d+))?".join(map(re.escape, head.split("*"))))
    versions = {
        tuple(int(number or 1) for number in match.groups()): entry
        for entry in os.listdir(folder)
        if (match := pattern.fullmatch(entry))
    }
    return folder / versions[max(versions)] if versions else None


def places(root: Path, name: str) -> list[Path]:
    """Return where the images of a folder or HDF5 file may lie: there, and in a folder of the same name."""
    place = newest(root, name) if root.is_dir() else None
    if place is None:
        return []
    inner = place / place.name
    return [place, inner] if inner.is_dir() else [place]


def find_table(root: Path, names: Sequence[str], folders: Sequence[Path] = ()) -> Path | None:
    """Return the first of these tables: in the root, in a folder of its own name, or among the images."""
    for name in names:
        own = newest(root, name.removesuffix(".csv")) if root.is_dir() else None
        for place in (root, own, *folders):
            path = newest(place, name) if place is not None and place.is_dir() else None
            if path is not None and path.is_file():
                return path
    return None


def list_images(root: Path, folders: Sequence[Path], endings: Sequence[str]) -> pl.DataFrame:
    """Return `image_id` and `path` of the images in these places, sorted; of equal ids the first place."""
    frames = [pl.DataFrame(schema={"image_id": pl.String, "path": pl.String})]
    for folder in folders:
        files = pl.Series("file", sorted(_names_in(folder, tuple(endings))), dtype=pl.String)
        stem = pl.col("file") if folder.is_file() else pl.col("file").str.replace(r"\.[^.]*$", "")
        place = folder.relative_to(root).as_posix()
        frames.append(files.to_frame().select(stem.alias("image_id"), path=place + "/" + pl.col("file")))
    return pl.concat(frames).unique("image_id", keep="first", maintain_order=True)


def _names_in(place: Path, endings: tuple[str, ...]) -> list[str]:
    """Return the names of the images in a folder, or the keys of an HDF5 file."""
    if place.is_file():
        return containers.keys(place)
    with os.scandir(place) as entries:
        return [e.name for e in entries if e.name.lower().endswith(endings) and e.is_file()]
