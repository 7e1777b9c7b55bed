"""`dermapair calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from dermapair.data.cases import read_cases
from dermapair.inference.model import read_facts
from dermapair.reproduce.experiment import run_experiment
from training.phantoms import register_tiny, tiny_recipe


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


def test_a_run_is_calibrated_by_another_method(
    command: Command,
    cases: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = tiny_recipe(train={"epochs": 1}, task={"targets": {"cancer": ["cancer"]}})
    run = tmp_path / "run"
    run_experiment(recipe, read_cases(cases), run)
    assert command("calibrate", run, "--data", cases, "--method", "vector", "--coverage", 0.8, "--json") == 0
    said = capsys.readouterr()
    results = json.loads(said.out)["results"]
    facts = read_facts(run)
    assert facts.calibration and facts.calibration.method == results["calibration"]["method"] == "vector"
    assert facts.conformal and facts.conformal.coverage == 0.8
    assert "calibration error" in said.err and "cancer_sensitivity_90: above 0." in said.err


def test_unknown_methods_and_coverage_of_everything_are_wrong_use(
    command: Command, run: Path, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("calibrate", run, "--data", cases, "--method", "platt") == 2
    assert "--method: unknown name 'platt'; known: none, temperature, vector" in capsys.readouterr().err
    assert command("calibrate", run, "--data", cases, "--coverage", 1) == 2
    assert "--coverage: expected less than 1" in capsys.readouterr().err
