"""Checkpoints and journal: whole or not at all, tensors and plain values only."""

from __future__ import annotations

import errno
import json
import math
import pickle
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from dermapair.errors import RunError, TrainingError
from dermapair.training import checkpoint as module
from dermapair.training.checkpoint import (
    append_line,
    load_checkpoint,
    read_lines,
    save_checkpoint,
    truncate_journal,
)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.pt"
    save_checkpoint(path, {"epoch": 3, "w": torch.arange(3.0), "best": {"value": 0.5, "state": {}}})
    back = load_checkpoint(path)
    assert back is not None
    assert back["epoch"] == 3 and torch.equal(back["w"], torch.arange(3.0)) and back["best"]["value"] == 0.5
    assert [p.name for p in path.parent.iterdir()] == ["last.pt"]


def test_where_there_is_no_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "last.pt") is None


def full_disk(obj: Any, file: Any) -> None:
    file.write(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    monkeypatch.setattr(module.torch, "save", full_disk)
    said = (
        r"last\.pt: the checkpoint could not be written \(.*No space left.*the previous one is kept.*--resume"
    )
    with pytest.raises(TrainingError, match=said):
        save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_a_limit_of_the_system_on_file_size_is_a_full_disk_too(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TrainingError, match="could not be written"):
            save_checkpoint(path, {"epoch": 2, "w": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


class Dangerous:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_checkpoint_runs_no_code(how: str, tmp_path: Path) -> None:
    path, ran = tmp_path / "last.pt", tmp_path / "ran"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Dangerous(ran)))
    else:
        torch.save({"epoch": Dangerous(ran)}, path)
    with pytest.raises(RunError, match=r"last\.pt: damaged checkpoint .*delete the run"):
        load_checkpoint(path)
    assert not ran.exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_cut_checkpoint_is_refused(keep: float, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 2, "w": torch.zeros(1000)})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data) if 0 < keep < 1 else keep)])
    with pytest.raises(RunError, match=r"last\.pt: damaged checkpoint"):
        load_checkpoint(path)


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for epoch in (1, 2):
        append_line(path, {"epoch": epoch})
    with path.open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert read_lines(path) == [{"epoch": 1}, {"epoch": 2}]
    truncate_journal(path, epochs=1)
    assert path.read_text() == '{"epoch": 1}\n'
    append_line(path, {"epoch": 2})
    assert read_lines(path) == [{"epoch": 1}, {"epoch": 2}]


def test_a_journal_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "journal.jsonl") == []


def test_a_journal_is_json_also_where_a_number_is_not_defined(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    append_line(path, {"val": {"cross": {"macro_auc": math.nan, "accuracy": 0.5}}, "loss": math.inf})

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    line = json.loads(path.read_text(), parse_constant=refuse)
    assert line == {"val": {"cross": {"macro_auc": None, "accuracy": 0.5}}, "loss": None}


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the journal could not be written .*--resume"):
        append_line(tmp_path / "no" / "journal.jsonl", {"epoch": 1})
