"""What decisions and calibration reach, in cases small enough to count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dermapair.data.task import UNKNOWN, Task
from dermapair.evaluation.calibration import evaluate_calibration
from dermapair.evaluation.decisions import evaluate_decisions
from dermapair.evaluation.evaluate import Truth
from dermapair.inference.decisions import Calibration, ConformalSet, OperatingPoint
from dermapair.inference.model import ModelFacts
from dermapair.metrics.bootstrap import share, wilson_interval
from inference.runs import tiny_facts

CLASSES = ("mel", "bcc", "nevus")
LABELS = [0, 0, 0, 1, 1, 2, 2, 2, 2, UNKNOWN]
IDS = [f"l{i}" for i in range(len(LABELS))]
P = np.array(
    [
        [0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.1, 0.1, 0.8],  # melanomas
        [0.2, 0.7, 0.1], [0.1, 0.3, 0.6],  # carcinomas
        [0.6, 0.0, 0.4], [0.1, 0.1, 0.8], [0.0, 0.1, 0.9], [0.0, 0.0, 1.0],  # nevi
        [1.0, 0.0, 0.0],  # no diagnosis
    ]
)  # fmt: skip


def truth(patients: list[int] | None = None) -> Truth:
    task = Task("diagnosis", CLASSES, {name: name for name in CLASSES}, CLASSES)
    groups = patients or list(range(len(IDS)))
    labels, of = dict(zip(IDS, LABELS, strict=True)), dict(zip(IDS, groups, strict=True))
    return Truth("test", task, labels, of, {})


def facts(**more: Any) -> ModelFacts:
    point = OperatingPoint(
        name="mel_youden", target="mel", classes=("mel",), rule="youden", threshold=0.3, cases=5, others=7,
        sensitivity=(0.8, 0.4, 0.9), specificity=(0.7, 0.5, 0.9),
    )  # fmt: skip
    conformal = ConformalSet(coverage=0.9, least=0.3, n_lesions=12)
    targets = {"mel": ("mel",), "cancer": ("mel", "bcc")}
    return tiny_facts(
        classes=CLASSES, **{"targets": targets, "operating_points": (point,), "conformal": conformal} | more
    )


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return evaluate_decisions((IDS, P), truth(), facts(), n_samples=200)


def test_an_operating_point_reports_what_it_reached_and_where_it_was_chosen(found: dict[str, Any]) -> None:
    """Called above 0.3: two of three melanomas, none of two carcinomas, one of four nevi."""
    point = found["operating_points"]["mel_youden"]
    assert (point["cases"], point["others"], point["threshold"]) == (3, 6, 0.3)
    wilson = wilson_interval(2, 3)
    assert point["sensitivity"] == {"value": 2 / 3, "low": wilson.low, "high": wilson.high}
    assert point["specificity"]["value"] == 5 / 6
    assert point["ppv"]["value"] == 2 / 3
    assert point["npv"]["value"] == 5 / 6
    assert point["flagged"]["value"] == 3 / 9
    assert point["validation"] == {
        "cases": 5, "others": 7,
        "sensitivity": {"value": 0.8, "low": 0.4, "high": 0.9},
        "specificity": {"value": 0.7, "low": 0.5, "high": 0.9},
    }  # fmt: skip


def test_the_figures_of_a_target_are_those_of_its_classes_together(found: dict[str, Any]) -> None:
    cancer = found["targets"]["cancer"]  # scores .9 .6 .2 .9 .4 against .6 .2 .1 0
    assert (cancer["cases"], cancer["others"], cancer["classes"]) == (5, 4, ["mel", "bcc"])
    assert cancer["auc"]["value"] == pytest.approx((4 + 3.5 + 2.5 + 4 + 3) / 20)
    assert cancer["auc"]["low"] <= cancer["auc"]["value"] <= cancer["auc"]["high"]
    brier = [0.1**2, 0.4**2, 0.8**2, 0.1**2, 0.6**2, 0.6**2, 0.2**2, 0.1**2, 0.0]
    assert cancer["brier"]["value"] == pytest.approx(np.mean(brier))


def test_the_decision_curve_is_net_benefit(found: dict[str, Any]) -> None:
    curve = found["targets"]["mel"]["decision_curve"]
    at = curve["threshold"].index(0.3)
    assert curve["model"][at] == pytest.approx(2 / 9 - 1 / 9 * 0.3 / 0.7)
    assert curve["all"][at] == pytest.approx(3 / 9 - 6 / 9 * 0.3 / 0.7)
    assert all(low <= high for low, high in zip(curve["low"], curve["high"], strict=True))


def test_the_coverage_of_sets_is_counted_over_all_and_by_class(found: dict[str, Any]) -> None:
    """Classes with at least 0.3, or the most probable: the third melanoma alone is not covered."""
    sets = found["conformal"]
    assert (sets["wanted"], sets["least"], sets["n_lesions"]) == (0.9, 0.3, 12)
    assert sets["coverage"]["value"] == pytest.approx(8 / 9)
    assert {k: (v["covered"], v["n"]) for k, v in sets["per_class"].items()} == {
        "mel": (2, 3), "bcc": (2, 2), "nevus": (4, 4),
    }  # fmt: skip
    assert sets["sizes"] == {"1": 6, "2": 3}
    assert sets["mean_size"] == pytest.approx(12 / 9)


def test_lesions_of_one_patient_count_once_in_the_width_of_an_interval() -> None:
    hits = np.array([True, True, False, False])
    apart, together = share(hits, np.arange(4)), share(hits, np.array([0, 0, 1, 1]))
    assert apart == wilson_interval(2, 4)
    assert together == wilson_interval(1, 2)
    assert np.isnan(share(hits[:0], np.arange(0)).value)


def test_a_model_without_decisions_reports_none() -> None:
    bare = facts(operating_points=(), conformal=None, targets={})
    assert evaluate_decisions((IDS, P), truth(), bare, n_samples=10) == {
        "targets": {}, "operating_points": {}, "conformal": None,
    }  # fmt: skip


def test_calibration_is_judged_before_and_after_on_the_same_lesions() -> None:
    affine = {"scale": (0.5,) * 3, "bias": (0.0,) * 3, "n_lesions": 12}
    calibration = Calibration.model_validate({"method": "temperature", "readouts": {"both": affine}})
    after = np.sqrt(P) / np.sqrt(P).sum(axis=1, keepdims=True)
    result = evaluate_calibration(
        {"both": (IDS, P)}, {"both": (IDS, after)}, truth(), calibration, n_samples=200
    )
    assert result is not None
    entry = result["readouts"]["both"]
    assert (result["method"], result["fitted_on"], entry["temperature"]) == ("temperature", "val", 2.0)
    for figure in ("log_loss", "brier", "expected_calibration_error"):
        change = entry["after"][figure]["value"] - entry["before"][figure]["value"]
        assert entry["difference"][figure]["value"] == pytest.approx(change)
    wanted = np.mean((after[:9] - np.eye(3)[LABELS[:9]]) ** 2) * 3
    assert entry["after"]["brier"]["value"] == pytest.approx(wanted)
    bins = entry["reliability"]["before"]
    assert sum(b["n"] for b in bins) == 9
    gaps = sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / 9
    assert gaps < 1 and all(b["low"] <= b["accuracy"] <= b["high"] for b in bins)
    assert evaluate_calibration({}, {}, truth(), None) is None


def test_figures_of_one_patients_cases_have_no_limits() -> None:
    """Nevi as the target; all four are of one patient."""
    patients = [0, 1, 2, 3, 4, 5, 5, 5, 5, 6]
    targets = {"nevus": ("nevus",)}
    every = evaluate_decisions((IDS, P), truth(patients), facts(targets=targets), n_samples=50)
    found = every["targets"]["nevus"]
    assert found["auc"]["value"] is not None
    assert (found["auc"]["low"], found["auc"]["high"]) == (None, None)
    assert found["brier"]["low"] is not None
