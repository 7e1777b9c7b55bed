"""Which classes count as melanoma and as cancer."""

from __future__ import annotations

import pytest

from data.tables import row, table
from dermapair.config import TaskSettings
from dermapair.data.cases import CaseTable
from dermapair.data.targets import targets_of
from dermapair.data.task import build_task
from dermapair.errors import RecipeError

CODES = ("AKIEC", "BCC", "MAL_OTH", "MEL", "NV", "SCCKA")


def milk(codes: tuple[str, ...] = CODES) -> CaseTable:
    made = table([row(f"l{i}", diagnosis=code) for i, code in enumerate(codes)], diagnoses=codes)
    return CaseTable(made.frame, made.root, codes, {"adapter": "milk10k"})


def found(cases: CaseTable, **task: object) -> dict[str, tuple[str, ...]]:
    settings = TaskSettings(**task)  # type: ignore[arg-type]
    return targets_of(settings, build_task(settings, cases.diagnoses), cases)


def test_common_terms_say_what_is_melanoma_and_cancer_and_what_may_be_either_is_not() -> None:
    assert found(milk()) == {"melanoma": ("MEL",), "cancer": ("BCC", "MAL_OTH", "MEL", "SCCKA")}


def test_a_group_counts_if_all_that_it_holds_does() -> None:
    groups = {"bad": ("MEL", "BCC"), "mixed": ("SCCKA", "AKIEC"), "good": ("NV",)}
    assert found(milk(), groups=groups) == {"cancer": ("bad",)}


def test_a_set_without_melanoma_or_without_anything_else_has_no_such_target() -> None:
    assert found(milk(("BCC", "NV"))) == {"cancer": ("BCC",)}
    assert found(milk(("MEL", "BCC"))) == {"melanoma": ("MEL",)}


def test_codes_without_a_common_term_are_no_target() -> None:
    made = table([row("a", diagnosis="one"), row("b", diagnosis="two")], diagnoses=("one", "two"))
    assert found(CaseTable(made.frame, made.root, ("one", "two"), {"adapter": "csv"})) == {}


def test_the_recipe_names_targets_of_its_own_in_the_tasks_order() -> None:
    assert found(milk(), targets={"keratotic": ("SCCKA", "AKIEC")}) == {"keratotic": ("AKIEC", "SCCKA")}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"melanoma": ("mel",)}, r"unknown class in task.targets.melanoma 'mel'; known: AKIEC, BCC"),
        ({"all": CODES}, r"task.targets.all: expected some of the 6 classes, got 6"),
        ({"none": ()}, r"task.targets.none: expected some of the 6 classes, got 0"),
    ],
)
def test_a_target_that_cannot_be_is_refused(targets: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        found(milk(), targets=targets)
