"""Scores of many lesions: what each readout says, how readouts and images are combined, files of them.

Letters: N lesions, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermapair.errors import TableError
from dermapair.types import READOUTS, STAGES, View

Array = NDArray[np.float64]
NOT_CLASSES = ("lesion_id", "readout", "split", "truth")
"""Columns of predictions that are no class; the last two are those of a run's own file."""


@dataclass(frozen=True)
class Scores:
    """Scores of N lesions.

    Attributes:
        ids: N lesion ids.
        classes: K class names.
        probabilities: by readout, (N, K); a row of NaN where the lesion lacks the view.
        logits: by readout, (N, K), likewise; see `types.Prediction` for those of `both`.
        errors: (lesion id, reason) of images that could not be read.
        stages: of a run of two stages, by `types.STAGES`, probabilities as above; else empty.
        outside: by view, (N,) how unlike training's each lesion is (`ood.Outside`), NaN where it lacks the
            view; empty where that is unknown.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: dict[str, Array]
    logits: dict[str, Array]
    errors: tuple[tuple[str, str], ...] = ()
    stages: Mapping[str, dict[str, Array]] = field(default_factory=dict)
    outside: Mapping[View, Array] = field(default_factory=dict)


def softmax(logits: Array) -> Array:
    """Return exp(z) / sum exp(z) over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def combine(probabilities: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """Return `both`: the weighted mean of the readouts that each lesion has (method: Ge et al. 2017, 2.1).

    Args:
        probabilities: by readout, (N, K) with rows of NaN where absent.
        weights: by readout, at least 0, one of them above 0 for every lesion's readouts.
    """
    total: Array = np.zeros_like(next(iter(probabilities.values())))
    weight = np.zeros(len(total))
    for readout, p in probabilities.items():
        present = ~np.isnan(p[:, 0])
        total[present] += weights[readout] * p[present]
        weight[present] += weights[readout]
    # A fitted weight may be 0; a lesion that has only such readouts takes their plain mean.
    only = (weight == 0) & np.any([~np.isnan(p[:, 0]) for p in probabilities.values()], axis=0)
    if only.any():
        total[only] = np.nanmean([p[only] for p in probabilities.values()], axis=0)
        weight[only] = 1.0
    with np.errstate(invalid="ignore"):
        return np.asarray(total / weight[:, None])


def with_stages(first: Scores, second: Scores, *, how: str) -> Scores:
    """Return what a run of two stages says of lesions that both have scored (method: Jia & Shen 2017, 3.3).

    Args:
        first: of stage one.
        second: of the same lesions and readouts by stage two.
        how: `crop.combine`: "stage2" (the second stage alone, as in the paper) or "mean".
    """
    mean = {
        r: (first.probabilities[r] + p) / 2
        for r, p in second.probabilities.items()
        if r in first.probabilities
    }
    lost = {lesion for lesion, _ in first.errors}  # the second stage has no part of these images
    errors = (*first.errors, *(error for error in second.errors if error[0] not in lost))
    stages = dict(zip(STAGES, (first.probabilities, second.probabilities, mean), strict=True))
    if how == "stage2":
        return replace(second, errors=errors, stages=stages, outside=first.outside)
    with np.errstate(divide="ignore"):
        logits = {r: np.log(p) for r, p in mean.items()}
    return replace(
        second, probabilities=mean, logits=logits, errors=errors, stages=stages, outside=first.outside
    )


def mean_over_images(scores: Mapping[str, Array], owner: NDArray[np.int64], n: int) -> dict[str, Array]:
    """Return the mean of each lesion's rows, NaN rows left out.

    Args:
        scores: by readout, (M, K) of every pairing of images.
        owner: (M,) which of the n lesions each row belongs to.
        n: number of lesions.
    """
    result = {}
    for readout, values in scores.items():
        present = ~np.isnan(values[:, 0])
        count = np.bincount(owner[present], minlength=n)
        total = np.zeros((n, values.shape[1]))
        np.add.at(total, owner[present], values[present])
        with np.errstate(invalid="ignore"):
            result[readout] = total / count[:, None]
    return result


def concatenate(parts: Sequence[Scores]) -> Scores:
    """Return the scores of several batches as one."""
    first = parts[0]
    return Scores(
        tuple(i for part in parts for i in part.ids),
        first.classes,
        {r: np.concatenate([part.probabilities[r] for part in parts]) for r in first.probabilities},
        {r: np.concatenate([part.logits[r] for part in parts]) for r in first.logits},
        tuple(e for part in parts for e in part.errors),
        {
            stage: {r: np.concatenate([part.stages[stage][r] for part in parts]) for r in by_readout}
            for stage, by_readout in first.stages.items()
        },
        {view: np.concatenate([part.outside[view] for part in parts]) for view in first.outside},
    )


def scores_frame(scores: Scores, *, stage: str = "") -> pl.DataFrame:
    """Return `lesion_id, readout` and one column per class, a row per lesion and readout that it has.

    Args:
        scores: of any number of lesions.
        stage: of a run of two stages, one of `types.STAGES`; "" is what the run says.
    """
    frames = []
    for readout, p in (scores.stages[stage] if stage else scores.probabilities).items():
        present = ~np.isnan(p[:, 0])
        ids = [lesion for lesion, there in zip(scores.ids, present, strict=True) if there]
        columns = {name: p[present, k] for k, name in enumerate(scores.classes)}
        rows = {"lesion_id": ids, "readout": [readout] * len(ids), **columns}
        frames.append(pl.DataFrame(rows, schema_overrides={"lesion_id": pl.String, "readout": pl.String}))
    return pl.concat(frames)


def read_scores(
    path: Path, *, split: str | None = None
) -> tuple[tuple[str, ...], dict[str, tuple[tuple[str, ...], Array]]]:
    """Read a predictions file (CSV or Parquet).

    Args:
        path: the file.
        split: of a run's own file, which has a column `split`, only these rows.

    Returns:
        The classes, and by readout the lesion ids with their (n, K) probabilities.

    Raises:
        TableError: a column is missing, a readout unknown, a lesion doubled, or a value no probability.
    """
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(
            path, schema_overrides={"lesion_id": pl.String, "readout": pl.String}, infer_schema_length=None
        )  # fmt: skip
    except FileNotFoundError:
        raise TableError(f"{path}: expected a predictions file, but it is not there") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{path}: expected a predictions file, but {error}") from error
    missing = [name for name in ("lesion_id", "readout") if name not in frame.columns]
    if missing:
        raise TableError(f"{path}: lacks the columns {', '.join(missing)}; it has {', '.join(frame.columns)}")
    classes = tuple(name for name in frame.columns if name not in NOT_CLASSES)
    if split is not None and "split" in frame.columns:
        frame = frame.filter(pl.col("split") == split)
    _check_scores(frame, classes, path)
    result: dict[str, tuple[tuple[str, ...], Array]] = {}
    for readout in READOUTS:
        part = frame.filter(pl.col("readout") == readout)
        if len(part):
            values = part.select(pl.col(list(classes)).cast(pl.Float64)).to_numpy()
            result[readout] = (tuple(part["lesion_id"]), values)
    return classes, result


def _check_scores(frame: pl.DataFrame, classes: Sequence[str], path: Path) -> None:
    """Refuse unknown readouts, doubled lesions and values that are no probabilities."""
    if len(classes) < 2 or frame.is_empty():
        raise TableError(
            f"{path}: expected rows with one column per class, got {len(frame)} rows of {classes}"
        )
    not_numbers = [name for name in classes if not frame[name].dtype.is_numeric()]
    if not_numbers:
        raise TableError(f"{path}: expected numbers in the column {not_numbers[0]!r}, got text; correct it")
    bad = frame.with_row_index("row").filter(
        pl.col("lesion_id").is_null()
        | pl.col("readout").is_null()
        | ~pl.col("readout").is_in(READOUTS)
        | pl.struct("lesion_id", "readout").is_duplicated()
        | pl.any_horizontal(pl.col(list(classes)).is_null() | ~pl.col(list(classes)).is_between(0, 1))
        | ((pl.sum_horizontal(list(classes)) - 1).abs() > 1e-3)
    )
    if len(bad):
        row, lesion, readout = bad.row(0, named=False)[0], bad["lesion_id"][0], bad["readout"][0]
        raise TableError(
            f"{path}: row {row + 1} (lesion {lesion!r}, readout {readout!r}): expected a readout of "
            f"{', '.join(READOUTS)}, each lesion once, and probabilities in [0, 1] that sum to 1"
        )
