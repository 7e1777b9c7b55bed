"""Splitting a case table: by patient, else lesion, near duplicates kept together, stratified by diagnosis."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedKFold, train_test_split

from dermapair.data.cases import CaseTable
from dermapair.errors import UsageError


class Fold(NamedTuple):
    """One of the parts into which cross-validation shares out the lesions.

    Attributes:
        number: from 0.
        folds: how many there are, at least 2; seed and table say what is in each.
    """

    number: int
    folds: int


def split_cases(
    table: CaseTable,
    *,
    val: float,
    test: float,
    seed: int,
    force: bool = False,
    duplicates: Sequence[tuple[int, int]] | None = None,
    fold: Fold | None = None,
) -> CaseTable:
    """Return the table with a new `split`.

    Images with an official split keep it; if all have one, only `force` replaces it. A near duplicate of an
    image with an official split goes where that image is, into the test part before others.

    Args:
        table: the cases.
        val: share of the groups, in [0, 1).
        test: likewise; together they are below 1.
        seed: of the shuffle.
        force: replace official splits too.
        duplicates: pairs of rows that show the same picture and must stay together; None: not looked for.
        fold: the test part, for cross-validation; its share takes the place of `test`.

    Raises:
        UsageError: the shares or the fold do not fit, every image has an official split, or there are too few
            groups.
    """
    test = _share(fold) if fold else test
    if not (0 <= val < 1 and 0 <= test < 1 and 0 < val + test < 1):
        raise UsageError(f"expected shares in [0, 1) with 0 < val + test < 1, got val {val} and test {test}")
    frame = table.frame
    none = pl.lit(None, dtype=pl.String)
    official = pl.col("official_split") if "official_split" in frame.columns and not force else none
    fixed = frame.with_columns(official.alias("split"))["split"]
    if not fixed.has_nulls():
        raise UsageError("every image has an official split; --force replaces it by a random one")
    if fold and fixed.drop_nulls().len():
        raise UsageError(
            f"expected no official splits where folds share out every lesion, got {fixed.drop_nulls().len()} "
            f"images with one; --force gives them up"
        )
    groups = group_rows(frame, duplicates or ())
    of_group = _fixed_by_group(groups, fixed)
    free = np.array([group for group in np.unique(groups) if group not in of_group], dtype=np.int64)
    chosen = _draw(free, _strata(frame, groups, free), val=val, test=test, seed=seed, fold=fold)
    split = [of_group.get(group) or chosen[group] for group in groups.tolist()]
    frame = frame.with_columns(pl.Series("split", split, dtype=pl.String))
    how = {"val": val, "test": test, "seed": seed, "force": force}
    how |= {"folds": fold.folds, "fold": fold.number} if fold else {}
    how |= {"duplicates": duplicates is not None, "near_duplicate_pairs": len(duplicates or ())}
    return replace(table, frame=frame, manifest={**table.manifest, "split": how})


def _share(fold: Fold) -> float:
    if fold.folds < 2 or not 0 <= fold.number < fold.folds:
        raise UsageError(
            f"expected at least 2 folds and one of them from 0 on, got fold {fold.number} of {fold.folds}"
        )
    return 1 / fold.folds


def split_counts(table: CaseTable) -> list[dict[str, Any]]:
    """Return for each split its name (None for none) and how many lesions and images it has."""
    grouped = table.frame.group_by("split").agg(lesions=pl.col("lesion_id").n_unique(), images=pl.len())
    return grouped.sort("split").to_dicts()


def missing_diagnoses(table: CaseTable) -> dict[str, list[str]]:
    """Return for each split with known diagnoses those that it lacks and another split has."""
    known = table.frame.drop_nulls(["split", "diagnosis"])
    there = known.group_by("split").agg(pl.col("diagnosis").unique()).sort("split")
    everywhere = set(known["diagnosis"])
    lacking = {name: sorted(everywhere - set(has)) for name, has in there.iter_rows()}
    return {name: lacks for name, lacks in lacking.items() if lacks}


def group_rows(frame: pl.DataFrame, duplicates: Sequence[tuple[int, int]] = ()) -> NDArray[np.int64]:
    """Return a number for each row, equal for rows that must not be parted.

    Rows belong together when they share a patient or a lesion, or are linked by `duplicates`, also through
    others.
    """
    numbered = frame.with_columns(row=pl.int_range(pl.len()))
    links = [np.array(duplicates, dtype=np.int64).reshape(-1, 2)]
    for column in ("lesion_id", "patient_id"):
        known = numbered.filter(pl.col(column).is_not_null())
        links.append(known.select("row", pl.col("row").min().over(column).alias("first")).to_numpy())
    return _linked(np.concatenate(links), len(frame))


def _linked(pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return a number for each of n rows, equal for those that pairs link, also through others."""
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def largest_group(duplicates: Sequence[tuple[int, int]], n: int) -> int:
    """Return how many of n rows the largest group has that pairs link."""
    return int(np.bincount(_linked(np.array(duplicates, dtype=np.int64).reshape(-1, 2), n)).max())


def _fixed_by_group(groups: NDArray[np.int64], fixed: pl.Series) -> dict[int, str]:
    """Return the split of the groups that have an official one; a near duplicate of a test image is test."""
    order = {name: i for i, name in enumerate(("train", "val", "test"))}
    result: dict[int, str] = {}
    for group, split in zip(groups.tolist(), fixed, strict=True):
        if split is not None and order[split] >= order.get(result.get(group, "train"), 0):
            result[group] = split
    return result


def _strata(frame: pl.DataFrame, groups: NDArray[np.int64], free: NDArray[np.int64]) -> list[str]:
    """Return for each free group its rarest diagnosis; those of under 7 groups share one stratum.

    Where that stratum has one group only, it joins the largest one, as one group cannot be shared out.
    """
    labels = frame["diagnosis"].fill_null("(none)").to_list()
    count_of = Counter(labels)
    rarest: dict[int, str] = {}
    for group, label in zip(groups.tolist(), labels, strict=True):
        if group not in rarest or count_of[label] < count_of[rarest[group]]:
            rarest[group] = label
    size_of = Counter(rarest[group] for group in free.tolist())
    rare = [name for name, size in size_of.items() if size < 7]
    alone = sum(size_of[name] for name in rare) == 1
    other = size_of.most_common(1)[0][0] if alone else "(rare)"
    return [other if rarest[group] in rare else rarest[group] for group in free.tolist()]


def _draw(
    free: NDArray[np.int64], strata: list[str], *, val: float, test: float, seed: int, fold: Fold | None
) -> dict[int, str]:
    """Return the split of each free group, stratified where every part has room for every stratum."""
    result = dict.fromkeys(free.tolist(), "train")
    rest, rest_strata = free, np.array(strata)
    for name, share in (("test", test), ("val", val / (1 - test))):
        if share == 0 or not len(rest):
            continue
        n_part = math.ceil(share * len(rest))
        if n_part >= len(rest) or (fold and fold.folds > len(free)):
            raise UsageError(f"{len(free)} groups are too few for val {val} and test {test}; add lesions")
        if name == "test" and fold:
            kept, part = _fold(rest_strata, fold, seed=seed)
        else:
            kept, part = _random(rest_strata, n_part, seed=seed)
        result |= dict.fromkeys(rest[part].tolist(), name)
        rest, rest_strata = rest[kept], rest_strata[kept]
    return result


Halves = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Indices of the groups that are kept, and of those that are taken."""


def _random(strata: NDArray[np.str_], n_part: int, *, seed: int) -> Halves:
    """Take `n_part` groups."""
    size_of = Counter(strata.tolist())
    room = min(n_part, len(strata) - n_part) >= len(size_of)
    stratify = strata if room and min(size_of.values()) >= 2 else None
    kept, part = train_test_split(
        np.arange(len(strata)), test_size=n_part, random_state=seed, stratify=stratify
    )
    return kept, part


def _fold(strata: NDArray[np.str_], fold: Fold, *, seed: int) -> Halves:
    """Take the groups of one fold; strata with fewer groups than folds are not in each."""
    size_of = Counter(strata.tolist())
    merged = np.where([size_of[name] < fold.folds for name in strata], size_of.most_common(1)[0][0], strata)
    parts = StratifiedKFold(fold.folds, shuffle=True, random_state=seed).split(merged, merged)
    kept, part = list(parts)[fold.number]
    return kept, part
