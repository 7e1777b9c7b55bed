"""The error tree: one class for each thing that a caller may want to catch.

DermapairError                    something failed (exit code 1)
├── ImageError                    one image file cannot be read rightly
├── TrainingError                 training stopped, for example on a non-finite loss
├── RunError                      a run folder is unfinished, damaged or not a run
└── UsageError                    wrong use (exit code 2)
    ├── RecipeError               a recipe has an unknown key or a bad value
    ├── TableError                a case table or CSV has a bad row or column
    │   └── LeakError             one group (patient, lesion) lies in two splits
    ├── MissingFilesError         files that a table names are not on the disk
    ├── MissingExtraError         an optional dependency is not installed
    └── WeightsError              weights are missing or do not fit the network

Every message is one sentence with four parts: what was expected, what came, where (file, row) and
what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


class DermapairError(Exception):
    """Something failed; the base of every error that this package raises on purpose."""

    exit_code = 1


class ImageError(DermapairError):
    """One image cannot be read rightly.

    Args:
        source: name of the file, or "image" for bytes and arrays.
        reason: what was expected, what came and what to do, without the file's name.
    """

    def __init__(self, source: str | Path, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = str(source)
        self.reason = reason


class TrainingError(DermapairError):
    """Training stopped and cannot go on."""


class RunError(DermapairError):
    """A run folder is unfinished, damaged or not a run."""


class UsageError(DermapairError):
    """The caller asked for something that cannot be done as asked."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe has an unknown key or a bad value."""


class TableError(UsageError):
    """A case table, or a CSV that should become one, has a bad column or row."""


class LeakError(TableError):
    """One group (patient or lesion) lies in more than one split, or another run has learned it."""


class MissingFilesError(UsageError):
    """Files that a table names are not on the disk; `paths` holds all of them."""

    def __init__(self, message: str, paths: Sequence[str]) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


class MissingExtraError(UsageError):
    """An optional dependency is not installed; the message names the extra."""


class WeightsError(UsageError):
    """Weights are missing or do not fit the network."""


def listed(names: Iterable[str]) -> str:
    """Return names from a file for a sentence; those that would break its line are quoted."""
    return ", ".join(name if name.isprintable() else repr(name) for name in names)


def unknown_choice(what: str, got: object, known: Iterable[str]) -> str:
    """Return the sentence for a name that is not in a table of choices."""
    return f"unknown {what} {got!r}; known: {', '.join(sorted(known))}"
