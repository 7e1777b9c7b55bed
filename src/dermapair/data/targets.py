"""Which classes of a task count as melanoma and as cancer: what operating points are chosen for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dermapair.config import TaskSettings
from dermapair.data.cases import CaseTable
from dermapair.data.task import Task
from dermapair.data.vocabulary import COMMON, with_common_terms
from dermapair.errors import RecipeError, unknown_choice

TARGETS: Mapping[str, str] = {"melanoma": "melanoma", "cancer": "malignant"}
"""Target -> the common term whose entities count as it."""


def targets_of(settings: TaskSettings, task: Task, table: CaseTable) -> dict[str, tuple[str, ...]]:
    """Return target -> its classes, in the task's order; a target that none or all classes are is left out.

    Without `task.targets` a class counts as a target where everything that its diagnoses' common terms can
    hold does: actinic keratosis or Bowen's disease in one word is no cancer, as the word says neither.

    Raises:
        RecipeError: `task.targets` names an unknown class, or none or all of them for a target.
    """
    if settings.targets:
        return {name: _named(name, members, task.classes) for name, members in settings.targets.items()}
    terms = _terms(table)
    found = {}
    for target, term in TARGETS.items():
        entities = set(COMMON[term])
        members = tuple(c for c in task.classes if all(_held(d, terms) <= entities for d in _of(task, c)))
        if 0 < len(members) < len(task.classes):
            found[target] = members
    return found


def _named(target: str, members: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    for name in members:
        if name not in classes:
            raise RecipeError(unknown_choice(f"class in task.targets.{target}", name, classes))
    if not 0 < len(set(members)) < len(classes):
        raise RecipeError(
            f"task.targets.{target}: expected some of the {len(classes)} classes, got {len(set(members))}; "
            f"name those that count as it"
        )
    return tuple(name for name in classes if name in members)


def _terms(table: CaseTable) -> dict[str, set[str | None]]:
    """Return diagnosis -> the common terms that the table's rows give it."""
    frame = (
        with_common_terms(table)
        .frame.select("diagnosis", "diagnosis_common")
        .unique()
        .drop_nulls("diagnosis")
    )
    found: dict[str, set[str | None]] = {}
    for diagnosis, term in frame.iter_rows():
        found.setdefault(diagnosis, set()).add(term)
    return found


def _of(task: Task, name: str) -> list[str]:
    return [diagnosis for diagnosis, of in task.class_of.items() if of == name]


def _held(diagnosis: str, terms: Mapping[str, set[str | None]]) -> set[str]:
    """Return the entities that a diagnosis may be; one without a term may be anything."""
    return {
        entity for term in terms.get(diagnosis, {None}) for entity in COMMON.get(term or "", ("anything",))
    }
