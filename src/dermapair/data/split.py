"""Splitting a case table: by patient, else lesion, near duplicates kept together, stratified by diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import train_test_split

from dermapair.data.cases import CaseTable
from dermapair.errors import UsageError


def split_cases(
    table: CaseTable,
    *,
    val: float,
    test: float,
    seed: int,
    force: bool = False,
    duplicates: Sequence[tuple[int, int]] = (),
) -> CaseTable:
    """Return the table with a new `split`.

    Images with an official split keep it; if all have one, only `force` replaces it.

    Args:
        table: the cases.
        val, test: share of the groups, each in [0, 1), together below 1.
        seed: of the shuffle.
        force: replace official splits too.
        duplicates: pairs of rows that show the same picture and must stay together.

    Raises:
        UsageError: the shares do not fit, or every image has an official split.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and 0 < val + test < 1):
        raise UsageError(f"expected shares in [0, 1) with 0 < val + test < 1, got val {val} and test {test}")
    frame = table.frame
    none = pl.lit(None, dtype=pl.String)
    official = pl.col("official_split") if "official_split" in frame.columns and not force else none
    fixed = frame.with_columns(official.alias("split"))["split"]
    if not fixed.has_nulls():
        raise UsageError("every image has an official split; --force replaces it by a random one")
    groups = group_rows(frame, duplicates)
    of_group = _fixed_by_group(groups, fixed)
    free = np.array([group for group in np.unique(groups) if group not in of_group])
    chosen = _draw(free, _strata(frame, groups, free), val=val, test=test, seed=seed)
    split = [of_group.get(group) or chosen[group] for group in groups.tolist()]
    frame = frame.with_columns(pl.Series("split", split, dtype=pl.String))
    how = {"val": val, "test": test, "seed": seed, "near_duplicate_pairs": len(duplicates)}
    return replace(table, frame=frame, manifest={**table.manifest, "split": how})


def split_counts(table: CaseTable) -> list[dict[str, Any]]:
    """Return for each split its name (None for none) and how many lesions and images it has."""
    grouped = table.frame.group_by("split").agg(lesions=pl.col("lesion_id").n_unique(), images=pl.len())
    return grouped.sort("split").to_dicts()


def group_rows(frame: pl.DataFrame, duplicates: Sequence[tuple[int, int]] = ()) -> NDArray[np.int64]:
    """Return a number for each row, equal for rows that must not be parted.

    Rows belong together when they share a patient or a lesion, or are linked by `duplicates`, also through
    others.
    """
    numbered = frame.with_row_index("row")
    links = [np.array(duplicates, dtype=np.int64).reshape(-1, 2)]
    for column in ("lesion_id", "patient_id"):
        known = numbered.filter(pl.col(column).is_not_null())
        links.append(known.select("row", pl.col("row").min().over(column).alias("first")).to_numpy())
    pairs = np.concatenate(links)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(frame),) * 2)
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _fixed_by_group(groups: NDArray[np.int64], fixed: pl.Series) -> dict[int, str]:
    """Return the split of the groups that have an official one; a near duplicate of a test image is test."""
    order = {name: i for i, name in enumerate(("train", "val", "test"))}
    result: dict[int, str] = {}
    for group, split in zip(groups.tolist(), fixed, strict=True):
        if split is not None and order[split] >= order.get(result.get(group, "train"), 0):
            result[group] = split
    return result


def _strata(frame: pl.DataFrame, groups: NDArray[np.int64], free: NDArray[np.int64]) -> list[str]:
    """Return for each free group its rarest diagnosis; those of under 7 groups share one stratum."""
    labels = frame["diagnosis"].fill_null("(none)").to_list()
    names, counts = np.unique(labels, return_counts=True)
    count_of = dict(zip(names.tolist(), counts.tolist(), strict=True))
    rarest: dict[int, str] = {}
    for group, label in zip(groups.tolist(), labels, strict=True):
        if group not in rarest or count_of[label] < count_of[rarest[group]]:
            rarest[group] = label
    strata = [rarest[group] for group in free.tolist()]
    return [name if strata.count(name) >= 7 else "(rare)" for name in strata]


def _draw(
    free: NDArray[np.int64], strata: list[str], *, val: float, test: float, seed: int
) -> dict[int, str]:
    """Return the split of each free group."""
    result = dict.fromkeys(free.tolist(), "train")
    rest, rest_strata = free, strata
    for name, share in (("test", test), ("val", val / (1 - test))):
        if share == 0:
            continue
        enough = min(rest_strata.count(s) for s in set(rest_strata)) >= 2
        rest, part, rest_strata, _ = train_test_split(
            rest, rest_strata, test_size=share, random_state=seed, stratify=rest_strata if enough else None
        )
        result |= dict.fromkeys(part.tolist(), name)
    return result
