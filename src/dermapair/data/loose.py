"""Loose files as a case table: one lesion, a folder of images, or two folders with equal stems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dermapair.data.cases import CaseTable, case_frame
from dermapair.errors import TableError, UsageError
from dermapair.imaging.formats import ENDINGS
from dermapair.types import VIEWS, View


def one_lesion(*, clinical: Path | None, dermoscopic: Path | None) -> CaseTable:
    """Return the case table of one lesion; its id is the stem of the clinical, else the dermoscopic file."""
    files = dict(zip(VIEWS, (clinical, dermoscopic), strict=True))
    given = [file for file in files.values() if file]
    if not given:
        raise UsageError("expected a clinical or a dermoscopic image, got none; give at least one")
    root = Path(given[0].resolve().anchor)
    lesion = given[0].stem
    rows = [
        {"image_id": f"{lesion}_{view}", "lesion_id": lesion, "view": view, "path": _below(root, file)}
        for view, file in files.items()
        if file
    ]
    return _table(rows, root)


def folder_cases(folder: Path, *, views: Sequence[View], view: str = "") -> CaseTable:
    """Return the case table of a folder.

    Args:
        folder: holds the subfolders `clinical` and `dermoscopic` (or one of them), whose equal stems are one
            lesion, or images, each a lesion.
        views: that the network takes.
        view: what images without subfolders show; may be "" for a network of one view.

    Raises:
        TableError: the folder is missing or has no file, images lie beside its subfolders, or two files of
            a view share a stem.
        UsageError: the view is needed and was not given, or was given beside subfolders that name it.
    """
    if not folder.is_dir():
        raise TableError(f"{folder}: expected a folder of images, but it is not there")
    rows: list[dict[str, Any]] = []
    for of, place in _places(folder, views, view).items():
        stems: dict[str, str] = {}
        for file in sorted(p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")):
            if file.stem in stems:
                raise TableError(f"{place}: {stems[file.stem]} and {file.name} share a stem; rename one")
            stems[file.stem] = file.name
            rows.append(
                {
                    "image_id": f"{file.stem}_{of}",
                    "lesion_id": file.stem,
                    "view": of,
                    "path": file.relative_to(folder).as_posix(),
                }
            )
    if not rows:
        raise TableError(f"{folder}: expected images, but there is no file; check the folder")
    return _table(rows, folder)


def _places(folder: Path, views: Sequence[View], view: str) -> dict[View, Path]:
    """Return by view the folder that holds its images: subfolders, or the folder itself."""
    parts = {v: folder / v for v in VIEWS if (folder / v).is_dir()}
    if not parts:
        if not view and len(views) > 1:
            raise UsageError(
                f"{folder}: this network takes {' and '.join(views)}; say with --view what it shows"
            )
        return {_view(view or views[0]): folder}
    named = " and ".join(f"{v}/" for v in parts)
    if view:
        raise UsageError(f"{folder}: --view is for images without subfolders, but {named} is there; drop it")
    beside = sorted(p.name for p in folder.iterdir() if p.is_file() and looks_like_an_image(p))
    if beside:
        raise TableError(
            f"{folder}: expected all images in {named}, but {beside[0]} lies beside "
            f"({len(beside)} such files); move them"
        )
    return parts


def looks_like_an_image(file: Path) -> bool:
    """Return whether the name's ending is that of pictures that can be read; other files are no matter."""
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".")


def _view(name: str) -> View:
    for view in VIEWS:
        if view == name:
            return view
    raise UsageError(f"--view: expected {' or '.join(VIEWS)}, got {name!r}")


def _below(root: Path, file: Path) -> str:
    return file.resolve().relative_to(root).as_posix()


def _table(rows: list[dict[str, Any]], root: Path) -> CaseTable:
    return CaseTable(case_frame(rows), root, (), {"adapter": "files", "lesion_ids": "stem"})
