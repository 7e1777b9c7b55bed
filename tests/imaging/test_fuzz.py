"""Some of the damaged files of `benchmarks/fuzz_images.py`, and what it does about a crash or a hang."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TRIES = 1000


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("fuzz_images")


@pytest.fixture
def mutants(fuzz: ModuleType) -> ModuleType:
    return importlib.import_module("_mutants")


def test_every_sound_picture_is_read(fuzz: ModuleType, mutants: ModuleType) -> None:
    sides = {mutants.SIDES, mutants.SIDES[::-1]}  # some are turned by EXIF
    for kind, data in mutants.pictures().items():
        assert fuzz.outcome(mutants.Mutant(kind, "", data), strict=True) == ("read", ""), kind
        assert fuzz.read_image(data).shape[:2] in sides
    assert {kind.split()[0] for kind in mutants.pictures()} == {"bmp", "dicom", "jpeg", "png", "tiff", "webp"}


def test_damaged_files_are_read_or_refused_and_nothing_else(fuzz: ModuleType, mutants: ModuleType) -> None:
    found: Counter[str] = Counter()
    kinds, mutations = set(), set()
    for seed in range(TRIES):
        made = mutants.mutant(seed)
        result, reason = fuzz.outcome(made, strict=seed % 2 == 1)
        assert result in fuzz.OK, f"seed {seed}, {made.kind}, {made.mutation}: {reason}"
        assert (reason == "") == (result == "read")
        found[result] += 1
        kinds.add(made.kind)
        mutations.update(made.mutation.split(" + "))
    assert kinds == set(mutants.pictures()) and mutations == set(mutants.MUTATIONS)
    assert min(found["read"], found["refused"]) > TRIES // 20


def test_a_seed_gives_the_same_file_again(mutants: ModuleType) -> None:
    assert [mutants.mutant(seed) for seed in range(50)] == [mutants.mutant(seed) for seed in range(50)]
    assert len({mutants.mutant(seed).data for seed in range(50)}) > 45


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (lambda data: [][0], "exception"),
        (lambda data: bytearray(2**62), "memory"),
        (lambda data: importlib.import_module("numpy").zeros((2, 2), "uint8"), "wrong"),
    ],
)
def test_what_the_reader_must_not_do_is_seen(
    fuzz: ModuleType, mutants: ModuleType, monkeypatch: pytest.MonkeyPatch, fault: Any, result: str
) -> None:
    monkeypatch.setattr(fuzz, "read_image", fault)
    assert fuzz.outcome(mutants.mutant(0), strict=False)[0] == result


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory as Linux has them")
def test_a_worker_that_is_lost_is_seen_and_started_anew(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 0.5)
    worker = fuzz.Worker()
    try:
        whole = worker.read(0)
        assert whole["result"] in fuzz.OK
        for blow, result in ((signal.SIGSEGV, "crash"), (signal.SIGSTOP, "hang")):
            os.kill(worker.process.pid, blow)
            assert worker.read(1)["result"] == result
            assert worker.read(0)["result"] == whole["result"]
    finally:
        worker.stop()
    monkeypatch.setattr(sys, "argv", ["fuzz_images", "--tries", "30", "--first", "7"])
    fuzz.main()
    report = json.loads(capsys.readouterr().out)
    assert report["found"] == []
    assert report["read"] + report["refused"] == report["tries"] == 30
    assert sum(sum(counts.values()) for counts in report["by_type"].values()) == 30
