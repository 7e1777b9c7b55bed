"""Adapters: one function per data set, from its official layout to a case table."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path

from dermapair.data.adapters import (
    csv,
    derm7pt,
    folder,
    ham10000,
    isic2016,
    isic2017,
    isic2017_masks,
    isic2018,
    isic2019,
    isic2020,
    isic2024,
    milk10k,
    pad_ufes_20,
    ph2,
)
from dermapair.data.cases import CaseTable
from dermapair.data.vocabulary import with_common_terms
from dermapair.errors import UsageError, unknown_choice

ADAPTERS: dict[str, Callable[..., CaseTable]] = {
    "milk10k": milk10k.read,
    "isic2016": isic2016.read,
    "isic2017": isic2017.read,
    "isic2017-masks": isic2017_masks.read,
    "isic2018": isic2018.read,
    "isic2019": isic2019.read,
    "isic2020": isic2020.read,
    "isic2024": isic2024.read,
    "ham10000": ham10000.read,
    "derm7pt": derm7pt.read,
    "pad-ufes-20": pad_ufes_20.read,
    "ph2": ph2.read,
    "folder": folder.read,
    "csv": csv.read,
}
"""Name -> function of the data set's folder (csv: file), and of `view` where the set may leave that open.

`phantom` draws instead, see `adapters.phantom`.
"""


def import_cases(adapter: str, root: Path, *, view: str = "") -> CaseTable:
    """Return the case table of a data set, with the common terms beside its own.

    Args:
        adapter: a key of `ADAPTERS`.
        root: what the adapter reads.
        view: what the images show, for an adapter that takes it.

    Raises:
        UsageError: the adapter is unknown, or the view is needed or not taken.
        TableError, MissingFilesError: what is there is not the data set, or not all of it.
    """
    if adapter not in ADAPTERS:
        raise UsageError(unknown_choice("adapter", adapter, (*ADAPTERS, "phantom")))
    read = ADAPTERS[adapter]
    if "view" in signature(read).parameters:
        return with_common_terms(read(root, view=view))
    if view:
        raise UsageError(f"--view is for the adapter folder, but {adapter} knows its views; drop it")
    return with_common_terms(read(root))
