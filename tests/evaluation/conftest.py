"""Tiny networks and phantom lesions for the measurements of maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.phantoms import phantom_cases, register_tiny


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_cases(tmp_path_factory)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
