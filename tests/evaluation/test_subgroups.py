"""Figures of groups of lesions, in cases small enough to count, and the gaps between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermapair.data.cases import CaseTable, case_frame
from dermapair.data.task import UNKNOWN, Task
from dermapair.evaluation.evaluate import Truth
from dermapair.evaluation.subgroups import LEAST, subgroups
from dermapair.inference.decisions import OperatingPoint
from dermapair.metrics import METRICS
from dermapair.metrics.bootstrap import bootstrap, wilson_interval
from dermapair.metrics.comparison import holm
from inference.runs import tiny_facts

CLASSES = ("mel", "nevus", "rare")
Part = tuple[tuple[list[str], np.ndarray], Truth, CaseTable]


def part(
    labels: list[int], p: np.ndarray, *, patients: list[int] | None = None, **columns: list[Any]
) -> Part:
    """Return predictions, truth and a case table of lesions with these attributes."""
    ids = [f"l{i}" for i in range(len(labels))]
    named = dict(zip(ids, labels, strict=True))
    groups = dict(zip(ids, patients or range(len(ids)), strict=True))
    rows = [
        {"image_id": i, "lesion_id": i, "view": "clinical", "path": f"{i}.jpg"}
        | {name: values[n] for name, values in columns.items()}
        for n, i in enumerate(ids)
    ]
    task = Task("diagnosis", CLASSES, {name: name for name in CLASSES}, CLASSES)
    table = CaseTable(case_frame(rows), Path(), CLASSES, {"skin_tone_scale": "own, 0 to 5"})
    return (ids, p), Truth("test", task, named, groups, {}), table


def certain(named: list[int]) -> np.ndarray:
    """Return probabilities that name these classes."""
    return np.eye(3)[named] * 0.7 + 0.1


POINT = OperatingPoint(
    name="mel_youden", target="mel", classes=("mel",), rule="youden", threshold=0.5, cases=5, others=7,
    sensitivity=(0.8, 0.4, 0.9), specificity=(0.7, 0.5, 0.9),
)  # fmt: skip
FACTS = tiny_facts(classes=CLASSES, operating_points=(POINT,))
# 20 men: 5 of 10 melanomas and all 10 nevi are right. 22 women: all 12 melanomas and 8 of 10 nevi are.
LABELS = [0] * 10 + [1] * 10 + [0] * 12 + [1] * 10
NAMED = [0] * 5 + [1] * 15 + [0] * 14 + [1] * 8
SEX = ["male"] * 20 + ["female"] * 22


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Also 5 lesions of unknown sex, wrongly named, and one without a diagnosis."""
    labels, named = [*LABELS, *[0] * 5, UNKNOWN], [*NAMED, *[1] * 5, 0]
    tones = ["2"] * 19 + ["3"] * 28 + ["4"]
    both, truth, table = part(labels, certain(named), sex=[*SEX, *[None] * 5, "male"], skin_tone=tones)
    return subgroups(both, truth, table, FACTS, n_samples=400)


def test_every_group_has_its_own_figures_counted_by_hand(found: dict[str, Any]) -> None:
    men, women = (found["sex"]["groups"][name] for name in ("male", "female"))
    assert (men["n"], women["n"], men["too_few"]) == (20, 22, False)
    assert set(men["metrics"]) == set(METRICS)
    assert men["metrics"]["accuracy"]["value"] == 15 / 20
    assert women["metrics"]["accuracy"]["value"] == 20 / 22
    assert men["metrics"]["balanced_accuracy"]["value"] == (0.5 + 1) / 2  # without the class that none has
    wilson = wilson_interval(5, 10)
    assert men["per_class"]["mel"] == {
        "n": 10, "recall": {"value": 0.5, "low": wilson.low, "high": wilson.high},
    }  # fmt: skip
    assert men["per_class"]["rare"] == {"n": 0, "recall": {"value": None, "low": None, "high": None}}
    for figure in men["metrics"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_operating_points_are_judged_in_each_group(found: dict[str, Any]) -> None:
    points = [found["sex"]["groups"][name]["points"]["mel_youden"] for name in ("male", "female")]
    assert [(p["cases"], p["others"]) for p in points] == [(10, 10), (12, 10)]
    assert [p["sensitivity"]["value"] for p in points] == [0.5, 1.0]
    assert [p["specificity"]["value"] for p in points] == [1.0, 0.8]


def test_unknown_is_counted_and_is_no_group(found: dict[str, Any]) -> None:
    sex = found["sex"]
    assert (set(sex["groups"]), sex["unknown"], sex["disagreeing"]) == ({"male", "female"}, 5, 0)
    for name in ("age", "site", "source"):
        assert found[name] == {
            "scale": found[name]["scale"], "unknown": 47, "disagreeing": 0, "least": LEAST,
            "groups": {}, "compared_groups": [], "compared_classes": [], "gaps": {},
        }  # fmt: skip


def test_a_group_of_too_few_has_counts_only_and_is_not_compared(found: dict[str, Any]) -> None:
    tone = found["skin_tone"]
    assert tone["scale"] == "own, 0 to 5"
    assert tone["groups"]["2"] == {"n": 19, "patients": 19, "too_few": True}
    assert tone["groups"]["3"]["metrics"]["accuracy"]["value"] is not None
    assert tone["gaps"] == {}


def test_the_largest_gap_names_its_groups_and_is_holms_over_all_tests(found: dict[str, Any]) -> None:
    gaps = found["sex"]["gaps"]
    accuracy = gaps["accuracy"]
    assert (accuracy["a"], accuracy["b"]) == ("male", "female")
    assert accuracy["value"] == pytest.approx(20 / 22 - 15 / 20)
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert found["sex"]["compared_classes"] == ["mel", "nevus"]
    tested = [gap for gap in gaps.values() if gap["p_value"] is not None]
    assert [gap["p_holm"] for gap in tested] == holm([gap["p_value"] for gap in tested]).tolist()


def test_a_calibration_error_is_compared_without_a_test_as_it_grows_in_small_groups(
    found: dict[str, Any],
) -> None:
    gap = found["sex"]["gaps"]["expected_calibration_error"]
    assert gap["value"] > 0
    assert {gap[key] for key in ("low", "high", "p_value", "p_holm")} == {None}


def test_means_over_classes_are_compared_over_the_same_classes() -> None:
    """Women are named as well as men, class by class, but only they have the class that is never found."""
    labels, named = [0] * 10 + [1] * 10, [0] * 8 + [1] * 10 + [0] * 2
    both, truth, table = part(
        [*labels, *labels, 2, 2], certain([*named, *named, 0, 0]), sex=["male"] * 20 + ["female"] * 22
    )
    sex = subgroups(both, truth, table, None, n_samples=50)["sex"]
    men, women = sex["groups"]["male"], sex["groups"]["female"]
    assert women["metrics"]["balanced_accuracy"]["value"] == pytest.approx(1.6 / 3)
    assert (
        women["compared"]["balanced_accuracy"]["value"] == men["metrics"]["balanced_accuracy"]["value"] == 0.8
    )
    assert sex["gaps"]["balanced_accuracy"]["value"] == 0
    assert sex["gaps"]["balanced_accuracy"]["p_value"] == 1
    assert sex["gaps"]["accuracy"]["value"] == pytest.approx(16 / 20 - 16 / 22)


def test_groups_without_two_common_classes_have_no_gap_of_means() -> None:
    both, truth, table = part([0] * 20 + [1] * 20, certain([0] * 40), sex=["male"] * 20 + ["female"] * 20)
    sex = subgroups(both, truth, table, None, n_samples=50)["sex"]
    assert sex["compared_classes"] == []
    assert "accuracy" in sex["gaps"] and "macro_auc" not in sex["gaps"]
    assert sex["groups"]["male"]["compared"] == {}


def test_the_smallest_groups_are_left_out_of_means_until_two_classes_are_common() -> None:
    labels = [0] * 11 + [1] * 10 + [0] * 11 + [1] * 11 + [1] * 19 + [0]
    both, truth, table = part(
        labels, certain(labels), skin_tone=["1"] * 21 + ["2"] * 22 + ["3"] * 20, sex=["male"] * 63
    )
    tone = subgroups(both, truth, table, None, n_samples=20)["skin_tone"]
    assert (tone["compared_groups"], tone["compared_classes"]) == (["1", "2"], ["mel", "nevus"])
    assert tone["groups"]["3"]["compared"] == {}
    assert {tone["gaps"]["macro_auc"][key] for key in "ab"} <= {"1", "2"}


def test_lesions_of_a_patient_are_drawn_together_and_make_no_group_large() -> None:
    """Intervals are those of the bootstrap over patients; 40 lesions of 19 patients are too few."""
    patients = [i // 2 for i in range(80)] + [100 + i % 19 for i in range(40)]
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=120).tolist()
    both, truth, table = part(
        labels, rng.dirichlet(np.ones(3), 120), patients=patients, source=["all"] * 120,
        sex=["male"] * 80 + ["female"] * 40,
    )  # fmt: skip
    result = subgroups(both, truth, table, None, n_samples=300, seed=3)
    same = bootstrap(labels, both[1], groups=patients, metrics=["accuracy"], n_samples=300, seed=3)[
        "accuracy"
    ]
    shown = result["source"]["groups"]["all"]["metrics"]["accuracy"]
    assert shown == pytest.approx({"value": same.value, "low": same.low, "high": same.high})
    assert result["sex"]["groups"]["female"] == {"n": 40, "patients": 19, "too_few": True}


def test_a_patient_in_both_groups_counts_equally_often_on_both_sides() -> None:
    """Every patient has the same answer at two sites, so that no resample makes a gap."""
    hit = np.random.default_rng(1).random(60) < 0.6
    named = np.where(hit, 0, 1).tolist()
    both, truth, table = part(
        [0] * 120, certain(named * 2), patients=[*range(60)] * 2, site=["back"] * 60 + ["arm"] * 60
    )
    gap = subgroups(both, truth, table, None, n_samples=50)["site"]["gaps"]["accuracy"]
    assert (gap["value"], gap["low"], gap["high"], gap["p_value"]) == pytest.approx((0, 0, 0, 1))
