"""Results of a few hand-made lesions whose every figure is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dermapair.config import TaskSettings
from dermapair.data.cases import CaseTable, case_frame
from dermapair.data.task import Task, build_task
from dermapair.errors import TableError
from dermapair.evaluation import evaluate, evaluate_file, truth_of
from dermapair.evaluation.evaluate import Truth

DIAGNOSES = ("nevus", "melanoma", "seborrheic_keratosis")
TRUE = ("nevus", "nevus", "melanoma", "melanoma", "seborrheic_keratosis", None)
P = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.3, 0.6, 0.1],  # a nevus taken for a melanoma
        [0.2, 0.7, 0.1],
        [0.1, 0.5, 0.4],
        [0.2, 0.2, 0.6],
        [0.1, 0.1, 0.8],  # no truth
    ]
)
IDS = tuple(f"L{i}" for i in range(len(TRUE)))


@pytest.fixture
def table() -> CaseTable:
    """Six test lesions; the second lacks its clinical view, the first two are of one patient."""
    rows = [
        {"image_id": f"{lesion}_{view}", "lesion_id": lesion, "view": view, "path": f"{lesion}_{view}.jpg"}
        | {"diagnosis": true, "split": "test", "patient_id": "P" if i < 2 else None}
        for i, (lesion, true) in enumerate(zip(IDS, TRUE, strict=True))
        for view in ("clinical", "dermoscopic")
        if not (i == 1 and view == "clinical")
    ]
    return CaseTable(case_frame(rows), Path("nowhere"), DIAGNOSES, {})


@pytest.fixture
def task() -> Task:
    return build_task(TaskSettings(), DIAGNOSES)


def test_every_figure_of_a_readout_is_the_one_computed_by_hand(table: CaseTable, task: Task) -> None:
    results = evaluate({"both": (IDS, P)}, truth_of(table, task, split="test"), n_samples=50)
    assert results["n_lesions"] == 5
    assert results["without_truth"] == 1
    assert results["missing_view"] == {"clinical": 1, "dermoscopic": 0}
    both = results["readouts"]["both"]
    assert both["accuracy"]["value"] == pytest.approx(4 / 5)
    assert both["balanced_accuracy"]["value"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert both["confusion_matrix"] == [[1, 1, 0], [0, 2, 0], [0, 0, 1]]
    assert both["per_class"]["nevus"]["n"] == 2
    assert both["per_class"]["nevus"]["found"] == 1
    assert both["per_class"]["nevus"]["recall"] == 0.5
    # Melanoma scores .7 and .5 against .1, .6, .2 of the others: five of six pairs are in order.
    assert both["melanoma_auc"]["value"] == pytest.approx(5 / 6)
    assert both["seborrheic_keratosis_auc"]["value"] == 1.0
    assert both["mean_auc"]["value"] == pytest.approx((5 / 6 + 1) / 2)
    assert both["accuracy"]["low"] <= 4 / 5 <= both["accuracy"]["high"]


def test_isic2017_holds_all_figures_of_the_challenge_by_hand(table: CaseTable, task: Task) -> None:
    truth = truth_of(table, task, split="test")
    isic = evaluate({"both": (IDS, P)}, truth, n_samples=50)["readouts"]["both"]["isic2017"]
    assert len(isic) == 3 * 8
    assert all(list(figure) == ["value", "low", "high"] for figure in isic.values())
    at = {f"specificity_at_sensitivity_{t}": 2 / 3 for t in (82, 89, 95)}
    # Melanoma: .7 right, .6 a false alarm, .5 exactly counts as no; both cases are reached after one alarm.
    melanoma = {"auc": 5 / 6, "average_precision": 5 / 6, "accuracy": 3 / 5, "sensitivity": 1 / 2}
    melanoma |= {"specificity": 2 / 3, **at}
    for name, value in melanoma.items():
        assert isic[f"melanoma_{name}"]["value"] == pytest.approx(value), name
        assert isic[f"seborrheic_keratosis_{name}"]["value"] == 1.0
        assert isic[f"mean_{name}"]["value"] == pytest.approx((value + 1) / 2), name
        assert isic[f"mean_{name}"]["low"] - 1e-12 <= (value + 1) / 2 <= isic[f"mean_{name}"]["high"] + 1e-12


def test_isic2017_figures_of_tied_scores_by_hand(table: CaseTable, task: Task) -> None:
    p = np.array([[0.2, 0.6, 0.2], [0.4, 0.2, 0.4], [0.2, 0.6, 0.2], [0.4, 0.2, 0.4], [0.2, 0.2, 0.6]])
    truth = truth_of(table, task, split="test")
    isic = evaluate({"both": (IDS[:5], p)}, truth, n_samples=20)["readouts"]["both"]["isic2017"]
    figures = {name.removeprefix("melanoma_"): f["value"] for name, f in isic.items() if "melanoma_" in name}
    # Cases .6 and .2, others .6, .2, .2: the first ties one and wins two, the second ties two.
    assert figures["auc"] == pytest.approx((0.5 + 2 + 0.5 + 0.5) / 6)
    assert figures["average_precision"] == pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 5)
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["specificity_at_sensitivity_82"] == 0.0
    assert isic["seborrheic_keratosis_specificity_at_sensitivity_95"]["value"] == 1.0


def test_isic2017_figures_agree_with_the_short_ones_on_the_same_resamples(
    table: CaseTable, task: Task
) -> None:
    both = evaluate({"both": (IDS, P)}, truth_of(table, task, split="test"), n_samples=200)["readouts"][
        "both"
    ]
    for name in ("melanoma_auc", "seborrheic_keratosis_auc"):
        assert both["isic2017"][name] == pytest.approx(both[name], abs=1e-12)


def test_isic2017_figures_without_a_keratosis_are_null(table: CaseTable, task: Task) -> None:
    few = {"both": (IDS[:4], P[:4])}
    isic = evaluate(few, truth_of(table, task, split="test"), n_samples=20)["readouts"]["both"]["isic2017"]
    nothing = {"value": None, "low": None, "high": None}
    assert isic["seborrheic_keratosis_auc"] == isic["mean_auc"] == nothing
    assert isic["seborrheic_keratosis_sensitivity"] == nothing
    assert isic["seborrheic_keratosis_accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_a_task_without_the_challenges_classes_has_no_isic2017_figures(table: CaseTable) -> None:
    settings = TaskSettings(groups={"cancer": ("melanoma",), "benign": ("*",)})
    p = np.stack([P[:, 1], 1 - P[:, 1]], axis=1)
    truth = truth_of(table, build_task(settings, DIAGNOSES), split="test")
    assert "isic2017" not in evaluate({"both": (IDS, p)}, truth, n_samples=20)["readouts"]["both"]


def test_a_class_without_a_case_is_not_defined_and_results_are_plain_json(
    table: CaseTable, task: Task
) -> None:
    few = {"both": (IDS[:4], P[:4])}
    results = evaluate(few, truth_of(table, task, split="test"), n_samples=20)
    both = results["readouts"]["both"]
    assert both["classes_without_cases"] == ["seborrheic_keratosis"]
    assert both["per_class"]["seborrheic_keratosis"]["recall"] is None
    assert both["per_class"]["seborrheic_keratosis"]["auc"] is None
    assert results["not_predicted"] == ["L4"]
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_intervals_are_over_patients_where_they_are_known(table: CaseTable, task: Task) -> None:
    truth = truth_of(table, task, split="test")
    assert truth.groups["L0"] == truth.groups["L1"]
    assert len(set(truth.groups.values())) == 5


def test_lesions_that_the_task_drops_are_counted_not_scored(table: CaseTable) -> None:
    task = build_task(TaskSettings(drop=("seborrheic_keratosis",)), DIAGNOSES)
    p = P[:, :2] / P[:, :2].sum(axis=1, keepdims=True)
    results = evaluate({"both": (IDS, p)}, truth_of(table, task, split="test"), n_samples=20)
    assert results["outside_the_task"] == 1
    assert results["n_lesions"] == 4


def test_a_lesion_that_the_table_does_not_have_is_refused_by_name(table: CaseTable, task: Task) -> None:
    with pytest.raises(TableError, match=r"lesion 'L9' .*not in split 'test'"):
        evaluate({"both": (("L9",), P[:1])}, truth_of(table, task, split="test"))


def test_a_file_of_strange_classes_asks_for_the_run(table: CaseTable, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    pl.DataFrame({"lesion_id": ["L0"], "readout": ["both"], "good": [0.4], "bad": [0.6]}).write_csv(path)
    with pytest.raises(TableError, match=r"good, bad are no diagnoses .*give --run"):
        evaluate_file(path, table, facts=None, split=None)


def test_the_split_is_found_from_the_lesions(table: CaseTable, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    frame = pl.DataFrame({"lesion_id": IDS, "readout": ["both"] * len(IDS)})
    frame.hstack(pl.DataFrame(P, schema=list(DIAGNOSES))).write_csv(path)
    assert evaluate_file(path, table, facts=None, split=None)["split"] == "test"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"readout": ["nonsense"]}, r"row 1 .*expected a readout of clinical"),
        ({"nevus": [0.9]}, r"row 1 .*sum to 1"),
        ({"nevus": [-0.1], "melanoma": [1.0]}, r"row 1 .*in \[0, 1\]"),
        ({"nevus": ["much"]}, r"expected numbers in the column 'nevus'"),
    ],
)
def test_bad_predictions_are_refused_with_their_row(
    change: dict[str, list[object]], complaint: str, table: CaseTable, tmp_path: Path
) -> None:
    good: dict[str, list[object]] = {"lesion_id": ["L0"], "readout": ["both"]}
    good |= {"nevus": [0.5], "melanoma": [0.3], "seborrheic_keratosis": [0.2]}
    path = tmp_path / "p.csv"
    pl.DataFrame(good | change).write_csv(path)
    with pytest.raises(TableError, match=complaint):
        evaluate_file(path, table, facts=None, split=None)


def test_a_runs_own_file_is_evaluated_split_by_split(table: CaseTable, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    ids = {"lesion_id": [*IDS, "V"], "readout": ["both"] * 7, "split": ["test"] * 6 + ["val"]}
    frame = pl.DataFrame(ids).hstack(pl.DataFrame(np.vstack([P, P[:1]]), schema=list(DIAGNOSES)))
    frame.write_parquet(path)
    results = evaluate_file(path, table, facts=None, split="test")
    assert results["readouts"]["both"]["n_lesions"] == 5


def test_predicted_lesions_of_other_splits_are_left_out_and_counted(table: CaseTable, tmp_path: Path) -> None:
    others = [("V0", "val"), ("V1", "val"), ("N", None)]
    more = [
        {"image_id": name, "lesion_id": name, "view": "clinical", "path": name, "diagnosis": "nevus"}
        | {"split": split}
        for name, split in others
    ]
    larger = CaseTable(case_frame([*table.frame.to_dicts(), *more]), table.root, DIAGNOSES, {})
    path = tmp_path / "p.csv"

    def write(ids: list[str], p: np.ndarray, readouts: list[str]) -> None:
        frame = pl.DataFrame({"lesion_id": ids, "readout": readouts})
        frame.hstack(pl.DataFrame(p, schema=list(DIAGNOSES))).write_csv(path)

    write([*IDS], P, ["both"] * 6)
    alone = evaluate_file(path, larger, facts=None, split="test")
    assert alone["other_splits"] == 0
    ids, p = [*IDS, "V0", "V1", "N", "V0"], np.vstack([P, P[:4]])
    write(ids, p, ["both"] * 9 + ["clinical"])
    assert evaluate_file(path, larger, facts=None, split="test") == alone | {"other_splits": 3}
    with pytest.raises(TableError, match="lie in the splits test, val; choose one with --split"):
        evaluate_file(path, larger, facts=None, split=None)
    write([*ids, "strange"], np.vstack([p, P[:1]]), ["both"] * 9 + ["clinical", "both"])
    with pytest.raises(TableError, match="lesion 'strange' .* is not in split 'test'"):
        evaluate_file(path, larger, facts=None, split="test")
    write([*IDS], P, ["both"] * 6)
    with pytest.raises(TableError, match="expected lesions of the split 'val', got none"):
        evaluate_file(path, larger, facts=None, split="val")


def test_the_auc_of_one_patients_cases_has_no_interval() -> None:
    """Resampling never draws another case of the class, so it would be far too narrow."""
    labels = {f"l{i}": int(i < 2) for i in range(8)}
    task = Task("diagnosis", ("a", "b"), {"a": "a", "b": "b"}, ("a", "b"))
    rng = np.random.default_rng(0)
    scores = {"both": (list(labels), rng.dirichlet([1, 1], 8))}
    for same_patient in (True, False):
        groups = {
            lesion: 0 if same_patient and label else i for i, (lesion, label) in enumerate(labels.items())
        }
        found = evaluate(scores, Truth("test", task, labels, groups, {}), n_samples=50)
        limits = found["readouts"]["both"]["per_class"]["b"]["auc_interval"]
        assert (limits == [None, None]) == same_patient
