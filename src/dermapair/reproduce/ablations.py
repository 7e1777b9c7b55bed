"""Which ablations of a reproduction are trained: all, none, or those whose names begin in some way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from dermapair.errors import UsageError, unknown_choice


class Changed(Protocol):
    """Something with the name of what it changes."""

    @property
    def change(self) -> str:
        """The name."""


T = TypeVar("T", bound=Changed)


def chosen(every: Sequence[T], begin: tuple[str, ...]) -> list[T]:
    """Return the ablations whose names begin so; ("all",) are all of them.

    Raises:
        UsageError: none begins so.
    """
    if begin == ("all",):
        return list(every)
    for word in begin:
        if not any(each.change.startswith(word) for each in every):
            raise UsageError(unknown_choice("ablation", word, [each.change for each in every]))
    return [each for each in every if each.change.startswith(begin)]
