"""A task: which classes a network tells apart, by dropping, renaming and grouping a table's diagnoses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dermapair.config import TaskSettings
from dermapair.errors import RecipeError, unknown_choice

UNKNOWN = -1
"""Label of a lesion without a diagnosis."""
DROPPED = -2
"""Label of a lesion that the task leaves out."""


@dataclass(frozen=True)
class Task:
    """Classes in their fixed order, and the class of each diagnosis.

    Attributes:
        name: what results call it.
        classes: the K class names.
        class_of: diagnosis -> class name; diagnoses that are dropped are missing here.
        diagnoses: all diagnoses of the table, dropped ones included.
    """

    name: str
    classes: tuple[str, ...]
    class_of: dict[str, str]
    diagnoses: tuple[str, ...]

    def label(self, diagnosis: str | None) -> int:
        """Return the class index of a diagnosis, UNKNOWN for none, DROPPED where the task leaves it out."""
        if diagnosis is None:
            return UNKNOWN
        name = self.class_of.get(diagnosis)
        return DROPPED if name is None else self.classes.index(name)


def build_task(settings: TaskSettings, diagnoses: Sequence[str]) -> Task:
    """Return the task that a recipe describes, for a table's diagnoses.

    Class order: without groups the table's own order; with groups the order in which the recipe writes them.

    Raises:
        RecipeError: a diagnosis is not in the table or is named twice, a group is empty, or fewer than two
            classes remain.
    """
    named = [*settings.drop, *settings.rename, *(d for group in settings.groups.values() for d in group)]
    for diagnosis in named:
        rest = diagnosis == "*" and diagnosis not in (*settings.drop, *settings.rename)
        if not rest and diagnosis not in diagnoses:
            raise RecipeError(unknown_choice("diagnosis in task", diagnosis, diagnoses))
        if named.count(diagnosis) > 1:
            raise RecipeError(
                f"task: diagnosis {diagnosis!r} is named {named.count(diagnosis)} times; name it once"
            )
    class_of = {d: settings.rename.get(d, d) for d in diagnoses if d not in settings.drop}
    classes = tuple(dict.fromkeys(class_of.values()))
    if settings.groups:
        class_of = _grouped(settings, class_of)
        classes = tuple(settings.groups)
        empty = [name for name in classes if name not in class_of.values()]
        if empty:
            raise RecipeError(
                f"task {settings.name!r}: no diagnosis is in the group {empty[0]!r}; fill or drop it"
            )
    if len(classes) < 2:
        raise RecipeError(f"task {settings.name!r}: expected at least two classes, got {list(classes)}")
    return Task(settings.name, classes, class_of, tuple(diagnoses))


def _grouped(settings: TaskSettings, class_of: dict[str, str]) -> dict[str, str]:
    """Return diagnosis -> group; those in no group are dropped unless a group holds '*'."""
    of = {d: group for group, members in settings.groups.items() for d in members}
    rest = of.pop("*", None)
    named = {d: of.get(d, rest) for d in class_of}
    return {d: group for d, group in named.items() if group is not None}
