"""Merged case folders: what is kept, what is refused, and that a network learns from one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.tables import row, save, smooth_picture
from dermapair.data.cases import CaseTable, case_frame, read_cases, write_cases
from dermapair.data.merge import merge_cases, merge_summary
from dermapair.data.split import split_cases
from dermapair.errors import LeakError, TableError, UsageError
from dermapair.reproduce.experiment import run_experiment
from training.phantoms import phantom_cases, register_tiny, tiny_recipe


def case_folder(
    folder: Path, rows: list[Mapping[str, Any]], *, root: Path | None = None, **facts: Any
) -> Path:
    """Write a case folder of rows, whose pictures need not be there."""
    frame = case_frame(rows)
    diagnoses = facts.pop("diagnoses", tuple(frame["diagnosis"].drop_nulls().unique().sort()))
    manifest = {"adapter": "csv", "lesion_ids": "lesion", **facts}
    write_cases(CaseTable(frame, root or folder / "images", diagnoses, manifest), folder)
    return folder


@pytest.fixture
def milk(tmp_path: Path) -> Path:
    rows = [
        row("a", lesion_id="L1", diagnosis="BKL", view="clinical", skin_tone="3", license="CC-BY-NC"),
        row("b", lesion_id="L1", diagnosis="BKL", skin_tone="3", license="CC-BY-NC", mask="b_mask.png"),
        row("c", lesion_id="L2", diagnosis="MEL", patient_id="P", license="CC-BY"),
    ]
    facts = {"adapter": "milk10k", "skin_tone_scale": "MILK10k"}
    return case_folder(tmp_path / "milk", rows, root=tmp_path / "sets" / "milk", **facts)


@pytest.fixture
def isic(tmp_path: Path) -> Path:
    rows = [
        row("d", diagnosis="seborrheic_keratosis", split="train", official_split="train", fold=1),
        row("e", diagnosis=None, split="test", official_split="test", fold=2),
    ]
    facts = {"adapter": "isic2017", "lesion_ids": "image"}
    return case_folder(tmp_path / "isic", rows, root=tmp_path / "sets" / "other" / "isic", **facts)


def test_rows_say_where_they_come_from_and_paths_start_at_the_common_root(
    milk: Path, isic: Path, tmp_path: Path
) -> None:
    table = merge_cases([milk, isic], tmp_path / "out", diagnosis="common")
    frame = table.frame
    assert frame["merged_from"].to_list() == ["milk"] * 3 + ["isic"] * 2
    assert table.root == tmp_path / "sets"
    assert frame["path"].to_list() == [
        "milk/a.png", "milk/b.png", "milk/c.png", "other/isic/d.png", "other/isic/e.png",
    ]  # fmt: skip
    assert frame["mask"].to_list() == [None, "milk/b_mask.png", None, None, None]
    assert frame["split"].to_list() == [None, None, None, "train", "test"]
    assert frame["fold"].to_list() == [None, None, None, 1, 2]
    assert frame["license"].to_list() == ["CC-BY-NC", "CC-BY-NC", "CC-BY", None, None]
    assert read_cases(tmp_path / "out").frame.equals(frame)


def test_the_manifest_lists_the_parts_with_hash_and_licences(milk: Path, isic: Path, tmp_path: Path) -> None:
    manifest = merge_cases([milk, isic], tmp_path / "out", diagnosis="common").manifest
    assert manifest["parts"][0] == {
        "name": "milk", "folder": str(milk), "adapter": "milk10k", "images": 3, "lesions": 2,
        "licenses": ["CC-BY", "CC-BY-NC"], "lesion_ids": "lesion", "skin_tone_scale": "MILK10k",
        "cases_sha256": hashlib.sha256((milk / "cases.parquet").read_bytes()).hexdigest(),
    }  # fmt: skip
    assert [part["name"] for part in manifest["parts"]] == ["milk", "isic"]
    assert manifest["merged"] == {"diagnosis": "common", "prefix": False}
    assert (manifest["adapter"], manifest["lesion_ids"]) == ("merge", "image")
    assert (manifest["images"], manifest["lesions"]) == (5, 4)


def test_common_terms_become_the_diagnosis_and_the_own_code_is_kept(
    milk: Path, isic: Path, tmp_path: Path
) -> None:
    table = merge_cases([milk, isic], tmp_path / "out", diagnosis="common")
    assert table.frame.select("diagnosis", "diagnosis_own").rows() == [
        ("benign_keratosis", "BKL"), ("benign_keratosis", "BKL"), ("melanoma", "MEL"),
        ("seborrheic_keratosis", "seborrheic_keratosis"), (None, None),
    ]  # fmt: skip
    assert table.diagnoses == ("melanoma", "benign_keratosis", "seborrheic_keratosis")
    summary = merge_summary(table)
    assert summary["overlapping"] == [("benign_keratosis", "seborrheic_keratosis")]
    assert (summary["without_diagnosis"], summary["without_split"]) == (0, ["milk"])


def test_codes_without_a_common_term_lose_their_diagnosis_and_are_counted(milk: Path, tmp_path: Path) -> None:
    mine = case_folder(
        tmp_path / "mine", [row("x", diagnosis="wart", site="knee"), row("y", diagnosis="nevus")]
    )
    table = merge_cases([milk, mine], tmp_path / "out", diagnosis="common")
    assert table.frame["diagnosis"].to_list()[3:] == [None, "nevus"]
    assert table.frame["diagnosis_own"].to_list()[3:] == ["wart", "nevus"]
    summary = merge_summary(table)
    assert summary["without_common_term"] == {"diagnosis": {"wart": 1}, "site": {"knee": 1}}
    assert summary["without_diagnosis"] == 1
    assert summary["without_split"] == []


def test_own_codes_must_be_the_same_in_any_order(tmp_path: Path, milk: Path, isic: Path) -> None:
    with pytest.raises(
        TableError,
        match=r"milk and .*isic: .* got BKL, MEL in the first alone and seborrheic_keratosis in the second",
    ):
        merge_cases([milk, isic], tmp_path / "out")
    one = case_folder(tmp_path / "one", [row("a")], diagnoses=("NV", "MEL"))
    two = case_folder(tmp_path / "two", [row("b", diagnosis="MEL")], diagnoses=("MEL", "NV"))
    table = merge_cases([one, two], tmp_path / "out")
    assert (table.diagnoses, table.frame["diagnosis"].to_list()) == (("NV", "MEL"), ["NV", "MEL"])
    assert table.manifest["adapter"] == "csv"
    assert "diagnosis_own" not in table.frame.columns
    assert merge_summary(table)["overlapping"] == []


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ({}, "image_id"),
        ({"image_id": "z", "lesion_id": "L"}, "lesion_id"),
        ({"image_id": "z", "lesion_id": "z", "patient_id": "P"}, "patient_id"),
    ],
)
def test_an_id_in_two_folders_is_refused_and_kept_apart_by_a_prefix(
    values: dict[str, str], column: str, tmp_path: Path
) -> None:
    one = case_folder(tmp_path / "one", [row("a", lesion_id="L", patient_id="P"), row("b")])
    two = case_folder(tmp_path / "two", [row("a", **{"lesion_id": "M", "patient_id": None, **values})])
    with pytest.raises(TableError, match=rf"one and .*two: .* got 1 of {column} in both \(\w\); give --pre"):
        merge_cases([one, two], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    frame = merge_cases([one, two], tmp_path / "out", prefix=True).frame
    assert frame["image_id"].to_list()[:2] == ["one/a", "one/b"]
    assert frame["lesion_id"].to_list()[:2] == ["one/L", "one/b"]
    assert frame["patient_id"].to_list()[:2] == ["one/P", None]
    assert frame.row(2, named=True)[column] == f"two/{values.get(column, 'a')}"


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({}, {}, "image_id .*ISIC_0000002"),
        ({"image_id": "ISIC_0000002_downsampled"}, {}, "image_id .*ISIC_0000002"),
        ({}, {"image_id": "set/ISIC_0000002"}, "image_id .*ISIC_0000002"),
        (
            {"lesion_id": "IL_0000009"},
            {"image_id": "x", "lesion_id": "set/IL_0000009"},
            "lesion_id .*IL_0000009",
        ),
        (
            {"lesion_id": "p", "patient_id": "IP_0000009"},
            {"image_id": "x", "lesion_id": "x", "patient_id": "IP_0000009_"},
            "patient_id .*IP_0000009",
        ),
    ],
)
def test_what_the_isic_archive_names_alike_is_the_same_with_a_prefix_too(
    one: dict[str, str], two: dict[str, str], same: str, tmp_path: Path
) -> None:
    first = case_folder(tmp_path / "one", [row("ISIC_0000001"), row("ISIC_0000002", **one)])
    second = case_folder(tmp_path / "two", [row("ISIC_0000002", **two), row("ISIC_0000003")])
    for prefix in (False, True):
        with pytest.raises(TableError, match=rf"got 1 of {same}\); merge only one"):
            merge_cases([first, second], tmp_path / "out", prefix=prefix)


ARCHIVE = {"lesion_id": "IL_0000009", "patient_id": "IP_0000009"}


@pytest.mark.parametrize("prefix", [False, True])
def test_lesions_and_patients_of_the_isic_archive_stay_one_over_both_folders(
    prefix: bool, tmp_path: Path
) -> None:
    one = case_folder(tmp_path / "one", [row("ISIC_0000001", **ARCHIVE), row("a", patient_id="P")])
    two = case_folder(tmp_path / "two", [row("x", **ARCHIVE), row("y", patient_id="IP_0000009")])
    table = merge_cases([one, two], tmp_path / "out", prefix=prefix)
    own = ("one/a", "one/P", "two/y") if prefix else ("a", "P", "y")
    assert table.frame["lesion_id"].to_list() == ["IL_0000009", own[0], "IL_0000009", own[2]]
    assert table.frame["patient_id"].to_list() == ["IP_0000009", own[1], "IP_0000009", "IP_0000009"]
    assert table.frame["image_id"].to_list()[2] == ("two/x" if prefix else "x")
    split = split_cases(table, val=0.0, test=0.5, seed=0).frame
    assert split.filter(patient_id="IP_0000009")["split"].n_unique() == 1


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        ({"diagnosis": "MEL"}, TableError, "lesion 'IL_0000009' has the diagnoses MEL, NV"),
        ({"split": "test"}, LeakError, "lesion_id 'IL_0000009' lies in the splits test and train"),
        ({"split": "test", "lesion_id": "x"}, LeakError, "patient_id 'IP_0000009' lies in the splits"),
    ],
)
def test_a_shared_lesion_of_two_diagnoses_or_splits_is_refused(
    values: dict[str, str], error: type[TableError], match: str, tmp_path: Path
) -> None:
    codes = {"diagnoses": ("MEL", "NV")}
    one = case_folder(tmp_path / "one", [row("a", **ARCHIVE, split="train")], **codes)
    two = case_folder(tmp_path / "two", [row("x", **{**ARCHIVE, **values})], **codes)
    for prefix in (False, True):
        with pytest.raises(error, match=match):
            merge_cases([one, two], tmp_path / "out", prefix=prefix)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.png", "./a.png", "link.png", "hard.png", "folder/a.png", "sub//a.png"])
def test_a_file_that_two_folders_name_is_refused_under_all_its_names(name: str, tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", smooth_picture(0))
    (tmp_path / "images" / "link.png").symlink_to("a.png")
    (tmp_path / "images" / "folder").symlink_to(tmp_path / "images")
    os.link(tmp_path / "images" / "a.png", tmp_path / "images" / "hard.png")
    save(tmp_path / "images" / "sub" / "a.png", smooth_picture(1))
    one = case_folder(tmp_path / "one", [row("a"), row("s", path="sub/a.png")], root=tmp_path / "images")
    two = case_folder(tmp_path / "two", [row("z", path=f"images/{name}")], root=tmp_path)
    with pytest.raises(TableError, match=r"one and .*two: .* got 1 files that both name \(.*a\.png\); merge"):
        merge_cases([one, two], tmp_path / "out", prefix=True)


def test_a_file_that_is_gone_is_told_by_its_path(tmp_path: Path) -> None:
    one = case_folder(tmp_path / "one", [row("a")], root=tmp_path / "gone")
    two = case_folder(tmp_path / "two", [row("z", path="gone/a.png")], root=tmp_path)
    with pytest.raises(TableError, match=r"got 1 files that both name \(.*gone/a\.png\)"):
        merge_cases([one, two], tmp_path / "out")


def test_skin_tones_keep_their_scales(tmp_path: Path) -> None:
    one = case_folder(tmp_path / "one", [row("a", skin_tone="1")], skin_tone_scale="Fitzpatrick")
    two = case_folder(tmp_path / "two", [row("b", skin_tone="1")], skin_tone_scale="MILK10k")
    bare = case_folder(tmp_path / "bare", [row("c")])
    unknown = case_folder(tmp_path / "unknown", [row("d", skin_tone="1")])
    mixed = merge_cases([one, two, bare], tmp_path / "out")
    assert mixed.frame["skin_tone_scale"].to_list() == ["Fitzpatrick", "MILK10k", None]
    assert "skin_tone_scale" not in mixed.manifest
    assert merge_cases([one, bare], tmp_path / "out").manifest["skin_tone_scale"] == "Fitzpatrick"
    assert "skin_tone_scale" not in merge_cases([one, unknown], tmp_path / "out").manifest


def test_a_merged_folder_can_be_merged_again(milk: Path, isic: Path, tmp_path: Path) -> None:
    merge_cases([milk, isic], tmp_path / "both", diagnosis="common")
    mine = case_folder(tmp_path / "mine", [row("x", diagnosis="nevus")])
    table = merge_cases([tmp_path / "both", mine], tmp_path / "out", diagnosis="common")
    assert table.frame["merged_from"].to_list() == ["both/milk"] * 3 + ["both/isic"] * 2 + ["mine"]
    own = ["BKL", "BKL", "MEL", "seborrheic_keratosis", None, "nevus"]
    assert table.frame["diagnosis_own"].to_list() == own
    assert [part["name"] for part in table.manifest["parts"][0]["parts"]] == ["milk", "isic"]
    assert merge_summary(table)["without_split"] == ["mine"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(3, "x"), (True, 2.5), (True, 1), ([1.0], "none"), (2**53 + 1, 0.5), ("a", ["a"])],
    ids=str,
)
def test_columns_of_other_types_are_refused_by_name(ours: object, theirs: object, tmp_path: Path) -> None:
    one = case_folder(tmp_path / "one", [row("a", ward=ours)])
    bare = case_folder(tmp_path / "bare", [row("b")])
    two = case_folder(tmp_path / "two", [row("c", ward=theirs)])
    match = r"one and .*two: expected the column ward to hold values of one type, got .* and .*; rename"
    with pytest.raises(TableError, match=match):
        merge_cases([one, bare, two], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("ours", "theirs", "dtype"),
    [
        (3, 2.5, pl.Float64), (None, 2.5, pl.Float64), (True, None, pl.Boolean), (None, [1], pl.List),
        (None, None, pl.String), (None, "x", pl.String),
    ],
    ids=str,
)  # fmt: skip
def test_no_value_fits_every_type_and_whole_numbers_fit_others(
    ours: object, theirs: object, dtype: type[pl.DataType], tmp_path: Path
) -> None:
    one = case_folder(tmp_path / "one", [row("a", ward=ours)])
    two = case_folder(tmp_path / "two", [row("b", ward=theirs)])
    ward = merge_cases([one, two], tmp_path / "out").frame["ward"]
    assert (ward.to_list(), ward.dtype.base_type()) == ([ours, theirs], dtype)


def test_wrong_use_is_refused(milk: Path, isic: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected two or more case folders to merge, got 1"):
        merge_cases([milk], tmp_path / "out")
    with pytest.raises(UsageError, match="expected case folders of different names"):
        merge_cases([milk, isic, milk], tmp_path / "out")
    with pytest.raises(UsageError, match="expected a new folder to write, got one that is merged"):
        merge_cases([milk, isic], milk)
    with pytest.raises(UsageError, match="unknown diagnosis 'coarse'; known: common, own"):
        merge_cases([milk, isic], tmp_path / "out", diagnosis="coarse")
    with pytest.raises(TableError, match="expected a case folder"):
        merge_cases([milk, tmp_path / "none"], tmp_path / "out")


def test_a_split_of_the_merged_folder_keeps_official_parts(milk: Path, isic: Path, tmp_path: Path) -> None:
    table = merge_cases([milk, isic], tmp_path / "out", diagnosis="common")
    split = split_cases(table, val=0.0, test=0.5, seed=0).frame
    assert split["split"].to_list()[3:] == ["train", "test"]
    assert split["split"].null_count() == 0


def test_a_network_learns_from_a_merged_folder(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch)
    first = read_cases(phantom_cases(tmp_path_factory))
    pictures = tmp_path / "second" / "images"
    rows = [
        row(
            f"n{i}{view}", lesion_id=f"n{i}", view=view, path=f"{i}.png",
            diagnosis=("nevus", "melanoma")[i % 2], split=("train", "val", "test")[i % 3],
        )
        for i in range(9)
        for view in ("clinical", "dermoscopic")
    ]  # fmt: skip
    for i in range(9):
        save(pictures / f"{i}.png", smooth_picture(i))
    second = case_folder(tmp_path / "second", rows)
    assert first.folder is not None
    table = merge_cases([first.folder, second], tmp_path / "out", diagnosis="common")
    groups = {"melanoma": ["melanoma"], "rest": ["*"]}
    recipe = tiny_recipe(task={"groups": groups}, train={"epochs": 1})
    results = run_experiment(recipe, table, tmp_path / "run")
    known = table.frame.filter(pl.col("split") == "test", pl.col("diagnosis").is_not_null())
    assert results["classes"] == ["melanoma", "rest"]
    assert results["n_lesions"] == known["lesion_id"].n_unique()
    assert set(known["merged_from"]) == {first.folder.name, "second"}
