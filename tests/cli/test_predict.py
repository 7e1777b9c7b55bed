"""`dermapair predict`: its forms, its CSV, bad images and wrong use."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dermapair
from cli.conftest import Command
from dermapair.data.cases import read_cases
from imaging.corpus import make_corpus
from inference.runs import CLASSES, let_judge, save_tiny_run
from training.phantoms import register_tiny

HEADER = ["lesion_id", "readout", *CLASSES]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == HEADER
    return rows


def by_lesion(path: Path) -> dict[str, dict[str, list[float]]]:
    result: dict[str, dict[str, list[float]]] = {}
    for lesion, readout, *values in rows_of(path):
        assert readout not in result.setdefault(lesion, {})
        result[lesion][readout] = [float(v) for v in values]
    return result


def paths(cases: Path) -> dict[str, Path]:
    table = read_cases(cases)
    for name in table.frame["lesion_id"].unique(maintain_order=True):
        rows = table.frame.with_row_index("row").filter(lesion_id=name)
        if rows["view"].to_list() == ["clinical", "dermoscopic"]:
            return {v: table.path(r) for v, r in zip(rows["view"], rows["row"], strict=True)}
    raise AssertionError


def test_a_case_folder_gives_exactly_the_columns_of_the_contract(
    command, cases: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "predictions.csv"
    assert (
        command("predict", run, "--data", cases, "--split", "test", "--out", out, "--device", "cpu", "--json")
        == 0
    )
    summary = json.loads(capsys.readouterr().out)
    frame = read_cases(cases).frame.filter(split="test")
    predictions = by_lesion(out)
    assert set(predictions) == set(frame["lesion_id"])
    assert summary == {
        "predictions": str(out), "decisions": None, "lesions": len(predictions), "lost": [],
        "without_view": [], "errors": [], "flagged": {}, "outside_allowed": None,
    }  # fmt: skip
    for name, of in predictions.items():
        views = set(frame.filter(lesion_id=name)["view"])
        assert set(of) == {*views, "both"} | ({"cross"} if len(views) == 2 else set())
        assert all(sum(values) == pytest.approx(1.0) for values in of.values())
    assert [p.name for p in out.parent.iterdir()] == ["predictions.csv"]


def test_what_looks_unknown_is_said(
    command, cases: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blue, out = tmp_path / "blue.png", tmp_path / "p.csv"
    Image.new("RGB", (64, 64), (0, 0, 255)).save(blue)
    let_judge(run, cases)
    files = paths(cases)
    assert command("predict", run, "--clinical", blue, "--dermoscopic", blue, "--out", out, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["flagged"] == {"clinical": 1, "dermoscopic": 1}
    assert "1 lesions with a clinical image unlike those that the network has learned from" in said.err
    arguments = ("--clinical", files["clinical"], "--out", out)
    assert command("predict", run, *arguments) == 0
    assert "unlike" not in capsys.readouterr().err


def test_without_a_split_all_lesions_are_predicted(command, cases: Path, run: Path, tmp_path: Path) -> None:
    assert command("predict", run, "--data", cases, "--out", tmp_path / "p.csv") == 0
    assert len(by_lesion(tmp_path / "p.csv")) == 24


def test_one_lesion_is_what_the_predictor_says(command, cases: Path, run: Path, tmp_path: Path) -> None:
    files = paths(cases)
    out = tmp_path / "p.csv"
    arguments = [part for view, path in files.items() for part in (f"--{view}", path)]
    assert command("predict", run, *arguments, "--out", out) == 0
    want = dermapair.load(run, device="cpu").predict(**files).probabilities
    (name,) = by_lesion(out)
    assert name == files["clinical"].stem
    for readout, p in want.items():
        assert by_lesion(out)[name][readout] == pytest.approx(p.tolist(), abs=1e-6)


@pytest.mark.parametrize("view", ["clinical", "dermoscopic"])
def test_one_view_gives_that_readout_and_both(
    view: str, command, cases: Path, run: Path, tmp_path: Path
) -> None:
    file = paths(cases)[view]
    assert command("predict", run, f"--{view}", file, "--out", tmp_path / "p.csv") == 0
    of = by_lesion(tmp_path / "p.csv")[file.stem]
    assert set(of) == {view, "both"} and of[view] == of["both"]


def test_two_subfolders_pair_equal_stems(command, cases: Path, run: Path, tmp_path: Path) -> None:
    folder, files = tmp_path / "images", paths(cases)
    for view, stems in (("clinical", ("a", "b")), ("dermoscopic", ("b", "c"))):
        (folder / view).mkdir(parents=True)
        for stem in stems:
            shutil.copy(files[view], folder / view / f"{stem}.jpg")
    assert command("predict", run, "--folder", folder, "--out", tmp_path / "p.csv") == 0
    assert {name: set(of) for name, of in by_lesion(tmp_path / "p.csv").items()} == {
        "a": {"clinical", "both"},
        "b": {"clinical", "dermoscopic", "cross", "both"},
        "c": {"dermoscopic", "both"},
    }


def test_single_images_need_their_view(
    command, cases: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "images", tmp_path / "p.csv"
    folder.mkdir()
    shutil.copy(paths(cases)["clinical"], folder / "a.jpg")
    assert command("predict", run, "--folder", folder, "--out", out) == 2
    assert "say with --view what it shows" in capsys.readouterr().err
    assert not out.exists()
    assert command("predict", run, "--folder", folder, "--view", "clinical", "--out", out) == 0
    assert {name: set(of) for name, of in by_lesion(out).items()} == {"a": {"clinical", "both"}}


def test_every_kind_of_file_is_predicted_or_listed(
    command, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "images", tmp_path / "p.csv"
    folder.mkdir()
    corpus = [case for case in make_corpus(folder) if case.path.is_file()]
    for case in corpus:  # stems must differ
        case.path.rename(folder / f"{case.kind.replace('.', '_')}{case.path.suffix}")
    ids = {case.kind.replace(".", "_"): case.good for case in corpus}
    assert command("predict", run, "--folder", folder, "--view", "clinical", "--out", out, "--json") == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert set(by_lesion(out)) == {name for name, good in ids.items() if good}
    assert sorted(summary["lost"]) == sorted(name for name, _ in summary["errors"])
    assert set(summary["lost"]) == {name for name, good in ids.items() if not good}
    assert len(summary["lost"]) > 5
    for name in summary["lost"]:
        assert f"cannot read an image of {name}: " in said.err
    assert command("predict", run, "--folder", folder, "--view", "clinical", "--out", out, "--strict") == 1
    said = capsys.readouterr()
    assert "images could not be read; they are listed above" in said.err and "Traceback" not in said.err


def test_one_bad_image_among_many_costs_that_row_only(
    command, cases: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "images", tmp_path / "p.csv"
    folder.mkdir()
    for i in range(40):
        shutil.copy(paths(cases)["clinical"], folder / f"{i:02d}.jpg")
    (folder / "13.jpg").write_bytes(b"no picture")
    arguments = ("predict", run, "--folder", folder, "--view", "clinical", "--out", out)
    assert command(*arguments) == 0
    assert set(by_lesion(out)) == {f"{i:02d}" for i in range(40)} - {"13"}
    assert capsys.readouterr().err.count("cannot read an image of 13: ") == 1
    out.unlink()
    assert command(*arguments, "--strict") == 1


def test_nothing_readable_is_a_failure(command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    assert command("predict", run, "--clinical", tmp_path / "bad.jpg", "--out", tmp_path / "p.csv") == 1


def test_neither_exif_nor_paths_reach_the_csv(command, run: Path, tmp_path: Path) -> None:
    image = Image.fromarray(np.full((50, 50, 3), 120, np.uint8))
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "SECRETPATIENT", "SECRETDOCTOR"
    exif.get_ifd(0x8825)[1] = "N"
    file = tmp_path / "secretfolder" / "lesion7.jpg"
    file.parent.mkdir()
    image.save(file, exif=exif)
    assert b"SECRETPATIENT" in file.read_bytes()
    assert command("predict", run, "--clinical", file, "--out", tmp_path / "p.csv") == 0
    text = (tmp_path / "p.csv").read_text(encoding="utf-8")
    assert "SECRET" not in text and "secretfolder" not in text and "lesion7" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected one of --data, --folder or --clinical/--dermoscopic, got none"),
        (["--data", "x", "--folder", "y"], "expected one of --data, --folder"),
        (["--data", "nowhere"], "expected a case folder"),
        (["--folder", "nowhere"], "expected a folder of images, but it is not there"),
        (["--folder", ".", "--split", "test"], "--split: expected a case folder"),
        (["--clinical", "a.jpg", "--precision", "fp8"], "precision: expected auto, fp32 or bf16, got 'fp8'"),
        (["--clinical", "a.jpg", "--device", "cuda:99"], "device: 'cuda:99' is not on this machine"),
        (["--clinical", "a.jpg", "--device", "tpu9"], "device: expected auto, cpu or cuda, got 'tpu9'"),
    ],
)
def test_wrong_use_exits_with_2_and_a_sentence(
    arguments: list[str], said: str, command, run: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert command("predict", run, *arguments, "--out", tmp_path / "p.csv") == 2
    message = capsys.readouterr().err
    assert said in message and "Traceback" not in message
    assert not (tmp_path / "p.csv").exists()


def test_a_folder_that_is_no_run_exits_with_1(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("predict", tmp_path, "--clinical", "a.jpg", "--out", tmp_path / "p.csv") == 1
    assert "expected a run with model.json" in capsys.readouterr().err


def test_an_unknown_split_exits_with_2(command, cases: Path, run: Path, tmp_path: Path) -> None:
    assert command("predict", run, "--data", cases, "--split", "best", "--out", tmp_path / "p.csv") == 2


def test_lesions_without_the_networks_view_are_listed_as_lost(
    command, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = save_tiny_run(tmp_path / "single", kind="single", view="dermoscopic"), tmp_path / "p.csv"
    assert command("predict", run, "--data", cases, "--split", "test", "--out", out, "--json") == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    frame = read_cases(cases).frame.filter(split="test")
    seen = set(frame.filter(view="dermoscopic")["lesion_id"])
    (gone,) = set(frame["lesion_id"]) - seen
    assert (summary["lost"], summary["without_view"], summary["errors"]) == ([gone], [gone], [])
    assert set(by_lesion(out)) == seen
    assert f"not predicted, as they have no dermoscopic image: 1 lesions ({gone})" in said.err


def test_one_image_of_another_view_than_the_networks_says_what_is_expected(
    command, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = save_tiny_run(tmp_path / "single", kind="single", view="dermoscopic"), tmp_path / "p.csv"
    assert command("predict", run, "--clinical", paths(cases)["clinical"], "--out", out) == 2
    message = capsys.readouterr().err
    assert "expected a dermoscopic image, as this network takes no other, got only clinical ones" in message
    assert "data split" not in message
    assert not out.exists()


def test_swapped_views_show_each_image_as_the_other_view(
    command, cases: Path, run: Path, tmp_path: Path
) -> None:
    files = paths(cases)
    out, crossed = tmp_path / "p.csv", tmp_path / "crossed.csv"
    arguments = ("--clinical", files["clinical"], "--dermoscopic", files["dermoscopic"])
    other = ("--clinical", files["dermoscopic"], "--dermoscopic", files["clinical"])
    assert command("predict", run, *arguments, "--swap-views", "--out", out) == 0
    assert command("predict", run, *other, "--out", crossed) == 0
    (got,), (want,) = by_lesion(out).values(), by_lesion(crossed).values()
    assert got == want


def test_swapped_views_need_two(
    command, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = save_tiny_run(tmp_path / "single", kind="single"), tmp_path / "p.csv"
    assert command("predict", run, "--data", cases, "--swap-views", "--out", out) == 2
    assert "expected a network of two views" in capsys.readouterr().err
    assert not list(tmp_path.glob("p.csv*"))


def test_a_file_that_was_named_and_cannot_be_read_fails_though_the_other_view_is_predicted(
    command: Command, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 64), (200, 150, 120)).save(tmp_path / "b.png")
    given = ("--clinical", tmp_path / "typo.png", "--dermoscopic", tmp_path / "b.png")
    assert command("predict", run, *given, "--out", tmp_path / "p.csv") == 1
    assert "typo.png" in capsys.readouterr().err
    assert (tmp_path / "p.csv").is_file()
