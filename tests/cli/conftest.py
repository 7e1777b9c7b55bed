"""How tests of commands run the program, and the tiny run that they give it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dermapair.cli import main as program
from inference.runs import save_tiny_run
from training.phantoms import phantom_cases

Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the program and return its exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["dermapair", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            program.main()
        return int(ended.value.code or 0)

    return call


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of an untrained tiny network."""
    return save_tiny_run(tmp_path / "run")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case folder of phantom lesions."""
    return phantom_cases(tmp_path_factory)
