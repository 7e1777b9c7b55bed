"""`dermapair data check`: what it says, its page, its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from data.tables import row, save, smooth_picture, table
from dermapair.data.cases import write_cases


def case_folder(folder: Path, seeds: dict[str, int], splits: dict[str, str]) -> Path:
    for name, seed in seeds.items():
        save(folder / "images" / f"{name}.png", smooth_picture(seed, (160, 120)))
    rows = [row(name, path=f"{name}.png", split=splits.get(name, "train")) for name in seeds]
    write_cases(table(rows, folder / "images"), folder / "cases")
    return folder / "cases"


def test_a_clean_folder_is_exit_code_0(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = case_folder(tmp_path, {"a": 1, "b": 2, "c": 3}, {"c": "test"})
    assert command("data", "check", cases, "--json") == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert (summary["images"], summary["leaks"], summary["swapped_views"]) == (3, 0, None)
    assert "swapped views: not tested" in captured.err
    page = (cases / "check" / "check.html").read_text()
    assert "No leak found" in page
    assert "Nothing else was found." in page
    assert "data:image" not in page


def test_a_leak_is_exit_code_1_and_the_page_shows_the_pair(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = case_folder(tmp_path, {"a": 1, "b": 2, "c": 1}, {"c": "test"})
    out = tmp_path / "audit"
    assert command("data", "check", cases, "--out", out, "--json") == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exact_duplicates"] == 1
    assert captured.err.splitlines()[-1].startswith("error: found the same picture")
    content = json.loads((out / "check.json").read_text())
    assert [content["pairs"][0][side]["image_id"] for side in ("one", "other")] == ["a", "c"]
    page = (out / "check.html").read_text()
    assert "1 leak found" in page
    assert page.count("data:image/jpeg") == 2
    assert "the same pixels" in page


def test_folders_are_compared_with_each_other(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    one = case_folder(tmp_path / "one", {"a": 1, "b": 2}, {})
    other = case_folder(tmp_path / "other", {"a": 3, "b": 4}, {})
    assert command("data", "check", one, other) == 0
    save(tmp_path / "other" / "images" / "b.png", smooth_picture(2, (80, 60)))
    assert command("data", "check", one, other, "--most", "0") == 1
    page = (one / "check" / "check.html").read_text()
    assert "1 more are in check.json" in page
    capsys.readouterr()
    assert command("data", "check", one, one) == 2
    assert "got one of them twice" in capsys.readouterr().err


def test_images_that_cannot_be_read_are_no_clean_bill(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = case_folder(tmp_path, {"a": 1, "b": 2}, {"b": "test"})
    (tmp_path / "images" / "a.png").unlink()
    assert command("data", "check", cases) == 0
    page = (cases / "check" / "check.html").read_text()
    assert "1 unreadable image" in page
    assert "1 could be read and were compared" in page
    capsys.readouterr()
    assert command("data", "split", cases, "--val", "0.5", "--test", "0") == 0
    assert "1 images cannot be read, so compared with none" in capsys.readouterr().err
    (tmp_path / "images" / "b.png").unlink()
    assert command("data", "check", cases) == 1
    assert "none of the 2 images can be read" in capsys.readouterr().err
    assert "No image could be read" in (cases / "check" / "check.html").read_text()
    assert command("data", "split", cases) == 1
    assert "none of its 2 images can be read" in capsys.readouterr().err
