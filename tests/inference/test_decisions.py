"""What is stored with a model to decide: applied by every way to predict, and in one way only."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dermapair
from dermapair.config import CropSettings
from dermapair.data.cases import read_cases
from dermapair.inference.boxes import look
from dermapair.inference.decisions import ConformalSet, calibrated
from dermapair.inference.model import read_facts
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import Scores, concatenate, softmax
from dermapair.inference.stream import write_predictions
from dermapair.types import VIEWS
from inference.runs import save_tiny_run

READOUTS = ("clinical", "dermoscopic", "cross", "both")
DECIDED: dict[str, Any] = {
    "calibration": {
        "method": "vector",
        "readouts": {
            r: {"scale": [0.1 + i, 0.5, 0.2], "bias": [0.0, 0.3 * i, -0.2], "n_lesions": 9}
            for i, r in enumerate(READOUTS)
        },
    },
    "targets": {"cancer": ["cancer"]},
    "operating_points": [
        {
            "name": "cancer_youden", "target": "cancer", "classes": ["cancer"], "rule": "youden",
            "threshold": 0.4, "cases": 4, "others": 5, "sensitivity": [1, 0.5, 1], "specificity": [1, 0.5, 1],
        }
    ],
    "conformal": {"coverage": 0.9, "least": 0.3, "n_lesions": 9},
}  # fmt: skip


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    """Of a run that decides."""
    return dermapair.load(save_tiny_run(tmp_path / "decided", **DECIDED), device="cpu", precision="fp32")


def scored(predictor: Predictor, cases: Path) -> Scores:
    return concatenate(list(predictor.predict_cases(read_cases(cases))))


def files(cases: Path) -> dict[str, Path]:
    """Both files of one lesion that has one image of each view."""
    table = read_cases(cases)
    for lesion in table.frame["lesion_id"].unique(maintain_order=True):
        rows = table.frame.with_row_index("row").filter(lesion_id=lesion)
        if rows["view"].to_list() == list(VIEWS):
            return {view: table.path(row) for view, row in zip(rows["view"], rows["row"], strict=True)}
    raise AssertionError


def test_probabilities_are_the_softmax_of_scaled_and_shifted_logits(
    predictor: Predictor, cases: Path
) -> None:
    own = scored(predictor.uncalibrated(), cases)
    found = scored(predictor, cases)
    whole = ~np.isnan(own.probabilities["cross"][:, 0])
    for readout in READOUTS:
        entry = DECIDED["calibration"]["readouts"][readout]
        z = own.logits[readout][whole] * entry["scale"] + entry["bias"]
        np.testing.assert_allclose(found.logits[readout][whole], z)
        np.testing.assert_allclose(found.probabilities[readout][whole], softmax(z))
    assert abs(found.probabilities["both"] - own.probabilities["both"])[whole].max() > 0.05


def test_with_one_view_both_is_the_calibrated_readout_of_it(predictor: Predictor, cases: Path) -> None:
    found = scored(predictor, cases)
    single = np.isnan(found.probabilities["cross"][:, 0])
    assert single.any()
    for view in VIEWS:
        rows = single & ~np.isnan(found.probabilities[view][:, 0])
        np.testing.assert_array_equal(found.probabilities["both"][rows], found.probabilities[view][rows])
        np.testing.assert_array_equal(found.logits["both"][rows], found.logits[view][rows])


def test_one_lesion_and_many_are_calibrated_and_decided_alike(predictor: Predictor, cases: Path) -> None:
    given = files(cases)
    one = predictor.predict(**given)
    table = read_cases(cases)
    lesion = table.frame.filter(path=str(given["clinical"].relative_to(table.root)))["lesion_id"][0]
    many = scored(predictor, cases)
    row = many.ids.index(lesion)
    for readout, p in one.probabilities.items():
        np.testing.assert_allclose(p, many.probabilities[readout][row], atol=1e-5)
        np.testing.assert_allclose(softmax(one.logits[readout]), p)
    decision = one.decisions["cancer_youden"]
    assert decision.probability == one.probabilities["both"][0]
    assert (decision.target, decision.threshold) == ("cancer", 0.4)
    assert decision.positive == (decision.probability > 0.4)
    assert set(one.conformal_set) == {
        name
        for name, p in zip(one.classes, one.probabilities["both"], strict=True)
        if p >= 0.3 or p == one.probabilities["both"].max()
    }
    assert one.conformal_set[0] == one.classes[int(one.probabilities["both"].argmax())]


def test_the_file_of_decisions_says_what_single_predictions_say(
    predictor: Predictor, cases: Path, tmp_path: Path
) -> None:
    summary = write_predictions(predictor, read_cases(cases), tmp_path / "p.csv", split="test")
    assert summary["decisions"] == str(tmp_path / "p.decisions.csv")
    with (tmp_path / "p.decisions.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["lesion_id"]: row for row in csv.DictReader(file)}
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        both = {row["lesion_id"]: row for row in csv.DictReader(file) if row["readout"] == "both"}
    assert rows.keys() == both.keys() and rows
    for lesion, row in rows.items():
        p = float(both[lesion]["cancer"])
        assert float(row["cancer_probability"]) == pytest.approx(p)
        assert row["cancer_youden"] == str(p > 0.4).lower()
        assert int(row["set_size"]) == len(row["set"].split("|"))
    assert len({row["cancer_youden"] for row in rows.values()}) == 2  # else nothing is tested


def test_maps_sum_up_to_the_calibrated_logits(predictor: Predictor, cases: Path) -> None:
    """The bias cancels in the difference of two lesions (Jia & Shen 2017, eq. 1 and 2)."""
    given = files(cases)
    explained = [
        predictor.explain(**given),
        predictor.explain(**{v: np.zeros((50, 50, 3), np.uint8) for v in given}),
    ]
    for view in VIEWS:
        means = [e.maps[view].mean(axis=(1, 2)) for e in explained]
        logits = [e.prediction.logits[view] for e in explained]
        np.testing.assert_allclose(means[0] - means[1], logits[0] - logits[1], rtol=1e-4, atol=1e-4)


def test_calibration_moves_no_box_of_stage_one(predictor: Predictor, cases: Path) -> None:
    table = read_cases(cases)
    found = []
    for each in (predictor, predictor.uncalibrated()):
        settings = CropSettings(evidence="weighted")
        found.append([x.boxes for x in look(each, table, each.lesions(table), settings)])
    assert found[0] == found[1]


def test_what_was_fitted_is_in_the_file_and_older_files_decide_nothing(
    run: Path, tmp_path: Path, cases: Path
) -> None:
    decided = save_tiny_run(tmp_path / "decided", **DECIDED)
    facts = read_facts(decided)
    assert json.loads(facts.model_dump_json())["operating_points"][0]["name"] == "cancer_youden"
    content = json.loads((run / "model.json").read_text("utf-8"))
    for key in ("calibration", "targets", "operating_points", "conformal"):
        del content[key]
    (run / "model.json").write_text(json.dumps(content), encoding="utf-8")
    old = dermapair.load(run, device="cpu")
    prediction = old.predict(**files(cases))
    assert prediction.decisions == {} and prediction.conformal_set == ()
    assert write_predictions(old, read_cases(cases), tmp_path / "p.csv")["decisions"] is None
    assert not (tmp_path / "p.decisions.csv").exists()


def test_scores_without_calibration_stay_the_same(predictor: Predictor, cases: Path) -> None:
    own = scored(predictor.uncalibrated(), cases)
    assert calibrated(own, None) is own
    stages = {"stage1": own.probabilities}
    assert calibrated(replace(own, stages=stages), predictor.facts.calibration).stages is stages


def test_a_set_is_never_empty_and_holds_all_where_nothing_can_be_ruled_out() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.98, 0.01, 0.01]])
    strict = ConformalSet(coverage=0.9, least=0.99, n_lesions=9)
    np.testing.assert_array_equal(strict.contains(p).sum(axis=1), [1, 1])
    assert ConformalSet(coverage=0.9, least=0.0, n_lesions=3).contains(p).all()
