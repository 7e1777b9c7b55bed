"""`dermapair demo`: its progress; what it makes is tested in `reproduce`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermapair.cli import main as program
from dermapair.config import load_recipe
from dermapair.reproduce import demo


def test_off_a_terminal_training_says_a_line_for_every_tenth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs, steps = load_recipe("demo").train.epochs, 7

    def run_demo(out: Path, *, on_step: Callable[[int, int, int], None], **_: Any) -> dict[str, Any]:
        for epoch in range(1, epochs + 1):
            for done in range(1, steps + 1):
                on_step(epoch, done, steps)
        return {"results": {"readouts": {}}, "bayes_accuracy": {}, "report": "page"}

    monkeypatch.setattr(demo, "run_demo", run_demo)
    monkeypatch.setattr(sys, "argv", ["dermapair", "demo", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        program.main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: ")]
    assert not ended.value.code
    assert lines[-1] == f"train: {epochs * steps} of {epochs * steps}"
    assert len(lines) == 11  # 0 to 10 tenths
