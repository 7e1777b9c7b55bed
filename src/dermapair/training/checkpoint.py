"""Checkpoints and journal: what a killed run needs to go on to the same result.

A checkpoint is written to a temporary file and renamed, so a full disk or a kill leaves the previous one
usable. It is read with `weights_only=True`: tensors and plain values, never code.
"""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dermapair.config.files import write_whole
from dermapair.errors import RunError, TrainingError


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all.

    Raises:
        TrainingError: it cannot be written; the previous one is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"{path}: the checkpoint could not be written ({error}); the previous one is kept; free space on "
            f"the disk and go on with --resume"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint, or None where there is none.

    Raises:
        RunError: it cannot be read.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RunError(f"{path}: damaged checkpoint ({reason}); delete the run and train again") from error
    return state


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line of JSON to a journal; numbers that are not finite become null.

    Raises:
        TrainingError: it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
    except OSError as error:
        raise TrainingError(
            f"{path}: the journal could not be written ({error}); free space on the disk and go on "
            f"with --resume"
        ) from error


def _finite(value: Any) -> Any:
    """Return a JSON value without NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal; a last line that was cut off by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def truncate_journal(path: Path, *, epochs: int) -> None:
    """Drop the lines of epochs that the checkpoint does not hold, in place."""
    kept = [line for line in read_lines(path) if line["epoch"] <= epochs]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
