"""Splitting: groups are never parted, shares and classes are kept, official splits stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tables import DIAGNOSES, row, table
from dermapair.data.adapters import import_cases
from dermapair.data.cases import CaseTable, read_cases, write_cases
from dermapair.data.split import Fold, group_rows, largest_group, missing_diagnoses, split_cases, split_counts
from dermapair.errors import UsageError


def lesions(n: int, diagnoses: tuple[str, ...] = ("NV",)) -> CaseTable:
    return table([row(f"i{i}", diagnosis=diagnoses[i % len(diagnoses)]) for i in range(n)])


def shares(of: CaseTable) -> dict[str | None, int]:
    return {line["split"]: line["lesions"] for line in split_counts(of)}


@st.composite
def tables(draw: st.DrawFn) -> tuple[CaseTable, list[tuple[int, int]]]:
    """A table with patients, lesions of several images and near duplicates."""
    n = draw(st.integers(30, 60))
    patient = draw(st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=n, max_size=n))
    lesion = draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))
    names = draw(st.lists(st.sampled_from((*DIAGNOSES, None)), min_size=51, max_size=51))
    rows = [
        row(
            f"i{i}",
            lesion_id=f"L{lesion[i]}",
            patient_id=None if p is None else f"P{p}",
            diagnosis=names[lesion[i]],
        )
        for i, p in enumerate(patient)
    ]
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    return table(rows), draw(st.lists(pair, max_size=4))


@settings(max_examples=40)
@given(tables(), st.integers(0, 5))
def test_no_patient_lesion_or_pair_of_near_duplicates_is_parted(
    drawn: tuple[CaseTable, list[tuple[int, int]]], seed: int
) -> None:
    cases, pairs = drawn
    try:
        made = split_cases(cases, val=0.2, test=0.2, seed=seed, duplicates=pairs)
    except UsageError:
        assert len(np.unique(group_rows(cases.frame, pairs))) <= 4, "refused though there is enough to share"
        return
    split = made.frame["split"]
    assert not split.has_nulls()
    for column in ("lesion_id", "patient_id"):
        known = made.frame.filter(pl.col(column).is_not_null())
        assert known.group_by(column).agg(pl.col("split").n_unique())["split"].to_list().count(1) == (
            known[column].n_unique()
        )
    assert all(split[i] == split[j] for i, j in pairs)


def test_links_reach_through_others() -> None:
    frame = table(
        [
            row("a", patient_id="P"),
            row("b", patient_id="P", lesion_id="L"),
            row("c", lesion_id="L"),
            row("d"),
            row("e"),
        ]
    ).frame
    groups = group_rows(frame, [(2, 4)])
    assert len({groups[i] for i in (0, 1, 2, 4)}) == 1
    assert groups[3] != groups[0]


@pytest.mark.parametrize("n", [20, 100, 333])
def test_shares_are_those_wanted_within_one_group(n: int) -> None:
    got = shares(split_cases(lesions(n), val=0.15, test=0.2, seed=0))
    assert sum(got.values()) == n
    assert abs(got["test"] - 0.2 * n) <= 1
    assert abs(got["val"] - 0.15 * n) <= 1


def test_every_diagnosis_has_its_share_in_every_part() -> None:
    names = ("NV",) * 6 + ("MEL",) * 3 + ("BKL",)
    made = split_cases(lesions(400, names), val=0.15, test=0.15, seed=3)
    counts = made.frame.group_by("split", "diagnosis").len()
    for split, part in (("train", 280), ("val", 60), ("test", 60)):
        for name, share in (("NV", 0.6), ("MEL", 0.3), ("BKL", 0.1)):
            assert abs(counts.filter(split=split, diagnosis=name)["len"].item() - share * part) <= 1


def test_one_lesion_of_a_rare_diagnosis_does_not_undo_the_stratification_of_the_others() -> None:
    rows = [row(f"i{i}", diagnosis=("NV", "MEL")[i % 4 == 0]) for i in range(200)]
    made = split_cases(table([*rows, row("only", diagnosis="DF")]), val=0.2, test=0.2, seed=1)
    parts = made.frame.filter(diagnosis="MEL").group_by("split").len()
    assert dict(parts.iter_rows()) == {"train": 30, "val": 10, "test": 10}


def test_a_few_groups_of_many_diagnoses_are_split_without_strata() -> None:
    got = shares(split_cases(lesions(12, DIAGNOSES), val=0.1, test=0.1, seed=0))
    assert got == {"train": 8, "val": 2, "test": 2}


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(UsageError, match="2 groups are too few for val 0.15 and test 0.15"):
        split_cases(lesions(2), val=0.15, test=0.15, seed=0)


def test_a_seed_gives_one_split_and_another_seed_another() -> None:
    cases = lesions(60)
    first, again, other = (split_cases(cases, val=0.2, test=0.2, seed=s).frame["split"] for s in (4, 4, 5))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(("val", "test"), [(0, 0), (0.5, 0.5), (-0.1, 0.2), (1, 0), (0.2, float("nan"))])
def test_impossible_shares_are_refused(val: float, test: float) -> None:
    with pytest.raises(UsageError, match=r"expected shares in \[0, 1\) with 0 < val \+ test < 1"):
        split_cases(lesions(20), val=val, test=test, seed=0)


@pytest.mark.parametrize(("val", "test", "parts"), [(0, 0.2, {"train", "test"}), (0.2, 0, {"train", "val"})])
def test_a_share_of_zero_gives_no_part(val: float, test: float, parts: set[str]) -> None:
    assert set(shares(split_cases(lesions(20), val=val, test=test, seed=0))) == parts


def official(i: int, split: str | None, **values: str) -> dict[str, str | None]:
    return row(f"i{i}", split=split, official_split=split, **values)


def test_a_whole_official_split_is_refused_and_force_replaces_it() -> None:
    cases = table([official(i, "train") for i in range(20)])
    with pytest.raises(UsageError, match="every image has an official split; --force replaces it"):
        split_cases(cases, val=0.2, test=0.2, seed=0)
    forced = split_cases(cases, val=0.2, test=0.2, seed=0, force=True)
    assert shares(forced) == {"train": 12, "val": 4, "test": 4}
    assert forced.frame["official_split"].to_list() == ["train"] * 20


def test_a_part_with_an_official_split_keeps_it() -> None:
    cases = table([official(i, "test" if i < 5 else None) for i in range(25)])
    made = split_cases(cases, val=0.2, test=0, seed=0)
    assert made.frame["split"].to_list()[:5] == ["test"] * 5
    assert shares(made) == {"train": 16, "val": 4, "test": 5}


def test_a_near_duplicate_of_an_official_test_image_goes_to_the_test_too() -> None:
    fixed = {0: "test", 1: "train", 2: "val"}
    cases = table([official(i, fixed.get(i)) for i in range(30)])
    made = split_cases(cases, val=0.2, test=0.2, seed=0, duplicates=[(0, 10), (11, 10), (1, 12), (2, 12)])
    split = made.frame["split"]
    assert [split[i] for i in (0, 10, 11)] == ["test"] * 3
    assert [split[i] for i in (1, 2, 12)] == ["val"] * 3


def test_a_table_that_we_split_is_split_again(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("clinical\n" + "\n".join(f"{i}.jpg" for i in range(40)) + "\n")
    for i in range(40):
        (tmp_path / f"{i}.jpg").touch()
    folder = tmp_path / "cases"
    write_cases(import_cases("csv", tmp_path / "a.csv"), folder)
    first = write_cases(split_cases(read_cases(folder), val=0.2, test=0.2, seed=0), folder)
    second = write_cases(split_cases(read_cases(folder), val=0.1, test=0, seed=1), folder)
    assert shares(first) == {"train": 24, "val": 8, "test": 8}
    assert shares(second) == {"train": 36, "val": 4}
    assert second.manifest["split"] == {
        "val": 0.1, "test": 0, "seed": 1, "force": False, "duplicates": False, "near_duplicate_pairs": 0,
    }  # fmt: skip
    assert second.manifest["adapter"] == "csv"


def test_the_real_pairs_are_split_by_lesion_and_diagnosis(shared: Path) -> None:
    table_ = import_cases("milk10k", shared / "data" / "milk10k")
    made = split_cases(table_, val=0.15, test=0.15, seed=0)
    per_lesion = made.frame.group_by("lesion_id").agg(pl.col("split", "diagnosis").unique())
    assert per_lesion["split"].list.len().unique().to_list() == [1]
    tests = per_lesion.explode("split", "diagnosis").filter(split="test").group_by("diagnosis").len()
    counts = dict(tests.iter_rows())
    assert sum(counts.values()) == 629
    assert abs(counts["BCC"] - 0.15 * 2018) <= 1
    assert counts["MAL_OTH"] == 1


def test_the_manifest_says_how_to_split_again() -> None:
    cases = lesions(20)
    for pairs, looked, found in ((None, False, 0), ([], True, 0), ([(0, 1)], True, 1)):
        made = split_cases(cases, val=0.2, test=0.2, seed=4, force=True, duplicates=pairs).manifest["split"]
        assert made == {
            "val": 0.2, "test": 0.2, "seed": 4, "force": True, "duplicates": looked,
            "near_duplicate_pairs": found,
        }  # fmt: skip


def test_each_lesion_is_tested_in_one_fold_and_diagnoses_are_shared_out() -> None:
    cases = lesions(60, ("NV", "NV", "NV", "MEL", "BKL"))
    tested: list[str] = []
    for number in range(5):
        made = split_cases(cases, val=0.2, test=0, seed=1, fold=Fold(number, 5))
        part = made.frame.filter(split="test")
        assert sorted(part["diagnosis"].value_counts()["count"].to_list()) in ([2, 2, 8], [2, 3, 7])
        assert shares(made) == {"train": 36, "val": 12, "test": 12}
        assert (made.manifest["split"]["fold"], made.manifest["split"]["folds"]) == (number, 5)
        tested += part["lesion_id"].to_list()
    assert sorted(tested) == sorted(cases.frame["lesion_id"])


@settings(max_examples=20)
@given(tables(), st.integers(2, 4))
def test_folds_part_no_group(drawn: tuple[CaseTable, list[tuple[int, int]]], folds: int) -> None:
    cases, pairs = drawn
    groups = group_rows(cases.frame, pairs)
    if len(np.unique(groups)) < 3 * folds:
        return
    made = [
        split_cases(cases, val=0.2, test=0, seed=0, duplicates=pairs, fold=Fold(i, folds))
        for i in range(folds)
    ]
    tested = np.stack([(each.frame["split"] == "test").to_numpy() for each in made])
    assert (tested.sum(axis=0) == 1).all(), "each image in one fold"
    for group in np.unique(groups):
        assert tested[:, groups == group].any(axis=1).sum() == 1


@pytest.mark.parametrize("fold", [Fold(0, 1), Fold(3, 3), Fold(-1, 3)])
def test_a_fold_that_is_none_is_refused(fold: Fold) -> None:
    with pytest.raises(UsageError, match=r"expected at least 2 folds and one of them from 0 on, got fold"):
        split_cases(lesions(30), val=0.2, test=0, seed=0, fold=fold)


def test_folds_are_refused_where_official_splits_would_stand_or_groups_are_too_few() -> None:
    rows = [row(f"i{i}", official_split="test" if i < 3 else None) for i in range(30)]
    with pytest.raises(UsageError, match=r"got 3 images with one; --force gives them up"):
        split_cases(table(rows), val=0.2, test=0, seed=0, fold=Fold(0, 3))
    assert (
        shares(split_cases(table(rows), val=0.2, test=0, seed=0, fold=Fold(0, 3), force=True))["test"] == 10
    )
    with pytest.raises(UsageError, match="10 groups are too few"):
        split_cases(lesions(10), val=0.2, test=0, seed=0, fold=Fold(0, 20))


def test_diagnoses_that_a_split_lacks_are_named() -> None:
    rows = [row("a", split="train"), row("b", split="test"), row("c", split="train", diagnosis="MEL")]
    cases = table([*rows, row("d", split="val", diagnosis=None), row("e", diagnosis="DF")])
    assert missing_diagnoses(cases) == {"test": ["MEL"]}
    assert missing_diagnoses(table(rows[:2])) == {}


def test_the_largest_group_is_linked_through_others() -> None:
    assert largest_group([(0, 1), (3, 4), (1, 2)], 6) == 3
    assert largest_group([], 6) == 1
