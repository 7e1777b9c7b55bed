"""Trees of tiny images for the adapter of folders."""

from __future__ import annotations

from pathlib import Path

from data.tables import save, smooth_picture


def write_tree(root: Path, *files: str) -> Path:
    """Write files into a folder, which is returned; those that are no pictures hold a word of text."""
    for i, file in enumerate(files):
        if file.lower().endswith((".jpg", ".png", ".jpeg")):
            save(root / file, smooth_picture(i, (40, 30)))
        else:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text("text", encoding="utf-8")
    return root
