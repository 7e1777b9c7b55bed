"""Adapters: one function per data set, from its official layout to a case table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dermapair.data.adapters import csv, ham10000, isic2017, isic2017_masks, milk10k
from dermapair.data.cases import CaseTable
from dermapair.data.vocabulary import with_common_terms
from dermapair.errors import UsageError, unknown_choice

ADAPTERS: dict[str, Callable[[Path], CaseTable]] = {
    "milk10k": milk10k.read,
    "isic2017": isic2017.read,
    "isic2017-masks": isic2017_masks.read,
    "ham10000": ham10000.read,
    "csv": csv.read,
}
"""Name -> function of the data set's folder (csv: file). `phantom` draws instead, see `adapters.phantom`."""


def import_cases(adapter: str, root: Path) -> CaseTable:
    """Return the case table of a data set, with the common terms beside its own.

    Raises:
        UsageError: the adapter is unknown.
        TableError, MissingFilesError: what is there is not the data set, or not all of it.
    """
    if adapter not in ADAPTERS:
        raise UsageError(unknown_choice("adapter", adapter, (*ADAPTERS, "phantom")))
    return with_common_terms(ADAPTERS[adapter](root))
