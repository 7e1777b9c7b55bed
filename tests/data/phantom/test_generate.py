"""Whole phantom sets: files, rows, manifest, and the same bytes whatever the number of lesions or workers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dermapair.data.phantom import PHANTOM, bayes_accuracies, cancer_bayes_accuracies, generate
from dermapair.errors import UsageError

COLUMNS = {"image_id", "lesion_id", "patient_id", "view", "path", "diagnosis", "split"}
COLUMNS |= {"age", "sex", "site", "skin_tone", "source", "license"}
SIZE = 64


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = generate(tmp_path / "a", lesions=3, seed=5, size_px=SIZE)
    assert generate(tmp_path / "b", lesions=3, seed=5, size_px=SIZE) == first
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    generate(tmp_path / "c", lesions=3, seed=6, size_px=SIZE)
    assert _files(tmp_path / "a") != _files(tmp_path / "c")


def test_a_lesion_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few, _ = generate(tmp_path / "few", lesions=4, seed=0, size_px=SIZE)
    many, _ = generate(tmp_path / "many", lesions=10, seed=0, size_px=SIZE)
    assert many[:8] == few
    files = _files(tmp_path / "few")
    assert {name: data for name, data in _files(tmp_path / "many").items() if name in files} == files


def test_workers_change_nothing(tmp_path: Path) -> None:
    alone = generate(tmp_path / "one", lesions=3, seed=2, size_px=SIZE)
    assert generate(tmp_path / "two", lesions=3, seed=2, size_px=SIZE, workers=2) == alone
    assert _files(tmp_path / "one") == _files(tmp_path / "two")


def test_rows_name_every_file_and_hold_the_case_tables_columns(tmp_path: Path) -> None:
    rows, _ = generate(tmp_path, lesions=2, seed=0, size_px=SIZE)
    extra = [f"attribute_{a.name}" for a in PHANTOM.attributes] + ["mask", "hair_mask"]
    assert all(set(row) == COLUMNS.union(extra) for row in rows)
    named = {row[column] for row in rows for column in ("path", "mask", "hair_mask")}
    assert named == set(_files(tmp_path))
    assert [row["view"] for row in rows] == ["clinical", "dermoscopic"] * 2
    assert {(row["split"], row["source"], row["license"]) for row in rows} == {(None, "phantom", "CC0-1.0")}


def test_masks_lie_beside_the_images_in_their_size_with_255_inside(tmp_path: Path) -> None:
    rows, _ = generate(tmp_path, lesions=1, seed=0, size_px=SIZE)
    for row in rows:
        assert row["path"] == f"images/{row['image_id']}.jpg"
        assert row["mask"] == f"masks/{row['image_id']}_lesion.png"
        mask = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask.shape == cv2.imread(str(tmp_path / row["path"])).shape[:2] == (64, 85)
        assert set(np.unique(mask)) == {0, 255}


def test_a_patient_has_one_to_three_lesions_and_one_skin(tmp_path: Path) -> None:
    rows, _ = generate(tmp_path, lesions=24, seed=1, size_px=SIZE)
    patients: dict[str, set[tuple[object, ...]]] = {}
    lesions: dict[str, set[str]] = {}
    for row in rows:
        patients.setdefault(row["patient_id"], set()).add((row["age"], row["sex"], row["skin_tone"]))
        lesions.setdefault(row["patient_id"], set()).add(row["lesion_id"])
    assert all(len(facts) == 1 for facts in patients.values())
    assert {len(ids) for ids in lesions.values()} == {1, 2, 3}
    assert {row["skin_tone"] for row in rows} <= set(range(1, 7))


def test_the_manifest_holds_the_world_and_survives_json(tmp_path: Path) -> None:
    _, manifest = generate(tmp_path, lesions=1, seed=3, size_px=SIZE)
    assert json.loads(json.dumps(manifest)) == manifest
    assert manifest["bayes_accuracy"] == bayes_accuracies()
    assert manifest["cancer_bayes_accuracy"] == cancer_bayes_accuracies()
    assert list(manifest["world"]) == [d.code for d in PHANTOM.diagnoses]
    assert manifest["world"]["scc"] == {"name": "Squamous Cell Carcinoma", "prior": 0.07, "cancer": True}
    assert manifest["attributes"]["surface"] == {
        "values": ["smooth", "scaly", "crusted"],
        "views": ["clinical"],
    }
    assert manifest["lesion_ids"] == "lesion"
    assert manifest["phantom"] == {"lesions": 1, "seed": 3, "size_px": SIZE}


@pytest.mark.parametrize(
    ("lesions", "seed", "size_px", "message"),
    [
        (0, 0, 64, "lesions must be at least 1, got 0"),
        (1, -1, 64, "seed must be at least 0, got -1"),
        (1, 0, 63, "size_px must be at least 64, got 63"),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, lesions: int, seed: int, size_px: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        generate(tmp_path, lesions=lesions, seed=seed, size_px=size_px)
    assert not list(tmp_path.iterdir())
