"""`dermapair compare`: what it prints and writes, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.compared_runs import draw, make


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [make(tmp_path / "a", draw(1)), make(tmp_path / "b", draw(2))]


def test_it_prints_the_table_and_writes_every_file(
    command, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    chosen = ("--metrics", "accuracy, macro_auc", "--samples", 50, "--json")
    assert command("compare", *runs, "--out", out, *chosen) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["comparison"] == json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert sorted(found["files"]) == sorted(str(path) for path in out.iterdir())
    assert found["comparison"]["interval"]["n"] == 50
    figure = found["comparison"]["runs"][1]["figures"]["accuracy"]
    line = next(line for line in said.err.splitlines() if line.startswith("b "))
    assert f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]" in line
    assert "2 runs on the same 24 lesions." in said.err
    assert f"comparison: {out / 'compare.html'}" in said.err


def test_the_reference_can_be_chosen(command, runs: list[Path], tmp_path: Path, capsys) -> None:
    how = ("--reference", runs[1], "--samples", 20, "--json")
    assert command("compare", *runs, "--out", tmp_path / "out", *how) == 0
    assert json.loads(capsys.readouterr().out)["comparison"]["reference"] == "b"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (["--readout", "left"], "--readout: unknown name 'left'"),
        (["--metrics", "speed"], "--metrics: unknown metric 'speed'"),
        (["--split", "val"], "expected predictions of both of val, got both of test"),
    ],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(
    command, runs: list[Path], tmp_path: Path, capsys, how: list[str], said: str
) -> None:
    assert command("compare", *runs, "--out", tmp_path / "out", *how) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_fails(command, runs: list[Path], tmp_path: Path, capsys) -> None:
    unfinished = make(tmp_path / "c", finished=False)
    assert command("compare", runs[0], unfinished, "--out", tmp_path / "out") == 1
    assert "expected a finished run" in capsys.readouterr().err


def test_left_out_lesions_are_said(command, runs: list[Path], tmp_path: Path, capsys) -> None:
    from evaluation.compared_runs import IDS, TRUTH

    small = make(tmp_path / "c", draw(3)[:20], ids=IDS[:20], truth=TRUTH[:20])
    assert command("compare", runs[0], small, "--out", tmp_path / "out", "--samples", 20) == 0
    assert "left out: 4 of a" in capsys.readouterr().err
