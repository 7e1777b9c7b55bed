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
from dermapair.evaluation.parts import (
    fit_on_validation,
    lesions_of,
    own_part,
    predicted_part,
    some,
    untrained_classes,
)
from dermapair.inference.model import read_facts
from dermapair.inference.predictor import load
from dermapair.inference.scores import Array
from dermapair.metrics.isic import ISIC2017_CATEGORIES, thresholds_to_half

ISIC2018_CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
ISIC2019_CLASSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
TIE = 1e-9
"""Two values that differ by less than this share are a tie: a scorer's parser may read them as equal."""


@dataclass(frozen=True)
class Challenge:
    """What the file of a challenge looks like.

    Attributes:
        id_column: its first column.
        classes: its other columns, in order; the run's task must have them, and may have more.
        by_image: a row is an image, not a lesion.
        own_thresholds: every class is decided on its own at > 0.5, so that thresholds fitted on the run's
            validation part are placed there.
        by_argmax: the class with the largest value is the decision, and a tie for it counts as wrong.
        may_lack: classes that have no training image in the challenge; they are written as 0.0 where the run
            does not have them, or has not learned them.
    """

    id_column: str
    classes: tuple[str, ...]
    by_image: bool = False
    own_thresholds: bool = False
    by_argmax: bool = False
    may_lack: tuple[str, ...] = ()


CHALLENGES: dict[str, Challenge] = {
    "isic2017": Challenge("image_id", ISIC2017_CATEGORIES, by_image=True),
    "isic2018": Challenge("image", ISIC2018_CLASSES, by_image=True, by_argmax=True),
    "isic2019": Challenge("image", ISIC2019_CLASSES, by_image=True, by_argmax=True, may_lack=("UNK",)),
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
        validation lesions, or both None; `absent`: classes written as 0.0, as the run does not know them;
        `ties_broken`: rows in which several classes had the largest value.

    Raises:
        UsageError: an unknown challenge, or a task without its classes; and what `own_part`, `predicted_part`
            and `fit_on_validation` raise. Nothing is written then.
    """
    if challenge not in CHALLENGES:
        raise UsageError(unknown_choice("challenge", challenge, CHALLENGES))
    of, classes = CHALLENGES[challenge], read_facts(run).classes
    check_classes(classes, challenge)
    absent = absent_classes(run, classes, of)
    thresholds, fitted_on = None, None
    if of.own_thresholds:
        scored = lesions_of(run, table, split=split)
        fitted, fitted_on = fit_on_validation(run, classes, scored=scored)
        thresholds = fitted[[classes.index(name) for name in of.classes]]
    if table is None:
        part = own_part(run, classes, split=split, by_image=of.by_image)
    else:
        predictor = load(run, device=device, precision=precision)
        part = predicted_part(predictor, table, split=split, by_image=of.by_image, progress=progress)
    values, ties = class_values(part.probabilities, classes, of, absent=absent)
    frame = submission_frame(of, part.rows, values, thresholds=thresholds)
    write_submission(frame, out, of, ids=part.rows)
    return {
        "submission": str(out),
        "challenge": challenge,
        "split": split or "all",
        "rows": len(frame),
        "thresholds": None if thresholds is None else dict(zip(of.classes, thresholds.tolist(), strict=True)),
        "fitted_on": fitted_on,
        "absent": list(absent),
        "ties_broken": ties,
    }


def check_classes(classes: Sequence[str], challenge: str) -> None:
    """Refuse a run that lacks a class of a challenge; a UsageError names those, and a way to have them."""
    of = CHALLENGES[challenge]
    wanted = [name for name in of.classes if name not in of.may_lack]
    missing = [name for name in wanted if name not in classes]
    if missing:
        raise UsageError(
            f"{challenge}: expected a run whose task has the classes {', '.join(wanted)}, got one with "
            f"{', '.join(classes)}, which lacks {', '.join(missing)}; {_way_to(missing, classes)}"
        )


def _way_to(missing: Sequence[str], classes: Sequence[str]) -> str:
    """Return what to do: other names for the same classes if only case differs, else another task."""
    alike = {name.casefold(): name for name in classes}
    pairs = {alike[name.casefold()]: name for name in missing if name.casefold() in alike}
    if len(pairs) < len(missing):
        return "train one on the challenge's own task"
    named = ", ".join(f'{ours} = "{theirs}"' for ours, theirs in pairs.items())
    return f"train one whose recipe says rename = {{{named}}} under [task]"


def absent_classes(run: Path, classes: Sequence[str], challenge: Challenge) -> tuple[str, ...]:
    """Return which of the classes that a run may lack it does not have, or has no training lesion of."""
    untrained = untrained_classes(run) if challenge.may_lack else ()
    return tuple(name for name in challenge.may_lack if name not in classes or name in untrained)


def class_values(
    probabilities: Array, classes: Sequence[str], challenge: Challenge, *, absent: Sequence[str] = ()
) -> tuple[Array, int]:
    """Return a run's probabilities in a challenge's order, and in how many rows a tie was broken.

    Of classes with the largest value the run's first one keeps it, as in the run's own results, where the
    challenge decides by the largest value. A tie at 0 stays: the run names none of the challenge's classes.

    Args:
        probabilities: (N, K) of the run.
        classes: its K classes.
        challenge: names those that are wanted.
        absent: classes of the challenge to write as 0.0.
    """
    names = [name for name in classes if name in challenge.classes and name not in absent]
    values, ties = probabilities[:, [classes.index(name) for name in names]].astype(np.float64), 0
    if challenge.by_argmax:
        values, ties = _without_ties(values)
    ordered = np.zeros((len(values), len(challenge.classes)))
    ordered[:, [challenge.classes.index(name) for name in names]] = values
    return ordered, ties


def _without_ties(values: Array) -> tuple[Array, int]:
    """Return rows with one largest value each, the first of several, and how many rows had several."""
    limit = values.max(axis=1, keepdims=True) * (1 - TIE)
    others = values > limit
    others[np.arange(len(values)), values.argmax(axis=1)] = False
    return np.where(others, limit, values), int(others.any(axis=1).sum())


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
    """Refuse what the scorer refuses: columns, ids, values that are no floats in [0, 1], and ties.

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
        if challenge.by_argmax:
            _check_decided(row, wanted, where=f"{where}: row {number}")
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


def _check_decided(row: Sequence[str], header: Sequence[str], *, where: str) -> None:
    """Refuse a row of several largest values, which the scorer counts as wrong."""
    values = [float(cell) for cell in row[1:]]
    largest = [name for name, value in zip(header[1:], values, strict=True) if value == max(values)]
    if len(largest) > 1:
        raise TableError(
            f"{where} ({row[0]}): expected one largest value, as a tie counts as wrong, got {max(values)} in "
            f"{', '.join(largest)}; decide for one of them"
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
