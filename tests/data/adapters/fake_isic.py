"""What the tiny copies of the ISIC sets share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.tables import save, smooth_picture


def write_lines(path: Path, text: str) -> None:
    """Write a table, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_images(folder: Path, images: Iterable[str], *, ending: str = ".jpg") -> None:
    """Write a picture for each id, with superpixels of the first beside them, as archives have them."""
    images = list(images)
    for i, image in enumerate(images):
        save(folder / f"{image}{ending}", smooth_picture(i, (40, 30)))
    save(folder / f"{images[0]}_superpixels.png", smooth_picture(0, (40, 30)))


def first_cells(table: str, *, header: bool = True) -> list[str]:
    """Return the first cell of each row."""
    return [line.split(",")[0] for line in table.splitlines()[1 if header else 0 :]]
