"""`dermapair train`: what it prints, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermapair.cli.train import epoch_line
from dermapair.config import to_toml
from dermapair.reproduce import experiment
from training.phantoms import register_tiny, tiny_recipe


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report's page is left to its own tests."""
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "write_report", lambda run, **_: run / "report.html")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(tiny_recipe()), encoding="utf-8")
    return path


def test_a_recipe_is_trained_and_its_figures_printed(
    command, recipe: Path, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("train", recipe, "--data", cases, "--out", tmp_path / "run", "--accelerator", "cpu")
    assert command(*arguments, "--set", "train.epochs=1", "--json") == 0
    said = capsys.readouterr()
    results = json.loads(said.out)
    assert results["run"] == str(tmp_path / "run")
    assert results["results"] == json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert "epoch 1: loss clinical 0." in said.err and "validation both log_loss" in said.err
    assert "accuracy" in said.err and "report: " in said.err
    assert command(*arguments, "--set", "train.epochs=1") == 1
    assert "holds a finished run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "train.epoch=1"], "unknown key 'train.epoch'; known here: "),
        (["--set", "train.epochs=none"], "train.epochs = 'none'"),
        (["--set", "network.backbone=resnet1"], "unknown backbone 'resnet1'"),
        (["--set", "network.tap=stage9"], "unknown stage of this backbone 'stage9'"),
        (["--set", "network.pooling=max"], "unknown network.pooling 'max'; known: "),
        (["--set", "train.metric=auc"], "unknown train.metric 'auc'"),
        (["--set", "train.readout=cross", "--set", "network.kind=share"], "unknown train.readout"),
        (["--set", 'task.drop=["acne"]'], "unknown diagnosis in task 'acne'"),
        (
            ["--set", "network.weights=lost.safetensors", "--set", "network.backbone=squeezenet1_1"],
            "is not there",
        ),
    ],
)
def test_wrong_use_exits_with_2_and_leaves_nothing(
    arguments: list[str], said: str, command, recipe: Path, cases: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "run"
    assert command("train", recipe, "--data", cases, "--out", out, "--accelerator", "cpu", *arguments) == 2
    message = capsys.readouterr().err
    assert said in message and "Traceback" not in message
    assert not out.exists()


def test_an_unknown_recipe_names_the_known_ones(
    command, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("train", "nonsense", "--data", cases, "--out", tmp_path / "run") == 2
    assert "unknown recipe 'nonsense'; known: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--accelerator", "foo"], "unknown name 'foo'; known: auto, cpu, cuda, gpu, mps"),
        (
            ["--accelerator", "cuda", "--devices", "99"],
            "cuda: expected 99 such devices on this machine",
        ),
        (["--accelerator", "gpu", "--devices", "99"], "gpu: expected 99 such devices on this machine"),
    ],
)
def test_devices_that_are_not_there_exit_with_2(
    arguments: list[str], said: str, command, recipe: Path, cases: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert command("train", recipe, "--data", cases, "--out", tmp_path / "run", *arguments) == 2
    message = capsys.readouterr().err
    assert said in message and "Traceback" not in message
    assert not (tmp_path / "run").exists()


def test_no_case_folder_is_wrong_use(
    command, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("train", recipe, "--data", tmp_path, "--out", tmp_path / "run") == 2
    assert "expected a case folder" in capsys.readouterr().err


def test_the_line_of_an_epoch_says_what_a_person_wants() -> None:
    line = {
        "epoch": 3, "best_epoch": 3, "loss": {"clinical": 0.5, "cross": 1.25}, "train_s": 4.2, "val_s": 0.9,
        "images_per_s": 63.6, "unreadable": {"a": "bad"}, "val": {"both": {"accuracy": 0.75}},
    }  # fmt: skip
    assert epoch_line(line, "both", "accuracy") == (
        "epoch 3: loss clinical 0.500, cross 1.250; validation both accuracy 0.7500 *; 64 images/s, 5 s, "
        "1 lesions with unreadable images"
    )
