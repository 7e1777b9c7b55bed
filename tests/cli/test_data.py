"""`dermapair data` and the wrong use of `evaluate`: output, exit codes and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from data.adapters.fake_derm7pt import write_derm7pt
from data.adapters.fake_isic2017 import write_isic2017
from data.adapters.fake_isic2019 import write_isic2019
from data.adapters.fake_milk10k import write_milk10k
from data.tables import save, smooth_picture
from dermapair.cli import data
from dermapair.cli.main import main
from dermapair.data.adapters import ADAPTERS
from dermapair.data.cases import read_cases


class Cli:
    """Runs commands in this process as the installed program does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *args: str | Path) -> tuple[int, str, str]:
        """Return the exit code, standard output and standard error."""
        self.capsys.readouterr()
        self.monkeypatch.setattr(sys, "argv", ["dermapair", *map(str, args)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self.capsys.readouterr()
        return int(caught.value.code or 0), out, err

    def json(self, *args: str | Path) -> dict:
        """Return the object that `--json` prints last."""
        code, out, err = self(*args, "--json")
        assert code == 0, err
        return json.loads(out.splitlines()[-1])

    def refused(self, *args: str | Path, code: int = 2) -> str:
        """Return the one line of an error."""
        got, out, err = self(*args)
        assert (got, out) == (code, ""), err
        assert err.startswith("error: ")
        assert "Traceback" not in err
        assert err.count("\n") == 1, "one line"
        return err


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(monkeypatch, capsys)


@pytest.fixture
def cases(tmp_path: Path, cli: Cli) -> Path:
    """A case folder of 24 lesions with a picture each, imported from a CSV."""
    lines = ["dermoscopic,diagnosis"]
    for i in range(24):
        save(tmp_path / "images" / f"{i}.png", smooth_picture(i))
        lines.append(f"images/{i}.png,{('NV', 'MEL')[i % 2]}")
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    summary = cli.json("data", "import", "csv", tmp_path / "mine.csv", "--out", tmp_path / "cases")
    assert summary == {
        "cases": str(tmp_path / "cases"), "images": 24, "lesions": 24, "notes": [],
        "diagnoses": {"MEL": 12, "NV": 12}, "without_diagnosis": 0, "split_gone": False,
        "without_common_term": {"diagnosis": {"MEL": 12, "NV": 12}},
    }  # fmt: skip
    return tmp_path / "cases"


def test_import_says_which_lesions_have_several_diagnoses(tmp_path: Path, cli: Cli) -> None:
    truth = write_isic2019(tmp_path / "i") / "ISIC_2019_Training_GroundTruth.csv"
    truth.write_text(truth.read_text().replace("ISIC_0024307,0.0,1.0", "ISIC_0024307,1.0,0.0"))
    arguments = ("data", "import", "isic2019", tmp_path / "i", "--out", tmp_path / "cases")
    (note,) = cli.json(*arguments)["notes"]
    assert note.endswith("HAM_0000550")
    assert cli(*arguments)[2].splitlines()[-1] == note


def test_import_of_an_official_layout_gives_a_case_folder(tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "cases"
    milk = cli.json("data", "import", "milk10k", write_milk10k(tmp_path / "m"), "--out", out)
    assert (milk["images"], milk["lesions"]) == (8, 4)
    assert read_cases(out).manifest["adapter"] == "milk10k"
    code, stdout, err = cli("data", "import", "isic2017", write_isic2017(tmp_path / "i"), "--out", out)
    assert (code, stdout) == (0, "")
    assert err.splitlines() == [
        f"{out}: 6 images of 6 lesions, 3 diagnoses",
        "lesions by diagnosis: 'nevus' (2), 'melanoma' (1), 'seborrheic_keratosis' (1)",
        "2 images have no diagnosis",
    ]
    assert read_cases(out).manifest["adapter"] == "isic2017"


def test_help_lists_every_adapter() -> None:
    listed = data._ADAPTERS.removesuffix(".").replace(" or ", ", ").split(", ")
    assert sorted(listed) == sorted([*ADAPTERS, "phantom"])


def test_import_says_what_a_user_must_know_of_the_set(tmp_path: Path, cli: Cli) -> None:
    args = ("data", "import", "derm7pt", write_derm7pt(tmp_path / "d"), "--out", tmp_path / "cases")
    code, _, err = cli(*args)
    notes = ["images that serve several cases: 1"]
    notes += ["images that serve cases of different official splits, which leaks answers: 1"]
    summary = f"{tmp_path / 'cases'}: 7 images of 4 lesions, 4 diagnoses"
    said, diagnoses, *more = err.splitlines()
    assert (code, said, more) == (0, summary, notes)
    assert diagnoses.startswith("lesions by diagnosis: 'basal cell carcinoma' (1), 'clark nevus' (1), ")
    assert cli.json(*args)["notes"] == read_cases(tmp_path / "cases").manifest["notes"] == notes


def test_import_of_folders_asks_for_the_view(tmp_path: Path, cli: Cli) -> None:
    save(tmp_path / "set" / "NV" / "a.jpg", smooth_picture(0))
    args = ("data", "import", "folder", tmp_path / "set", "--out", tmp_path / "cases")
    assert "expected --view clinical or dermoscopic" in cli.refused(*args)
    assert cli.json(*args, "--view", "clinical")["lesions"] == 1
    assert read_cases(tmp_path / "cases").frame["view"].to_list() == ["clinical"]


def test_import_says_which_values_have_no_common_term(tmp_path: Path, cli: Cli) -> None:
    rows = [f"{i}.png,Melanoma,elbow{i % 22},m" for i in range(23)] + ["23.png,wart,back,x"]
    for i in range(24):
        save(tmp_path / f"{i}.png", smooth_picture(i))
    (tmp_path / "mine.csv").write_text("\n".join(["dermoscopic,diagnosis,site,sex", *rows]) + "\n")
    code, _, err = cli("data", "import", "csv", tmp_path / "mine.csv", "--out", tmp_path / "cases")
    _, lesions, diagnosis, sex, site = err.splitlines()
    assert lesions == "lesions by diagnosis: 'Melanoma' (23), 'wart' (1)"
    assert (code, diagnosis) == (0, "diagnosis: no common term for 'wart' (1)")
    assert sex == "sex: no common term for 'x' (1)"
    assert site.startswith("site: no common term for 'elbow0' (2), 'elbow1' (1), ")
    assert site.endswith(" and 2 more")


def test_import_counts_lesions_by_diagnosis_and_names_twenty(tmp_path: Path, cli: Cli) -> None:
    rows = [f"{i}.png,,d{i:02}" for i in range(22)] + ["22.png,23.png,d21", "24.png,25.png,"]
    for i in range(26):
        save(tmp_path / f"{i}.png", smooth_picture(i))
    (tmp_path / "mine.csv").write_text("\n".join(["clinical,dermoscopic,diagnosis", *rows]) + "\n")
    args = ("data", "import", "csv", tmp_path / "mine.csv", "--out", tmp_path / "cases")
    first, lesions, without, *_ = cli(*args)[2].splitlines()
    assert first.endswith(": 26 images of 24 lesions, 22 diagnoses")
    assert lesions.startswith("lesions by diagnosis: 'd21' (2), 'd00' (1), 'd01' (1), ")
    assert lesions.endswith("'d18' (1) and 2 more")
    assert without == "2 images have no diagnosis"
    summary = cli.json(*args)
    assert summary["diagnoses"] == {"d21": 2} | {f"d{i:02}": 1 for i in range(21)}
    assert summary["without_diagnosis"] == 2


def test_import_again_says_that_a_drawn_split_is_gone(cases: Path, cli: Cli) -> None:
    args = ("data", "import", "csv", cases.parent / "mine.csv", "--out", cases)
    assert "split" not in cli(*args)[2]
    cli.json("data", "split", cases, "--no-duplicates")
    gone = f"the split that was drawn in {cases} is gone; run `dermapair data split {cases}` again"
    assert cli(*args)[2].splitlines()[-1] == gone
    assert read_cases(cases).frame["split"].null_count() == 24
    cli.json("data", "split", cases, "--no-duplicates")
    assert cli.json(*args)["split_gone"]
    (cases / "manifest.json").write_text("damaged")
    assert not cli.json(*args)["split_gone"]


def test_import_draws_phantoms_into_the_case_folder(tmp_path: Path, cli: Cli) -> None:
    args = ("data", "import", "phantom", "-", "--out", tmp_path / "p", "--lesions", "1", "--size", "64")
    assert cli.json(*args)["images"] == 2
    cases = read_cases(tmp_path / "p")
    assert cases.path(0).is_file()
    assert cases.frame["split"].to_list() == [None, None]


def test_import_refuses_what_is_not_there_and_writes_nothing(tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "cases"
    to = ("--out", out)
    assert "unknown adapter 'milk'; known: csv, " in cli.refused("data", "import", "milk", tmp_path, *to)
    assert "expected a folder ISIC-2017_Training_Data" in cli.refused(
        "data", "import", "isic2017", tmp_path / "none", *to
    )
    assert "it is not there" in cli.refused("data", "import", "csv", tmp_path / "none.csv", *to)
    assert not out.exists()


def test_import_lists_all_missing_files_and_writes_nothing(tmp_path: Path, cli: Cli) -> None:
    root = write_isic2017(tmp_path / "i")
    lost = sorted((root / "ISIC-2017_Training_Data").glob("*.jpg"))[:2]
    for path in lost:
        path.unlink()
    code, _, err = cli("data", "import", "isic2017", root, "--out", tmp_path / "cases")
    assert code == 2
    assert err.splitlines()[1:] == [f"  ISIC-2017_Training_Data/{path.name}" for path in lost]
    assert not (tmp_path / "cases").exists()


def test_a_file_where_a_folder_should_be_is_one_line_and_exit_code_1(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "cases").write_text("a file")
    root = write_isic2017(tmp_path / "i")
    assert "File exists" in cli.refused(
        "data", "import", "isic2017", root, "--out", tmp_path / "cases", code=1
    )


def test_merge_says_what_came_from_where_and_what_fits_ill(tmp_path: Path, cli: Cli) -> None:
    cli.json("data", "import", "milk10k", write_milk10k(tmp_path / "m"), "--out", tmp_path / "milk")
    cli.json("data", "import", "isic2017", write_isic2017(tmp_path / "i"), "--out", tmp_path / "isic")
    args = ("data", "merge", tmp_path / "milk", tmp_path / "isic", "--out", tmp_path / "both")
    assert "give --diagnosis common" in cli.refused(*args)
    assert not (tmp_path / "both").exists()
    assert "unknown diagnosis 'all'; known: common, own" in cli.refused(*args, "--diagnosis", "all")
    summary = cli.json(*args, "--diagnosis", "common")
    assert (summary["images"], summary["lesions"], summary["without_split"]) == (14, 10, [])
    assert [part["adapter"] for part in summary["parts"]] == ["milk10k", "isic2017"]
    code, out, err = cli(*args, "--diagnosis", "common")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        "milk: 8 images of 4 lesions (CC-BY-NC)",
        "isic: 6 images of 6 lesions (CC-0)",
        f"{tmp_path / 'both'}: 14 images of 10 lesions",
        "a training picture of one may lie in another's test part: look with `dermapair data check "
        f"{tmp_path / 'both'}`",
    ]


def test_merge_names_classes_that_overlap_rows_without_one_and_parts_without_a_split(
    cases: Path, tmp_path: Path, cli: Cli
) -> None:
    def imported(name: str, *lines: str) -> Path:
        for line in lines:
            save(tmp_path / line.partition(",")[0], smooth_picture(0))
        (tmp_path / f"{name}.csv").write_text("\n".join(["dermoscopic,diagnosis,split", *lines]) + "\n")
        cli.json("data", "import", "csv", tmp_path / f"{name}.csv", "--out", tmp_path / name)
        return tmp_path / name

    one = imported("one", "x.png,benign keratosis,train", "y.png,nevus,test")
    two = imported("two", "z.png,seborrheic keratosis,")
    args = ("data", "merge", one, two, cases, "--out", tmp_path / "out", "--diagnosis", "common")
    *_, nameless, lost, overlap, split, look = cli(*args)[2].splitlines()
    assert nameless == "diagnosis: no common term for 'MEL' (12), 'NV' (12)"
    assert lost == "24 images have no diagnosis, as their code has no common term"
    assert overlap.startswith("benign_keratosis and seborrheic_keratosis may be the same: put both into one")
    assert split.startswith("no split in two, cases, but in others: `dermapair data split ")
    assert look.endswith(f"look with `dermapair data check {tmp_path / 'out'}`")


def test_split_writes_the_shares_and_says_them(cases: Path, cli: Cli) -> None:
    summary = cli.json("data", "split", cases, "--val", "0.25", "--test", "0.25", "--seed", "3")
    counts = {line["split"]: line["lesions"] for line in summary["splits"]}
    assert counts == {"train": 12, "val": 6, "test": 6}
    assert summary["near_duplicates"] == 0
    frame = read_cases(cases).frame
    assert frame.group_by("split", "diagnosis").len().filter(split="test")["len"].to_list() == [3, 3]


def test_split_for_cross_validation(cases: Path, cli: Cli) -> None:
    summary = cli.json("data", "split", cases, "--folds", "3", "--fold", "1", "--val", "0.2")
    counts = {line["split"]: line["lesions"] for line in summary["splits"]}
    assert counts["test"] == sum(counts.values()) / 3
    for wrong in (("--fold", "1"), ("--folds", "3", "--test", "0.2")):
        assert "--folds takes the place of --test" in cli.refused("data", "split", cases, *wrong)


def test_split_keeps_near_duplicates_together_unless_told_not_to(cases: Path, cli: Cli) -> None:
    for i in (5, 9, 14):
        save(cases.parent / "images" / f"{i}.png", smooth_picture(1, (50, 40)))
    assert cli.json("data", "split", cases)["near_duplicates"] == 3  # three equal files count as one
    split = read_cases(cases).frame["split"]
    assert len({split[i] for i in (1, 5, 9, 14)}) == 1
    assert cli.json("data", "split", cases, "--no-duplicates")["near_duplicates"] == 0


def test_split_refuses_an_official_split_without_force(tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "cases"
    cli.json("data", "import", "isic2017", write_isic2017(tmp_path / "i"), "--out", out)
    before = read_cases(out).frame
    assert "--force" in cli.refused("data", "split", out)
    assert read_cases(out).frame.equals(before)
    assert cli("data", "split", out, "--val", "0.2", "--test", "0.2", "--force")[0] == 0
    assert not read_cases(out).frame["split"].equals(before["split"])


def test_split_refuses_impossible_shares(cases: Path, cli: Cli) -> None:
    assert "expected shares in [0, 1)" in cli.refused("data", "split", cases, "--val", "0.6", "--test", "0.5")


def test_prepare_makes_a_store_and_finds_it_again(cases: Path, cli: Cli) -> None:
    first = cli.json("data", "prepare", cases, "--size", "32", "--workers", "2")
    assert (first["images"], first["unreadable"]) == (24, {})
    assert Path(first["store"]).is_relative_to(cases / "pixels")
    assert cli.json("data", "prepare", cases, "--size", "32") == first
    squash = cli.json("data", "prepare", cases, "--size", "32", "--fit", "squash")
    assert squash["store"] != first["store"]
    assert Path(cli.json("data", "prepare", cases, "--recipe", "demo")["store"]).name.startswith("crop-128-")


def test_prepare_lists_bad_images_and_strict_fails(cases: Path, cli: Cli) -> None:
    (cases.parent / "images" / "4.png").write_bytes(b"no picture")
    summary = cli.json("data", "prepare", cases, "--size", "32")
    assert list(summary["unreadable"]) == ["4_dermoscopic"]
    code, _, err = cli("data", "prepare", cases, "--size", "32", "--strict")
    assert code == 1
    assert "cannot read 4_dermoscopic: " in err
    assert err.splitlines()[-1] == "error: 1 images cannot be read; they are listed above"


@pytest.mark.parametrize("command", ["split", "prepare"])
def test_a_folder_that_is_no_case_folder_is_refused(tmp_path: Path, cli: Cli, command: str) -> None:
    assert "expected a case folder" in cli.refused("data", command, tmp_path / "none")
    assert "expected a case folder" in cli.refused("data", command, tmp_path)


def test_prepare_refuses_an_unknown_fit_and_recipe(cases: Path, cli: Cli) -> None:
    assert "--fit: expected crop or squash, got 'pad'" in cli.refused(
        "data", "prepare", cases, "--fit", "pad"
    )
    assert "unknown recipe 'x'; known: " in cli.refused("data", "prepare", cases, "--recipe", "x")


@pytest.mark.parametrize(
    "args",
    [
        ["data", "prepare", "x", "--size", "0"],
        ["data", "prepare", "x", "--size", "big"],
        ["data", "prepare", "x", "--workers", "-1"],
        ["data", "import", "csv", "x"],
        ["data", "sort", "x"],
        ["data", "split"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2_without_a_traceback(cli: Cli, args: list[str]) -> None:
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "Usage: " in err


def test_evaluate_refuses_files_that_do_not_fit(cases: Path, cli: Cli, tmp_path: Path) -> None:
    cli.json("data", "split", cases, "--no-duplicates")
    to = ("--data", cases, "--out", tmp_path / "results.json")
    predictions = tmp_path / "p.csv"

    def refused(frame: dict[str, list], *more: str) -> str:
        pl.DataFrame(frame).write_csv(predictions)
        return cli.refused("evaluate", predictions, *to, *more)

    good = {"lesion_id": ["0", "2"], "readout": ["both"] * 2, "MEL": [0.4, 0.5], "NV": [0.6, 0.5]}
    assert "it is not there" in cli.refused("evaluate", tmp_path / "none.csv", *to)
    assert "lacks the columns readout" in refused({k: v for k, v in good.items() if k != "readout"})
    assert "the classes X are no diagnoses of the table" in refused(
        {"X" if k == "NV" else k: v for k, v in good.items()}
    )
    assert "row 2 (lesion '2', readout 'both')" in refused({**good, "NV": [0.6, 0.6]})
    assert "expected numbers in the column 'NV'" in refused({**good, "NV": ["a", "b"]})
    assert "lesion '99'" in refused({**good, "lesion_id": ["0", "99"]})
    assert "has no lesion" in refused(good, "--split", "dev")
    assert "expected a case folder" in cli.refused(
        "evaluate", predictions, "--data", tmp_path, "--out", tmp_path / "r.json"
    )
    assert not (tmp_path / "results.json").exists()


def test_evaluate_writes_results_of_predictions_that_fit(cases: Path, cli: Cli, tmp_path: Path) -> None:
    cli.json("data", "split", cases, "--no-duplicates", "--val", "0.25", "--test", "0.25")
    test = read_cases(cases).frame.filter(split="test")
    p = [0.9 if name == "MEL" else 0.2 for name in test["diagnosis"]]
    frame = pl.DataFrame(
        {"lesion_id": test["lesion_id"], "readout": "both", "MEL": p, "NV": [1 - x for x in p]}
    )
    frame.write_csv(tmp_path / "p.csv")
    out = tmp_path / "deep" / "results.json"
    results = cli.json("evaluate", tmp_path / "p.csv", "--data", cases, "--out", out)["results"]
    assert json.loads(out.read_text()) == results
    assert (results["split"], results["n_lesions"], results["classes"]) == ("test", 6, ["MEL", "NV"])
    assert results["readouts"]["both"]["accuracy"]["value"] == 1.0
    assert results["missing_view"] == {"clinical": 6, "dermoscopic": 0}


def test_the_program_itself_exits_with_2_and_one_line() -> None:
    command = [sys.executable, "-m", "dermapair.cli.main", "data", "split", "no-such-folder"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no-such-folder: expected a case folder")
    assert done.stderr.count("\n") == 1
