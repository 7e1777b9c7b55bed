"""Whole processes: one that is killed and resumed, and two that train together."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from dermapair.training.checkpoint import read_lines

pytestmark = pytest.mark.slow

TINY = """
name = "processes"
[task.groups]
cancer = ["melanoma", "bcc", "scc"]
benign = ["*"]
[data]
size = 56
input = 48
[network]
kind = "triple"
backbone = "squeezenet1_1"
weights = "none"
[train]
metric = "log_loss"
precision = "fp32"
"""
KILLED = [
    *("train.epochs=4", "train.batch_size=4", "train.ema=0.8", "network.dropout=0.3", "optimizer.name=adamw"),
    *("optimizer.lr=0.001", "augment.mirror=true", "augment.rotate90=true", "augment.crop=random"),
    *("augment.brightness=0.2", "schedule.warmup_epochs=1"),
]
PAIRED = [
    *(
        "train.epochs=2",
        "train.batch_size=6",
        "optimizer.name=sgd",
        "optimizer.lr=0.01",
        "augment.mirror=true",
    ),
    "loss.class_weights=sqrt",
]
WITHOUT_BATCH_NORM = ["network.joint_batch_norm=false"]
FROZEN_BATCH_NORM = ["network.backbone=resnet10t", "train.freeze_batch_norm=true"]


def command(cases: Path, out: Path, settings: list[str], *more: str) -> list[str]:
    recipe = out.parent / "tiny.toml"
    recipe.write_text(TINY, encoding="utf-8")
    keys = [part for setting in settings for part in ("--set", setting)]
    start = [sys.executable, "-m", "dermapair.cli.main", "train", str(recipe), "--data", str(cases)]
    return [*start, "--out", str(out), "--accelerator", "cpu", *keys, *more]


def environment() -> dict[str, str]:
    source = Path(__file__).resolve().parents[2] / "src"
    return {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}


def finish(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        arguments, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def kill_after(arguments: list[str], journal: Path, *, epochs: int) -> None:
    """Start a training and send SIGKILL when its journal has so many lines."""
    with subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < end:
            if len(read_lines(journal)) >= epochs:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()


def figures(run: Path) -> list[dict[str, object]]:
    return [
        {k: line[k] for k in ("epoch", "lr", "loss", "val", "best_epoch")}
        for line in read_lines(run / "journal.jsonl")
    ]


def test_a_killed_run_resumes_to_the_very_same_weights(cases: Path, tmp_path: Path) -> None:
    finish(command(cases, tmp_path / "unbroken", KILLED))
    broken = tmp_path / "broken"
    kill_after(command(cases, broken, KILLED), broken / "journal.jsonl", epochs=2)
    assert not (broken / "manifest.json").exists()
    finish(command(cases, broken, KILLED, "--resume"))
    assert (broken / "model.safetensors").read_bytes() == (
        tmp_path / "unbroken" / "model.safetensors"
    ).read_bytes()
    assert figures(broken) == figures(tmp_path / "unbroken")
    assert len(figures(broken)) == 4


def with_lost_lesions(cases: Path, folder: Path) -> tuple[Path, set[str]]:
    """Copy the case folder; the files of two training lesions with one view are damaged."""
    copy = shutil.copytree(cases, folder)
    rows = pl.read_parquet(copy / "cases.parquet").filter(pl.col("split") == "train")
    alone = (
        rows.group_by("lesion_id")
        .agg(pl.len(), pl.col("path").first())
        .filter(pl.col("len") == 1)
        .sort("path")
    )
    for path in alone["path"]:
        (copy / path).write_bytes(b"no image")
    return copy, set(alone["lesion_id"])


@pytest.mark.parametrize("batch_norm", [WITHOUT_BATCH_NORM, FROZEN_BATCH_NORM], ids=["without", "frozen"])
def test_two_processes_give_the_figures_of_one(cases: Path, tmp_path: Path, batch_norm: list[str]) -> None:
    """Some lesions lack a view, and two have no readable image, so that a process has nothing in a step."""
    cases, lost = with_lost_lesions(cases, tmp_path / "cases")
    settings = PAIRED + batch_norm
    finish(command(cases, tmp_path / "one", settings))
    done = finish(command(cases, tmp_path / "two", settings, "--devices", "2", "--json"))
    assert json.loads(done.stdout)["results"]["readouts"]["both"]  # one process prints, and only that
    for one, two in zip(figures(tmp_path / "one"), figures(tmp_path / "two"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        for readout, values in one["val"].items():
            assert two["val"][readout]["log_loss"] == pytest.approx(values["log_loss"], rel=1e-4)
    first, last = (line["loss"]["clinical"] for line in figures(tmp_path / "one"))
    assert abs(first - last) > 0.01 * first  # the weights moved, else nothing is tested
    single, pair = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, value in single.items():
        torch.testing.assert_close(pair[name], value, atol=1e-5, rtol=1e-4)
    assert (tmp_path / "two" / "manifest.json").is_file()
    one, two = (
        [line["unreadable"] for line in read_lines(tmp_path / run / "journal.jsonl")]
        for run in ("one", "two")
    )
    assert one == two
    assert {lesion for unreadable in one for lesion in unreadable} == lost
