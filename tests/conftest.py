"""What every test may use: the optional folder of real data and seeded generators.

Nothing here touches global random state; a test that draws asks for a generator.
"""

from __future__ import annotations

import os
from pathlib import Path

# Workers of pytest-xdist share the cores, so one thread each. Set before the first import of a library
# that reads these; commands that a test starts inherit them.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the real data, so that `-m "not real"` leaves them out."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker("real")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and weights: DERMAPAIR_SHARED, else `../shared` beside the repository."""
    folder = Path(os.environ.get("DERMAPAIR_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no folder of real data: {folder / 'data'} is missing; name it in DERMAPAIR_SHARED")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A NumPy generator with a fixed seed, fresh for each test."""
    return np.random.default_rng(0)
