"""How archives and people leave a set's folders."""

from __future__ import annotations

from pathlib import Path


def deeper_in_capitals(folder: Path) -> None:
    """Move what is in a folder into one of the same name in it, and write the endings of images large."""
    held = [*folder.iterdir()]
    inner = folder / folder.name
    inner.mkdir()
    for path in held:
        path.rename(inner / path.name)
    for image in [path for path in inner.rglob("*") if path.suffix in (".jpg", ".png")]:
        image.rename(image.with_suffix(image.suffix.upper()))
