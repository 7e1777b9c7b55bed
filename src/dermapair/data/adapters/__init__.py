"""Adapters: one function per data set, from its official layout to a case table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dermapair.data.adapters import csv, isic2017, milk10k
from dermapair.data.cases import CaseTable

ADAPTERS: dict[str, Callable[[Path], CaseTable]] = {
    "milk10k": milk10k.read,
    "isic2017": isic2017.read,
    "csv": csv.read,
}
"""Name -> function of the data set's folder (csv: file); `phantom` draws instead, see `data.phantom`."""
