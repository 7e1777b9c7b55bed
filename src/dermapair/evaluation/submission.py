"""Files for the ISIC challenges: which columns, which numbers; written whole, read back and checked.

The rules of the files are those of ImageMarkup/isic-challenge-scoring 5.8.0; those of the scores are in
`metrics.isic`. What a run says of a part, and that it says it of every lesion, is the matter of `parts`.

Letters: N rows, K classes.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.config.files import write_whole
from dermapair.data.adapters.milk10k import DIAGNOSES as MILK10K_CLASSES
from dermapair.data.cases import CaseTable
from dermapair.errors import TableError, UsageError, unknown_choice
from dermapair.evaluation.parts import fit_on_validation, lesions_of, own_part, predicted_part, some
from dermapair.inference.model import read_facts
from dermapair.inference.predictor import load
from dermapair.inference.scores import Array
from dermapair.metrics.isic import ISIC2017_CATEGORIES, thresholds_to_half


@dataclass(frozen=True)
class Challenge:
    """What the file of a challenge looks like.

    Attributes:
        id_column: its first column.
        classes: its other columns, in order; the run's task must have them, and may have more.
        by_image: a row is an image, not a lesion.
        own_thresholds: every class is decided on its own at > 0.5, so that thresholds fitted on the run's
            validation part are placed there.
    """

    id_column: str
    classes: tuple[str, ...]
    by_image: bool = False
    own_thresholds: bool = False


CHALLENGES: dict[str, Challenge] = {
    "isic2017": Challenge("image_id", ISIC2017_CATEGORIES, by_image=True),
    "milk10k": Challenge("lesion_id", MILK10K_CLASSES, own_thresholds=True),
}


def make_submission(
    run: Path,
    out: Path,
    *,
    challenge: str,
    table: CaseTable | None = None,
    split: str = "test",
    device: str = "auto",
    precision: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the file of a challenge, and check it as it lies on the disk.

    Args:
        run: folder of a run whose task has the challenge's classes.
        out: CSV to write; it is there whole or not at all.
        challenge: a name from `CHALLENGES`.
        table: predict these cases; None takes what the run predicted when it was trained.
        split: which part; "" is all of `table`.
        device: as `load` takes it, for `table`.
        precision: likewise.
        progress: called with lesions predicted and their number.

    Returns:
        `submission`, `challenge`, `split`, `rows`; `thresholds` by class and `fitted_on`, the number of
        validation lesions, or both None.

    Raises:
        UsageError: an unknown challenge, or a task without its classes; and what `own_part`, `predicted_part`
            and `fit_on_validation` raise. Nothing is written then.
    """
    if challenge not in CHALLENGES:
        raise UsageError(unknown_choice("challenge", challenge, CHALLENGES))
    of, classes = CHALLENGES[challenge], read_facts(run).classes
    columns = class_columns(classes, challenge)
    thresholds, fitted_on = None, None
    if of.own_thresholds:
        scored = lesions_of(run, table, split=split)
        fitted, fitted_on = fit_on_validation(run, classes, scored=scored)
        thresholds = fitted[columns]
    if table is None:
        part = own_part(run, classes, split=split, by_image=of.by_image)
    else:
        predictor = load(run, device=device, precision=precision)
        part = predicted_part(predictor, table, split=split, by_image=of.by_image, progress=progress)
    frame = submission_frame(of, part.rows, part.probabilities[:, columns], thresholds=thresholds)
    write_submission(frame, out, of, ids=part.rows)
    return {
        "submission": str(out),
        "challenge": challenge,
        "split": split or "all",
        "rows": len(frame),
        "thresholds": None if thresholds is None else dict(zip(of.classes, thresholds.tolist(), strict=True)),
        "fitted_on": fitted_on,
    }


def class_columns(classes: Sequence[str], challenge: str) -> list[int]:
    """Return where a challenge's classes stand among a run's; a UsageError names those that it lacks."""
    wanted = CHALLENGES[challenge].classes
    missing = [name for name in wanted if name not in classes]
    if missing:
        raise UsageError(
            f"{challenge}: expected a run whose task has the classes {', '.join(wanted)}, got one with "
            f"{', '.join(classes)}, which lacks {', '.join(missing)}; train one on the challenge's own task"
        )
    return [classes.index(name) for name in wanted]


def submission_frame(
    challenge: Challenge, ids: Sequence[str], probabilities: Array, *, thresholds: Array | None = None
) -> pl.DataFrame:
    """Return the id column and one column of floats per class.

    Args:
        challenge: names the columns.
        ids: N names of rows.
        probabilities: (N, K) of the challenge's classes, in its order.
        thresholds: (K,) thresholds that are placed at 0.5; None leaves the probabilities as they are.
    """
    values = probabilities if thresholds is None else thresholds_to_half(probabilities, thresholds)
    columns = {name: values[:, k].astype(np.float64) for k, name in enumerate(challenge.classes)}
    return pl.DataFrame({challenge.id_column: pl.Series(ids, dtype=pl.String), **columns})


def write_submission(frame: pl.DataFrame, out: Path, challenge: Challenge, *, ids: Sequence[str]) -> None:
    """Write a file that keeps the rules, read it back and check it; `ids` are the rows that it must have.

    Raises:
        TableError: it breaks a rule; what was there before stays.
    """
    text = frame.write_csv()
    check_submission(text, challenge, ids=ids, where=str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text)
    check_submission(out.read_bytes().decode("utf-8"), challenge, ids=ids, where=str(out))


def check_submission(text: str, challenge: Challenge, *, ids: Sequence[str], where: str) -> None:
    """Refuse what the scorer refuses: columns, ids, or values that are no floats in [0, 1].

    Args:
        text: content of the file.
        challenge: what it is for.
        ids: the rows that it must have, in any order.
        where: name of the file, for messages.

    Raises:
        TableError: it breaks a rule.
    """
    wanted = [challenge.id_column, *challenge.classes]
    header, *rows = csv.reader(io.StringIO(text, newline="")) if text else [[]]
    if header != wanted:
        found = ", ".join(header) or "none"
        raise TableError(f"{where}: expected the columns {', '.join(wanted)}, got {found}; write it anew")
    breaks = text[:2000].count("\n")
    if breaks < 2:
        raise TableError(
            f"{where}: expected two line breaks in the first 2000 characters, got {breaks}; add rows"
        )
    for number, row in enumerate(rows, start=1):
        _check_row(row, wanted, where=f"{where}: row {number}")
    _check_ids([row[0] for row in rows], ids, where=where)


def _check_row(row: Sequence[str], header: Sequence[str], *, where: str) -> None:
    if len(row) != len(header) or not row[0]:
        raise TableError(f"{where}: expected an id and {len(header) - 1} values, got {row}; write it anew")
    for name, cell in zip(header[1:], row[1:], strict=True):
        if not _is_float(cell):
            raise TableError(
                f"{where} ({row[0]}), column {name}: expected a float in [0, 1], as 0.5 or 1.0, got "
                f"{cell!r}; predict it again"
            )


def _is_float(cell: str) -> bool:
    """Tell whether the scorer takes a cell for a probability: a column of "1" and "0" it refuses."""
    try:
        return 0 <= float(cell) <= 1 and ("." in cell or "e" in cell)
    except ValueError:
        return False


def _check_ids(found: Sequence[str], wanted: Sequence[str], *, where: str) -> None:
    """Refuse a row twice, one too many or too few; the scorer strips `.jpg`."""
    count = Counter(name[:-4] if name.lower().endswith(".jpg") else name for name in found)
    twice = [name for name, n in count.items() if n > 1]
    if twice:
        raise TableError(
            f"{where}: expected each id once, got several rows of {some(twice)}; make ids unique"
        )
    lacks, strange = set(wanted) - set(found), set(found) - set(wanted)
    if lacks or strange:
        raise TableError(
            f"{where}: expected exactly the rows of the part, got a file that lacks {some(lacks)} and has "
            f"beside them {some(strange)}; predict the part again"
        )
