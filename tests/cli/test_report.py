"""`dermapair report` and its page of failures, which holds pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from dermapair.data.cases import read_cases
from dermapair.reproduce.experiment import run_experiment
from training.phantoms import register_tiny, tiny_recipe


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


@pytest.fixture
def trained(cases: Path, tmp_path: Path) -> Path:
    recipe = tiny_recipe(train={"epochs": 1}, task={"targets": {"cancer": ["cancer"]}})
    run_experiment(recipe, read_cases(cases), tmp_path / "run")
    return tmp_path / "run"


def test_failures_are_a_page_of_their_own_with_images_and_maps(
    command: Command, trained: Path, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("report", trained, "--pictures", 2, "--data", cases, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    page, plain = (Path(said[key]).read_text("utf-8") for key in ("pictures", "report"))
    assert "The most confident mistakes" in page
    assert page.count('<article class="lesion">') >= 2
    assert page.count("data:image/jpeg;base64,") >= 4  # an image and a map at least, of each
    assert page.count("<img ") == page.count('alt="')
    assert "data:image" not in plain
    assert (trained / "model_card.md").read_text("utf-8").startswith("# Model card: tiny")


def test_pictures_need_their_case_folder(
    command: Command, trained: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("report", trained, "--pictures", 2) == 2
    assert "--pictures and --data go together" in capsys.readouterr().err
    other = read_cases(cases)
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({**other.manifest, "root": str(other.root)}), "utf-8")
    other.frame.filter(other.frame["split"] == "train").write_parquet(folder / "cases.parquet")
    assert command("report", trained, "--pictures", 2, "--data", folder) != 0
    assert "take the case folder that the run was trained on" in capsys.readouterr().err
