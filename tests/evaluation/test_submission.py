"""Challenge files of hand-made predictions, and everything that they are refused for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import dermapair
from dermapair.data.adapters.milk10k import DIAGNOSES as MILK10K
from dermapair.data.cases import CaseTable, read_cases, write_cases
from dermapair.data.task import build_task
from dermapair.errors import DermapairError, LeakError, RunError, TableError, UsageError
from dermapair.evaluation import truth_of
from dermapair.evaluation.submission import (
    CHALLENGES,
    check_submission,
    make_submission,
    submission_frame,
    write_submission,
)
from dermapair.metrics.isic import isic2017_scores
from dermapair.reproduce.experiment import run_experiment
from evaluation.submitted import Rows, save_trained
from training.phantoms import tiny_recipe

pytestmark = pytest.mark.usefixtures("tiny")

ISIC = ("nevus", "melanoma", "seborrheic_keratosis")
ISIC_TEST: Rows = [
    ("I3", "melanoma", (0.25, 0.5, 0.25)),
    ("I1", "nevus", (1.0, 0.0, 0.0)),
    ("I2", None, (0.0, 0.0, 1.0)),
    ("I4", "nevus", (0.9, 0.0999999, 1e-07)),
]
FILE = "image_id,melanoma,seborrheic_keratosis\nI3,0.5,0.25\nI1,0.0,0.0\nI2,0.0,1.0\nI4,0.0999999,1e-7\n"


def one_class(name: str, p: float) -> tuple[float, ...]:
    """Probabilities, in the order of the task `MILK`, of one class and the rest of it for NV."""
    values = dict.fromkeys(MILK, 0.0) | {"NV": 1.0 - p}
    values[name] = 1.0 if name == "NV" else p
    return tuple(values.values())


MILK = (*MILK10K[::-1], "OTHER")  # neither the challenge's order nor its classes alone
MILK_VAL: Rows = [
    # MEL: .3 and .2 are cases, .1 is none: best above .15. BCC: .8 is a case, .7 and .6 are none: above .75.
    ("V1", "MEL", one_class("MEL", 0.3)),
    ("V2", "MEL", one_class("MEL", 0.2)),
    ("V3", "NV", one_class("MEL", 0.1)),
    ("V4", "BCC", one_class("BCC", 0.8)),
    ("V5", "NV", one_class("BCC", 0.7)),
    ("V6", "OTHER", one_class("BCC", 0.6)),
    ("V7", None, one_class("MEL", 0.9)),  # no truth: says nothing
]
MILK_TEST: Rows = [
    ("T1", "NV", one_class("MEL", 0.15)),
    ("T2", None, one_class("MEL", 0.575)),
    ("T3", "MEL", one_class("BCC", 0.3)),
    ("T4", "MEL", one_class("NV", 1.0)),
]


@pytest.fixture
def isic(tmp_path: Path) -> Path:
    return save_trained(tmp_path / "isic", ISIC, {"val": [("V", "nevus", (1, 0, 0))], "test": ISIC_TEST})


@pytest.fixture
def milk(tmp_path: Path) -> Path:
    return save_trained(tmp_path / "milk", MILK, {"val": MILK_VAL, "test": MILK_TEST})


def test_isic2017_holds_two_classes_of_the_readout_both_as_they_are(isic: Path, out: Path) -> None:
    summary = make_submission(isic, out, challenge="isic2017")
    assert out.read_text(encoding="utf-8") == FILE
    assert summary == {
        "submission": str(out), "challenge": "isic2017", "split": "test", "rows": 4, "thresholds": None,
        "fitted_on": None, "absent": [], "ties_broken": 0,
    }  # fmt: skip
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_the_file_of_a_trained_run_scores_what_its_results_say(
    single: CaseTable, tmp_path: Path, out: Path
) -> None:
    table = write_cases(single, tmp_path / "single")
    groups = {"nevus": ["*"], "melanoma": ["melanoma", "bcc"], "seborrheic_keratosis": ["blue_naevus"]}
    recipe = tiny_recipe(
        task={"groups": groups}, network={"kind": "single", "view": "dermoscopic"}, train={"epochs": 1}
    )
    results = run_experiment(recipe, table, tmp_path / "run")
    make_submission(tmp_path / "run", out, challenge="isic2017")
    truth = truth_of(table, build_task(recipe.task, table.diagnoses), split="test")
    frame = pl.read_csv(out)
    labels = np.array([truth.labels[name.removesuffix("_dermoscopic")] for name in frame["image_id"]])
    scores = isic2017_scores(
        labels == 1, frame["melanoma"].to_numpy(), labels == 2, frame["seborrheic_keratosis"].to_numpy()
    )
    assert len(frame) == len(truth.labels)
    found = {name: figure["value"] for name, figure in results["readouts"]["both"]["isic2017"].items()}
    assert found == {name: None if np.isnan(value) else value for name, value in scores.items()}


def test_milk10k_places_thresholds_fitted_on_validation_at_one_half(milk: Path, out: Path) -> None:
    summary = make_submission(milk, out, challenge="milk10k")
    frame = pl.read_csv(out)
    assert frame.columns == ["lesion_id", *MILK10K]
    assert set(frame.dtypes[1:]) == {pl.Float64}
    assert frame["lesion_id"].to_list() == ["T1", "T2", "T3", "T4"]
    assert summary["thresholds"]["MEL"] == pytest.approx(0.15)
    assert summary["thresholds"]["BCC"] == pytest.approx(0.75)
    assert summary["thresholds"]["VASC"] == 0.5  # no case on validation
    assert summary["fitted_on"] == 6
    # .15 is at the threshold, so it stays below; .575 is half way from .15 to 1; .3 is .4 of the way to .75
    assert frame["MEL"].to_list() == pytest.approx([0.5 - 1e-6, 0.75, 0.0, 0.0], abs=1e-12)
    assert frame["BCC"].to_list() == pytest.approx([0.0, 0.0, 0.2, 0.0], abs=1e-12)
    assert frame["VASC"].to_list() == [0.0] * 4


def test_thresholds_do_not_depend_on_the_scored_cases(tmp_path: Path, milk: Path, out: Path) -> None:
    others = [(lesion, "BCC", one_class("MEL", 0.9)) for lesion, _, _ in MILK_TEST]
    other = save_trained(tmp_path / "other", MILK, {"val": MILK_VAL, "test": others})
    fitted = [make_submission(run, out, challenge="milk10k")["thresholds"] for run in (milk, other)]
    assert fitted[0] == fitted[1]


def test_no_value_is_one_half_and_decisions_are_those_of_the_thresholds(milk: Path, out: Path) -> None:
    rng = np.random.default_rng(0)
    p, thresholds = rng.dirichlet(np.ones(11) / 3, 200), rng.uniform(0.01, 0.9, 11)
    p[0] = thresholds
    frame = submission_frame(CHALLENGES["milk10k"], [str(i) for i in range(200)], p, thresholds=thresholds)
    values = frame.drop("lesion_id").to_numpy()
    assert (values != 0.5).all()
    assert np.array_equal(values > 0.5, p > thresholds)
    assert not (values[0] > 0.5).any()


def test_whole_numbers_are_written_as_floats(out: Path) -> None:
    frame = submission_frame(CHALLENGES["milk10k"], ["a", "b"], np.eye(11)[:2].astype(int))
    write_submission(frame, out, CHALLENGES["milk10k"], ids=["a", "b"])
    assert out.read_text(encoding="utf-8").splitlines()[1] == "a,1.0" + ",0.0" * 10


@pytest.mark.parametrize(
    ("challenge", "classes", "missing"),
    [
        ("isic2017", ("nevus", "melanoma"), "lacks seborrheic_keratosis"),
        ("milk10k", MILK10K[:9], "lacks SCCKA, VASC"),
        ("isic2018", ("MEL", "NV"), "lacks BCC, AKIEC, BKL, DF, VASC"),
    ],
)
def test_a_task_without_the_classes_is_refused(
    challenge: str, classes: tuple[str, ...], missing: str, tmp_path: Path, out: Path
) -> None:
    run = save_trained(tmp_path / "run", classes, {"test": [("L", None, np.eye(len(classes))[0])]})
    wanted = ", ".join(CHALLENGES[challenge].classes)
    with pytest.raises(
        UsageError, match=f"^{challenge}: expected a run .* {wanted}, got .*{', '.join(classes)}, .*{missing}"
    ):
        make_submission(run, out, challenge=challenge)
    assert not out.parent.exists()


def test_an_unknown_challenge_or_split_names_the_known_ones(isic: Path, out: Path) -> None:
    with pytest.raises(
        UsageError, match="unknown challenge 'isic2016'; known: isic2017, isic2018, isic2019, milk10k"
    ):
        make_submission(isic, out, challenge="isic2016")
    with pytest.raises(UsageError, match="of the split 'train', got those of test, val; name one"):
        make_submission(isic, out, challenge="isic2017", split="train")
    make_submission(isic, out, challenge="isic2017", split="val")
    assert out.read_text(encoding="utf-8").splitlines()[1:] == ["V,0.0,0.0"]


def test_thresholds_never_decide_the_lesions_that_they_were_fitted_on(milk: Path, out: Path) -> None:
    with pytest.raises(LeakError, match=r"validation part, .* got 6 of them \(V1, V2, V3, V4, V5, V6\)"):
        make_submission(milk, out, challenge="milk10k", split="val")
    assert not out.exists()


def test_a_run_without_validation_truth_has_no_thresholds(tmp_path: Path, out: Path) -> None:
    blind = [(lesion, None, p) for lesion, _, p in MILK_VAL]
    run = save_trained(tmp_path / "run", MILK, {"val": blind, "test": MILK_TEST})
    with pytest.raises(RunError, match="expected predictions of validation lesions with a truth, got none"):
        make_submission(run, out, challenge="milk10k")


def test_a_lesion_without_a_prediction_is_named_and_the_old_file_stays(tmp_path: Path, out: Path) -> None:
    run = save_trained(tmp_path / "run", ISIC, {"test": ISIC_TEST}, unseen={"gone": "test", "x": "train"})
    out.parent.mkdir()
    out.write_text("old", encoding="utf-8")
    with pytest.raises(DermapairError, match=r"got none of 1 \(gone\); the file would be incomplete"):
        make_submission(run, out, challenge="isic2017")
    assert out.read_text(encoding="utf-8") == "old"


def test_images_that_the_run_could_not_read_are_named(tmp_path: Path, out: Path) -> None:
    errors = [["I2", "b.jpg: truncated"], ["I1", "a.jpg: empty"]]
    run = save_trained(tmp_path / "run", ISIC, {"test": ISIC_TEST}, errors=errors)
    with pytest.raises(DermapairError, match=r"got 2 .*\(I1: a.jpg: empty, I2: b.jpg: truncated\)"):
        make_submission(run, out, challenge="isic2017")
    assert not out.exists()


def test_a_prediction_of_a_strange_lesion_is_refused(isic: Path, out: Path) -> None:
    path = isic / "lesions.parquet"
    pl.read_parquet(path).filter(pl.col("lesion_id") != "I4").write_parquet(path)
    with pytest.raises(RunError, match=r"got others \(I4\)"):
        make_submission(isic, out, challenge="isic2017")


def test_a_run_on_other_data_takes_the_names_of_images_from_its_case_folder(
    tmp_path: Path, single: CaseTable, cases: Path, out: Path
) -> None:
    folder = write_cases(single, tmp_path / "single").folder
    test = single.frame.filter(pl.col("split") == "test")
    rows = [(lesion, None, (0.5, 0.3, 0.2)) for lesion in test["lesion_id"]]
    run = save_trained(tmp_path / "run", ISIC, {"test": rows}, adapter="csv", cases=folder or "")
    make_submission(run, out, challenge="isic2017")
    assert pl.read_csv(out)["image_id"].to_list() == test["image_id"].to_list()
    several = save_trained(tmp_path / "several", ISIC, {"test": rows}, adapter="csv", cases=cases)
    with pytest.raises(UsageError, match=r"as each row is an image, got lesion '\w+' with \w+_clinical"):
        make_submission(several, out, challenge="isic2017")
    gone = save_trained(tmp_path / "gone", ISIC, {"test": rows}, adapter="csv", cases="nowhere")
    with pytest.raises(UsageError, match=r"for the names of images, got nowhere \(.*\); name it with --data"):
        make_submission(gone, out, challenge="isic2017")
    other = save_trained(tmp_path / "o", ISIC, {"test": ISIC_TEST}, adapter="csv", cases=folder or "")
    with pytest.raises(UsageError, match=r"for the names of images, got .*single \('I3'\); name it with"):
        make_submission(other, out, challenge="isic2017")


@pytest.mark.parametrize("name", ["manifest.json", "predictions.parquet", "lesions.parquet", "results.json"])
def test_an_unfinished_or_damaged_run_is_refused_by_file(name: str, isic: Path, out: Path) -> None:
    (isic / name).write_bytes(b"{")
    with pytest.raises(RunError, match=f"{name}: expected this file of a finished run"):
        make_submission(isic, out, challenge="isic2017")
    (isic / name).unlink()
    with pytest.raises(RunError, match=f"{name}: expected this file of a finished run"):
        make_submission(isic, out, challenge="isic2017")


def test_a_prediction_that_is_no_probability_is_refused_with_its_row(tmp_path: Path, out: Path) -> None:
    rows = [*ISIC_TEST, ("bad", None, (0.0, float("nan"), 0.0))]
    run = save_trained(tmp_path / "run", ISIC, {"test": rows})
    with pytest.raises(TableError, match=r"row 5 \(bad\), column melanoma: expected a float .* got 'NaN'"):
        make_submission(run, out, challenge="isic2017")
    assert not out.exists()


def test_a_case_folder_is_predicted_and_its_images_name_the_rows(
    isic: Path, single: CaseTable, out: Path
) -> None:
    done: list[tuple[int, int]] = []
    summary = make_submission(
        isic, out, challenge="isic2017", table=single, device="cpu",
        progress=lambda n, total: done.append((n, total)),
    )  # fmt: skip
    test = single.frame.filter(pl.col("split") == "test")
    frame = pl.read_csv(out)
    assert frame["image_id"].to_list() == test["image_id"].to_list()
    assert frame["image_id"][0] != test["lesion_id"][0]
    assert summary["rows"] == len(test) and done[-1] == (len(test), len(test))
    file = single.root / test["path"][0]
    want = dermapair.load(isic, device="cpu").predict(dermoscopic=file).probabilities["both"]
    assert frame.row(0)[1:] == pytest.approx(tuple(want[1:]), abs=1e-6)


def test_no_split_is_all_of_the_case_folder(milk: Path, single: CaseTable, out: Path) -> None:
    summary = make_submission(milk, out, challenge="milk10k", table=single, split="", device="cpu")
    assert summary["split"] == "all"
    assert pl.read_csv(out)["lesion_id"].to_list() == single.frame["lesion_id"].to_list()


def test_validation_lesions_of_the_run_in_a_case_folder_are_refused(
    tmp_path: Path, single: CaseTable, out: Path
) -> None:
    lesion = single.frame["lesion_id"][0]
    run = save_trained(tmp_path / "run", MILK, {"val": [(lesion, "NV", one_class("NV", 1.0))]})
    with pytest.raises(LeakError, match=rf"got 1 of them \({lesion}\)"):
        make_submission(run, out, challenge="milk10k", table=single, split="")


def test_lesions_of_several_images_have_no_row_for_each(isic: Path, cases: Path, out: Path) -> None:
    with pytest.raises(UsageError, match=r"got lesion '\w+' with \w+_clinical, .*; keep one image of each"):
        make_submission(isic, out, challenge="isic2017", table=read_cases(cases))


def test_lesions_without_an_image_of_the_runs_view_are_named(milk: Path, cases: Path, out: Path) -> None:
    table = read_cases(cases)
    test = table.frame.filter(pl.col("split") == "test")
    seen = set(test.filter(pl.col("view") == "dermoscopic")["lesion_id"])
    (gone,) = set(test["lesion_id"]) - seen
    with pytest.raises(DermapairError, match=rf"got none of 1 \({gone}\)"):
        make_submission(milk, out, challenge="milk10k", table=table)
    assert not out.exists()


def test_an_image_that_cannot_be_read_is_named_and_nothing_is_written(
    isic: Path, single: CaseTable, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    test = single.frame.filter(pl.col("split") == "test")
    bad, lesion = test["image_id"][1], test["lesion_id"][1]
    path = pl.when(pl.col("image_id") == bad).then(pl.lit("bad.jpg")).otherwise(pl.col("path"))
    for file in test["path"]:
        copy = tmp_path / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((single.root / file).read_bytes())
    table = CaseTable(test.with_columns(path=path), tmp_path, single.diagnoses, {})
    with pytest.raises(DermapairError, match=rf"got 1 that cannot \({lesion}: .*bad\.jpg: "):
        make_submission(isic, out, challenge="isic2017", table=table, device="cpu")
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.replace("image_id", "image"), "expected the columns image_id, melanoma, .* got image,"),
        (lambda t: t.replace(",melanoma", ""), "got image_id, seborrheic_keratosis"),
        (lambda t: "", "got none"),
        (lambda t: t.splitlines()[0] + "\n", "expected two line breaks .* got 1"),
        (lambda t: t.replace("I1,0.0,0.0", "I1,0,0.0"), r"row 2 \(I1\), column melanoma: .* got '0'"),
        (lambda t: t.replace("0.25", "1.25"), r"row 1 \(I3\), column seborrheic_keratosis: .* got '1.25'"),
        (lambda t: t.replace("0.25", "-0.25"), "got '-0.25'"),
        (lambda t: t.replace("0.25", "inf"), "got 'inf'"),
        (lambda t: t.replace("0.25", "much"), "got 'much'"),
        (lambda t: t.replace("I3,0.5,0.25", "I3,,0.25"), r"row 1 \(I3\), column melanoma: .* got ''"),
        (lambda t: t.replace("I3,0.5,0.25", "I3,0.5"), r"row 1: expected an id and 2 values"),
        (lambda t: t.replace("I3,", ",", 1), r"row 1: expected an id and 2 values"),
        (lambda t: t.replace("I1,", "I3.JPG,"), "expected each id once, got several rows of I3"),
        (lambda t: t.replace("I4,0.0999999,1e-7\n", ""), "lacks I4 and has beside them none"),
        (lambda t: t + "I5,0.1,0.1\n", "lacks none and has beside them I5"),
    ],
)
def test_what_the_scorer_refuses_is_refused(change: Callable[[str], str], complaint: str) -> None:
    ids = [lesion for lesion, _, _ in ISIC_TEST]
    check_submission(FILE, CHALLENGES["isic2017"], ids=ids, where="f.csv")
    with pytest.raises(TableError, match=rf"f\.csv.*{complaint}"):
        check_submission(change(FILE), CHALLENGES["isic2017"], ids=ids, where="f.csv")


def test_the_largest_value_is_one_where_it_decides() -> None:
    of = CHALLENGES["isic2018"]
    text = (
        "image," + ",".join(of.classes) + "\na,0.5,0.5,0.0,0.0,0.0,0.0,0.0\nb,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
    )
    with pytest.raises(TableError, match=r"f\.csv: row 1 \(a\): .* got 0\.5 in MEL, NV; decide for one of"):
        check_submission(text, of, ids=["a", "b"], where="f.csv")
    check_submission(text.replace("0.5,0.5", "0.5,0.25"), of, ids=["a", "b"], where="f.csv")
