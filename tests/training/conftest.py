"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.phantoms import phantom_cases, register_tiny


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_cases(tmp_path_factory)


@pytest.fixture(autouse=True)
def tiny_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    register_tiny(monkeypatch, "tiny_bn", batch_norm=True)
