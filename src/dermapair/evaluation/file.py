"""A predictions file held against a case table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from dermapair.data.cases import CaseTable
from dermapair.data.task import Task
from dermapair.errors import TableError
from dermapair.evaluation.evaluate import ByReadout, truth_of
from dermapair.evaluation.judge import judge
from dermapair.inference.model import ModelFacts
from dermapair.inference.scores import read_scores


def evaluate_file(
    path: Path, table: CaseTable, *, facts: ModelFacts | None, split: str | None
) -> dict[str, Any]:
    """Evaluate a predictions file.

    Args:
        path: CSV or Parquet with `lesion_id, readout` and one column per class.
        table: holds the truth.
        facts: of the model, whose decisions are judged too; None where the columns are the table's own
            diagnoses.
        split: which part to score; predicted lesions of other parts are left out and counted. None finds the
            one split that holds all predicted lesions.

    Returns:
        As `judge`, and `other_splits`: how many predicted lesions were left out.

    Raises:
        TableError: the columns are not the task's classes, or a lesion is not in the table.
    """
    classes, scores = read_scores(path, split=split)
    if facts:
        task = facts.as_task()
    else:
        unknown = [name for name in classes if name not in table.diagnoses]
        if unknown:
            raise TableError(
                f"{path}: the classes {', '.join(unknown)} are no diagnoses of the table "
                f"({', '.join(table.diagnoses)}); give --run with the model's task"
            )
        task = Task("diagnosis", classes, {d: d for d in table.diagnoses if d in classes}, table.diagnoses)
    if classes != task.classes:
        raise TableError(f"{path}: expected the classes {', '.join(task.classes)}, got {', '.join(classes)}")
    truth = truth_of(table, task, split=split or _split_of(path, table, scores))
    others = frozenset[str]()
    if split:
        others = frozenset(table.frame["lesion_id"]) - truth.labels.keys() - truth.dropped
    left_out = {lesion for ids, _ in scores.values() for lesion in ids if lesion in others}
    kept = _without(scores, others)
    if not kept:
        raise TableError(f"{path}: expected lesions of the split {split!r}, got none; choose another --split")
    return judge(kept, truth, table, facts) | {"other_splits": len(left_out)}


def _without(scores: ByReadout, others: frozenset[str]) -> ByReadout:
    """Return the scores without some lesions, and without the readouts that have none left."""
    rows = {r: [i for i, lesion in enumerate(ids) if lesion not in others] for r, (ids, _) in scores.items()}
    return {r: ([ids[i] for i in rows[r]], p[rows[r]]) for r, (ids, p) in scores.items() if rows[r]}


def _split_of(path: Path, table: CaseTable, scores: ByReadout) -> str | None:
    """Return the split that the predicted lesions are in; None where the table has no splits."""
    ids = {lesion for names, _ in scores.values() for lesion in names}
    rows = table.frame.filter(pl.col("lesion_id").is_in(sorted(ids)))
    splits = sorted(rows["split"].drop_nulls().unique())
    if len(splits) > 1:
        raise TableError(
            f"{path}: its lesions lie in the splits {', '.join(splits)}; choose one with --split"
        )
    return splits[0] if splits else None
