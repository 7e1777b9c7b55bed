"""Fixtures of the inference tests: a case folder and a run folder with a model of random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.runs import save_tiny_run
from training.phantoms import phantom_cases, register_tiny


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_cases(tmp_path_factory)


@pytest.fixture(autouse=True)
def tiny_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_tiny_run(tmp_path / "run")
