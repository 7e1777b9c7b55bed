"""The ISIC 2024 adapter, on tiny copies of Kaggle's and the challenge page's layouts."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from data.adapters.fake_isic2024 import PEOPLE, write_challenge, write_hdf5, write_isic2024
from dermapair.config import DataSettings
from dermapair.data.adapters import import_cases
from dermapair.data.cases import write_cases
from dermapair.data.store import prepare, store_key, unreadable
from dermapair.errors import ImageError, MissingExtraError, MissingFilesError, TableError
from dermapair.imaging import containers

SETTINGS = DataSettings(size=32, input=32)


@pytest.mark.parametrize("images", ["folder", "hdf5"])
def test_rows_are_clinical_with_patient_licence_and_measures(tmp_path: Path, images: str) -> None:
    table = import_cases("isic2024", write_isic2024(tmp_path, images=images))
    folder, ending = ("train-image/image", ".jpg") if images == "folder" else ("train-image.hdf5", "")
    assert table.frame.select("image_id", "lesion_id", "path", "diagnosis", "split").rows() == [
        ("ISIC_0015670", "ISIC_0015670", f"{folder}/ISIC_0015670{ending}", "benign", None),
        ("ISIC_0015845", "IL_6727506", f"{folder}/ISIC_0015845{ending}", "malignant", None),
        ("ISIC_0015864", "ISIC_0015864", f"{folder}/ISIC_0015864{ending}", "benign", None),
        ("ISIC_0015657", "ISIC_0015657", "test-image.hdf5/ISIC_0015657", None, "test"),
    ]
    assert table.frame["view"].unique().to_list() == ["clinical"]
    assert table.frame.select("patient_id", "age", "sex", "site", "license").row(2) == (
        "IP_6724798", None, None, None, "CC-BY-NC",
    )  # fmt: skip
    assert table.frame["tbp_lv_A"].to_list() == [20.24, 31.7, 22.57, 22.8]
    assert table.frame["tbp_lv_location"][0] == "Right Leg - Upper"
    assert table.frame["mel_thick_mm"].to_list() == [None, 0.4, None, None]
    assert table.diagnoses == ("benign", "malignant")


def test_the_challenge_page_gives_the_same_rows_as_kaggle(tmp_path: Path) -> None:
    kaggle = import_cases("isic2024", write_isic2024(tmp_path / "a")).frame.head(3)
    page = import_cases("isic2024", write_challenge(tmp_path / "b")).frame
    same = [name for name in kaggle.columns if name not in ("path", "target")]
    assert page.select(same).equals(kaggle.select(same))
    assert page["malignant"].to_list() == [0, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("0015845,1,", "0015845,2,", r"row 2 \(ISIC_0015845\): expected a target of 0, 1, got '2'"),
        ("20.24", "x", "row 1: expected a number in tbp_lv_A, got 'x'"),
        ("target", "goal", "lacks the columns target"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(tmp_path: Path, old: str, new: str, match: str) -> None:
    path = write_isic2024(tmp_path) / "train-metadata.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("isic2024", tmp_path)


def test_missing_keys_are_listed_and_a_folder_fills_what_the_file_lacks(tmp_path: Path) -> None:
    root = write_isic2024(tmp_path, images="hdf5")
    (first, *rest) = PEOPLE
    write_hdf5(root / "train-image.hdf5", rest)
    with pytest.raises(MissingFilesError, match="1 files") as caught:
        import_cases("isic2024", root)
    assert caught.value.paths == (f"train-image/image/{first}.jpg",)
    (root / "train-image").mkdir()
    (root / "train-image" / f"{first}.jpg").touch()
    assert import_cases("isic2024", root).frame["path"].to_list()[:2] == [
        f"train-image/{first}.jpg",
        f"train-image.hdf5/{rest[0]}",
    ]


def test_pictures_in_an_hdf5_file_give_the_same_store_as_files(tmp_path: Path) -> None:
    stores = []
    for images in ("folder", "hdf5"):
        table = import_cases("isic2024", write_isic2024(tmp_path / images, images=images))
        stores.append(prepare(write_cases(table, tmp_path / f"{images}-cases"), SETTINGS, workers=4))
    files, hdf5 = stores
    assert not list(unreadable(hdf5))
    assert hdf5.index["width"].to_list() == [40] * 4
    assert np.array_equal(files.pixels, hdf5.pixels)
    assert hdf5.pixels.std() > 10


def test_the_key_of_a_store_follows_the_hdf5_file(tmp_path: Path) -> None:
    root = write_isic2024(tmp_path, images="hdf5")
    table = import_cases("isic2024", root)
    before = store_key(table, SETTINGS)
    assert store_key(table, SETTINGS) == before
    containers._open.cache_clear()  # HDF5 opens a file to write only if nobody reads it
    with h5py.File(root / "train-image.hdf5", "a") as file:
        file["more"] = np.void(b"more")
    assert store_key(table, SETTINGS) != before


def test_one_bad_picture_costs_only_itself(tmp_path: Path) -> None:
    root = write_isic2024(tmp_path / "set", images="hdf5")
    table = write_cases(import_cases("isic2024", root), tmp_path / "cases")
    containers._open.cache_clear()
    with h5py.File(root / "train-image.hdf5", "a") as file:
        del file["ISIC_0015845"]
        file["ISIC_0015845"] = np.void(b"\xff\xd8\xff cut short")
    ((image, reason),) = unreadable(prepare(table, SETTINGS))
    assert image == "ISIC_0015845" and "train-image.hdf5/ISIC_0015845" in reason


def test_a_damaged_hdf5_file_is_refused_by_name(tmp_path: Path) -> None:
    root = write_isic2024(tmp_path, images="hdf5")
    (root / "train-image.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(ImageError, match=r"train-image\.hdf5: expected an HDF5 file, got one that cannot be"):
        import_cases("isic2024", root)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_isic2024(tmp_path, images="hdf5")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    containers._open.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'dermapair\[sets\]'"):
        import_cases("isic2024", root)


def test_a_test_patient_that_is_in_training_is_no_leak_before_a_split(tmp_path: Path) -> None:
    path = write_isic2024(tmp_path) / "test-metadata.csv"
    path.write_text(path.read_text().replace("IP_6074337", "IP_1235828"))
    frame = import_cases("isic2024", tmp_path).frame
    assert frame.filter(pl.col("patient_id") == "IP_1235828")["split"].to_list() == [None, "test"]
