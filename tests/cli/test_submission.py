"""`dermapair submission`: what it prints and writes, and wrong use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from dermapair.data.adapters.milk10k import DIAGNOSES
from dermapair.data.cases import read_cases, write_cases
from evaluation.submitted import save_trained
from training.phantoms import register_tiny

ISIC = ("nevus", "melanoma", "seborrheic_keratosis")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


@pytest.fixture
def isic(tmp_path: Path) -> Path:
    rows = [("I1", "melanoma", (0.2, 0.7, 0.1)), ("I2", "nevus", (1, 0, 0))]
    return save_trained(tmp_path / "isic", ISIC, {"test": rows})


def test_the_runs_own_predictions_become_a_file(
    command, isic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "s.csv"
    assert command("submission", isic, "--challenge", "isic2017", "--out", out, "--json") == 0
    said = capsys.readouterr()
    want = "image_id,melanoma,seborrheic_keratosis\nI1,0.7,0.1\nI2,0.0,0.0\n"
    assert out.read_text(encoding="utf-8") == want
    assert json.loads(said.out) == {
        "submission": str(out), "challenge": "isic2017", "split": "test", "rows": 2, "thresholds": None,
        "fitted_on": None, "absent": [], "ties_broken": 0,
    }  # fmt: skip
    assert f"{out}: 2 rows for isic2017, checked" in said.err


def test_the_thresholds_of_milk10k_are_printed(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    p = dict.fromkeys(DIAGNOSES, 0.0)
    val = [("V1", "MEL", list((p | {"MEL": 0.4, "NV": 0.6}).values()))]
    run = save_trained(tmp_path / "run", DIAGNOSES, {"val": val, "test": [("T", None, val[0][2])]})
    out = tmp_path / "s.csv"
    assert command("submission", run, "--challenge", "milk10k", "--out", out, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["thresholds"]["MEL"] == pytest.approx(0.2)
    assert "thresholds placed at 0.5, fitted on 1 validation lesions: AKIEC 0.500" in said.err
    assert "MEL 0.200" in said.err
    assert pl.read_csv(out)["MEL"].to_list() == pytest.approx([0.625])


def test_classes_that_are_not_known_and_broken_ties_are_said(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
    rows = [("I1", None, (0.5, 0.5, 0, 0, 0, 0, 0, 0)), ("I2", None, (0.1, 0.9, 0, 0, 0, 0, 0, 0))]
    run = save_trained(tmp_path / "run", classes, {"test": rows})
    out = tmp_path / "s.csv"
    assert command("submission", run, "--challenge", "isic2019", "--out", out, "--json") == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert (summary["absent"], summary["ties_broken"]) == (["UNK"], 1)
    assert "UNK: 0.0 in every row, as the run has not learned that class\n" in said.err
    assert "1 rows had a tie for the largest value" in said.err
    assert out.read_text(encoding="utf-8").splitlines()[2] == "I2,0.1,0.9" + ",0.0" * 7


def test_a_case_folder_is_predicted(command, isic: Path, cases: Path, tmp_path: Path) -> None:
    table = read_cases(cases)
    images = table.frame.filter(pl.col("view") == "dermoscopic")
    write_cases(replace(table, frame=images), tmp_path / "single")
    out = tmp_path / "s.csv"
    arguments = ("--challenge", "isic2017", "--data", tmp_path / "single", "--device", "cpu", "--out", out)
    assert command("submission", isic, *arguments) == 0
    assert set(pl.read_csv(out)["image_id"]) == set(images.filter(pl.col("split") == "test")["image_id"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--challenge", "isic2016"],
            "unknown challenge 'isic2016'; known: isic2017, isic2018, isic2019, milk10k",
        ),
        (["--challenge", "milk10k"], "milk10k: expected a run whose task has the classes AKIEC, BCC,"),
        (
            ["--challenge", "isic2017", "--split", "val"],
            "expected predictions of the split 'val', got those of",
        ),
        (["--challenge", "isic2017", "--data", "nowhere"], "expected a case folder"),
    ],
)
def test_wrong_use_exits_with_2_and_a_sentence(
    arguments: list[str], said: str, command, isic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("submission", isic, *arguments, "--out", tmp_path / "s.csv") == 2
    message = capsys.readouterr().err
    assert said in message and "Traceback" not in message
    assert not (tmp_path / "s.csv").exists()


def test_an_incomplete_file_is_a_failure(command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("I1", None, (0.2, 0.7, 0.1))]
    run = save_trained(tmp_path / "run", ISIC, {"test": rows}, unseen={"I2": "test"})
    assert command("submission", run, "--challenge", "isic2017", "--out", tmp_path / "s.csv") == 1
    assert "error: expected a prediction of every lesion, got none of 1 (I2)" in capsys.readouterr().err
    assert not (tmp_path / "s.csv").exists()
