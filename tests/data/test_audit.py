"""The audit finds what was planted, and says of each pair what it means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data.tables import row, save, smooth_picture, table
from dermapair.data.adapters import import_cases
from dermapair.data.audit import audit
from dermapair.data.cases import CaseTable
from dermapair.errors import LeakError


def folder(root: Path, seeds: dict[str, int], **values: dict[str, Any]) -> CaseTable:
    """Return a table of pictures by seed, with more values for some rows."""
    for name, seed in seeds.items():
        save(root / f"{name}.png", smooth_picture(seed, (160, 120)))
    return table([row(name, **values.get(name, {})) for name in seeds], root)


def pair_of(content: dict[str, Any], one: str, other: str) -> dict[str, Any]:
    (found,) = [p for p in content["pairs"] if {p["one"]["image_id"], p["other"]["image_id"]} == {one, other}]
    return found


def test_what_a_pair_means_depends_on_where_its_images_lie(tmp_path: Path) -> None:
    cases = folder(
        tmp_path,
        {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3, "f": 3, "g": 4, "h": 4, "i": 5},
        a={"split": "train"}, b={"split": "test"},
        c={"diagnosis": "MEL"}, d={"diagnosis": "NV"},
        e={"lesion_id": "same"}, f={"lesion_id": "same"},
        h={"diagnosis": None},
    )  # fmt: skip
    content = audit([cases])
    assert content["leaks"] == 1
    assert len(content["pairs"]) == 4
    first = content["pairs"][0]
    assert (first["leak"], first["across_splits"], first["kind"]) == (True, True, "exact")
    assert (first["one"]["image_id"], first["other"]["split"]) == ("a", "test")
    assert pair_of(content, "c", "d")["diagnoses_differ"]
    assert pair_of(content, "e", "f")["same_lesion"]
    unknown = pair_of(content, "g", "h")
    assert not (unknown["diagnoses_differ"] or unknown["same_lesion"] or unknown["leak"])


def test_the_same_picture_in_two_folders_is_a_leak(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", {"a": 1, "b": 2})
    other = folder(tmp_path / "other", {"a": 3, "c": 2})
    pixels = np.asarray(Image.open(tmp_path / "other" / "c.png"))
    save(tmp_path / "other" / "c.png", np.rot90(pixels, -1))
    content = audit([one, other])
    assert content["folders"] == [str(tmp_path / "one"), str(tmp_path / "other")]
    (pair,) = content["pairs"]
    assert (pair["kind"], pair["across_folders"], pair["other_is"]) == (
        "near",
        True,
        "turned counterclockwise",
    )
    assert (pair["one"]["image_id"], pair["other"]["image_id"]) == ("b", "c")
    assert content["leaks"] == 1


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("nevus", "melanoma", True),
        ("nevus", "nevus", False),
        ("benign_keratosis", "seborrheic_keratosis", False),
        (None, "melanoma", False),
    ],
)
def test_diagnoses_of_two_folders_are_compared_in_common_terms(
    one: str | None, other: str, differ: bool, tmp_path: Path
) -> None:
    first = folder(tmp_path / "1", {"a": 1}, a={"diagnosis": "NV", "diagnosis_common": one})
    second = folder(tmp_path / "2", {"b": 1}, b={"diagnosis": "MEL", "diagnosis_common": other})
    assert audit([first, second])["pairs"][0]["diagnoses_differ"] is differ


def test_of_equal_pictures_none_hides_what_another_says(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", {"a": 1}, a={"diagnosis": None})
    values: dict[str, Any] = {
        "b": {"split": "train", "diagnosis": "MEL"}, "c": {"split": "test", "diagnosis": "NV"},
        "d": {"split": "train", "diagnosis": "MEL"}, "e": {"diagnosis": "NV"},
    }  # fmt: skip
    other = folder(tmp_path / "other", dict.fromkeys(values, 1), **values)
    for tables in ([other], [one, other]):
        pairs = [pair for pair in audit(tables)["pairs"] if not pair["across_folders"]]
        named = {(p["one"]["image_id"], p["other"]["image_id"]): p for p in pairs}
        assert named["b", "c"]["across_splits"]
        assert named["b", "c"]["diagnoses_differ"]
        assert named["b", "e"]["diagnoses_differ"]
        assert not named["b", "e"]["leak"]  # e is in no split yet
        assert sum(p["leak"] for p in pairs) == sum("c" in ids and "e" not in ids for ids in named)


def test_lesions_and_patients_in_two_splits_are_listed_and_not_refused(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "a": {"lesion_id": "L", "split": "train"}, "b": {"lesion_id": "L", "split": "val"},
        "c": {"patient_id": "P", "split": "train"}, "d": {"patient_id": "P", "split": "test"},
    }  # fmt: skip
    seeds = {name: seed for seed, name in enumerate(values)}
    with pytest.raises(LeakError):
        folder(tmp_path, seeds, **values)
    plain = folder(tmp_path, seeds)
    columns = [
        pl.Series(c, [values[n].get(c) for n in seeds], dtype=pl.String) for c in ("split", "patient_id")
    ]
    lesions = pl.Series("lesion_id", [values[n].get("lesion_id", n) for n in seeds])
    content = audit([replace(plain, frame=plain.frame.with_columns(*columns, lesions), leaks=True)])
    assert content["groups_in_two_splits"] == [
        {"folder": str(tmp_path), "column": "lesion_id", "group": "L", "splits": ["train", "val"]},
        {"folder": str(tmp_path), "column": "patient_id", "group": "P", "splits": ["test", "train"]},
    ]
    assert content["leaks"] == 2


def test_bad_files_odd_sizes_and_masks_are_named(tmp_path: Path) -> None:
    seeds = {"good": 1, "cut": 2, "gone": 3, "small": 4, "long": 5, "flat": 6}
    cases = folder(tmp_path, seeds, good={"mask": "m.png"}, small={"mask": "n.png"}, long={"mask": None})
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:99])
    (tmp_path / "gone.png").unlink()
    save(tmp_path / "small.png", smooth_picture(4, (90, 63)))
    save(tmp_path / "long.png", smooth_picture(5, (400, 100)))
    save(tmp_path / "flat.png", np.full((80, 80, 3), 9, dtype=np.uint8))
    save(tmp_path / "m.png", np.full((120, 160), 255, dtype=np.uint8))
    save(tmp_path / "n.png", np.full((63, 91), 255, dtype=np.uint8))
    content = audit([cases])
    assert [each["image_id"] for each in content["unreadable"]] == ["cut", "gone"]
    assert all(each["reason"] and each["path"] for each in content["unreadable"])
    odd = {each["image_id"]: (each["width"], each["height"]) for each in content["odd_sizes"]}
    assert odd == {"small": (90, 63), "long": (400, 100)}
    assert [each["image_id"] for each in content["one_colour"]] == ["flat"]
    (mask,) = content["masks"]
    assert mask["image_id"] == "small"
    assert "expected a mask of 90 x 63 pixels" in mask["reason"]
    assert content["pairs"] == []
    assert content["swapped_views"] is None


def test_counts_are_by_folder_split_and_value_with_the_unknown(tmp_path: Path) -> None:
    cases = folder(
        tmp_path,
        {"a": 1, "b": 2, "c": 3},
        a={"split": "train", "age": 40.0, "sex": "female", "lesion_id": "L"},
        b={"split": "train", "age": 60.0, "sex": "female", "lesion_id": "L", "view": "clinical"},
    )
    content = audit([cases])
    here = {"folder": str(tmp_path)}
    assert content["counts"]["sex"] == [
        here | {"split": None, "value": None, "lesions": 1, "images": 1},
        here | {"split": "train", "value": "female", "lesions": 1, "images": 2},
    ]
    assert content["ages"] == {"known": 2, "unknown": 1, "quartiles": [40.0, 40.0, 60.0, 60.0, 60.0]}
    assert content["lesions"] == 2


def test_the_duplicates_across_the_parts_of_isic_2017_are_found(shared: Path) -> None:
    content = audit([import_cases("isic2017", shared / "data" / "isic2017")])
    leaks = {(p["one"]["image_id"], p["other"]["image_id"]) for p in content["pairs"] if p["leak"]}
    assert leaks == {
        ("ISIC_0012970", "ISIC_0012127"), ("ISIC_0000171", "ISIC_0015124"),
        ("ISIC_0000215", "ISIC_0015313"), ("ISIC_0000157", "ISIC_0014946"),
    }  # fmt: skip
    assert content["unreadable"] == []
