"""Tiny networks and phantom lesions for the measurements of maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from dermapair.data.cases import CaseTable, read_cases
from training.phantoms import phantom_cases, register_tiny


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_cases(tmp_path_factory)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The file of a challenge, in a folder that is not there yet."""
    return tmp_path / "new" / "submission.csv"


@pytest.fixture
def single(cases: Path) -> CaseTable:
    """The dermoscopic images of the phantom lesions, one for each; ids of images end in `_dermoscopic`."""
    table = read_cases(cases)
    return replace(table, frame=table.frame.filter(pl.col("view") == "dermoscopic"))
