"""`dermapair reproduce`: wrong use is one sentence; what it makes is tested with `reproduce.ge2017`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ge2018",), "unknown paper 'ge2018'; known: ge2017, jia2017"),
        (("jia2017", "--melanoma", "MEL"), "go with ge2017; leave them out"),
        (("jia2017", "--seeds", "5"), "--seeds, --cancers and --melanoma go with ge2017"),
        (("ge2017", "--masks", "m"), "--masks goes with jia2017; leave it out"),
        (
            ("jia2017", "--recipe", "quick"),
            "expected a network on one view (network.kind single), got triple",
        ),
        (("ge2017", "--quick", "--ablations", "loss"), "--quick trains no ablations, got --ablations loss"),
        (("ge2017", "--recipe", "quick", "--ablations", "lose"), "unknown ablation 'lose'; known: alpha 0.5"),
        (("ge2017", "--recipe", "quick", "--cancers", "mole"), "unknown class 'mole'"),
    ],
)
def test_wrong_use_is_one_sentence(
    command, cases: Path, arguments: tuple[str, ...], message: str, tmp_path: Path, capsys
) -> None:
    assert command("reproduce", *arguments, "--data", cases, "--out", tmp_path / "paper") == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "paper").exists()
