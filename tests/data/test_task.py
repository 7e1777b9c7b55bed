"""What a task makes of diagnoses: classes, their order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from dermapair.config import TaskSettings
from dermapair.data.task import DROPPED, UNKNOWN, Task, build_task
from dermapair.errors import RecipeError

NAMES = ("MEL", "NV", "BKL", "DF")


def task(**settings: Any) -> Task:
    return build_task(TaskSettings(**settings), NAMES)


def labels(of: Task) -> list[int]:
    return [of.label(name) for name in NAMES]


def test_without_settings_the_classes_are_the_diagnoses_in_the_tables_order() -> None:
    plain = task()
    assert plain.classes == NAMES
    assert labels(plain) == [0, 1, 2, 3]
    assert plain.label(None) == UNKNOWN


def test_dropped_diagnoses_are_no_class_and_are_told_from_unknown_ones() -> None:
    made = task(drop=("NV",))
    assert made.classes == ("MEL", "BKL", "DF")
    assert labels(made) == [0, DROPPED, 1, 2]
    assert made.diagnoses == NAMES


def test_renamed_diagnoses_keep_their_place_and_may_share_a_class() -> None:
    assert task(rename={"NV": "nevus"}).classes == ("MEL", "nevus", "BKL", "DF")
    shared = task(rename={"NV": "benign", "DF": "benign"})
    assert shared.classes == ("MEL", "benign", "BKL")
    assert labels(shared) == [0, 1, 2, 1]


def test_groups_stand_in_the_order_in_which_they_are_written() -> None:
    made = task(groups={"benign": ("DF", "NV"), "malignant": ("MEL",)})
    assert made.classes == ("benign", "malignant")
    assert labels(made) == [1, 0, DROPPED, 0]


def test_the_star_takes_what_is_not_named_elsewhere() -> None:
    made = task(groups={"melanoma": ("MEL",), "other": ("*",)}, drop=("DF",))
    assert labels(made) == [0, 1, 1, DROPPED]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"drop": ("XX",)}, "unknown diagnosis in task 'XX'; known: BKL, DF, MEL, NV"),
        ({"rename": {"nv": "nevus"}}, "unknown diagnosis in task 'nv'"),
        ({"groups": {"a": ("MEL", "XX"), "b": ("*",)}}, "unknown diagnosis in task 'XX'"),
        ({"drop": ("*",)}, r"unknown diagnosis in task '\*'"),
        ({"groups": {"a": ("MEL",), "b": ("MEL", "NV")}}, "diagnosis 'MEL' is named 2 times; name it once"),
        ({"groups": {"a": ("*",), "b": ("*",)}}, r"diagnosis '\*' is named 2 times"),
        ({"drop": ("NV",), "rename": {"NV": "x"}}, "diagnosis 'NV' is named 2 times"),
        ({"groups": {"a": ("MEL",), "b": ()}}, "no diagnosis is in the group 'b'"),
        ({"groups": {"a": NAMES, "b": ("*",)}}, "no diagnosis is in the group 'b'"),
        ({"drop": ("MEL", "NV", "BKL")}, r"expected at least two classes, got \['DF'\]"),
        ({"rename": dict.fromkeys(NAMES, "x")}, r"expected at least two classes, got \['x'\]"),
        ({"groups": {"all": ("*",)}}, r"expected at least two classes, got \['all'\]"),
    ],
)
def test_a_task_that_does_not_fit_the_table_is_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        task(**settings)
