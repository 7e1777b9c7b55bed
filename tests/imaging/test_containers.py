"""Pictures inside HDF5 files: found, read as files are, or refused by name."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from dermapair.errors import ImageError
from dermapair.imaging import containers
from dermapair.imaging.read import image_size, read_image


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (7, 5), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "images.hdf5"
    with h5py.File(path, "w") as held:
        held["opaque"] = np.void(png(1))
        held["bytes"] = np.frombuffer(png(2), dtype=np.uint8)
        held["fixed"] = np.bytes_(png(3))
        held.create_dataset("variable", (), dtype=h5py.vlen_dtype(np.uint8))
        held["variable"][()] = np.frombuffer(png(4), dtype=np.uint8)
        held["group/inner"] = np.void(png(5))
        held["pixels"] = np.zeros((5, 7, 3), dtype=np.uint8)
        held["numbers"] = np.zeros(9)
        held["text"] = np.void(b"no picture")
    return path


@pytest.mark.parametrize(
    ("key", "value"), [("opaque", 1), ("bytes", 2), ("fixed", 3), ("variable", 4), ("group/inner", 5)]
)
def test_a_picture_is_read_as_if_its_key_were_a_file(file: Path, key: str, value: int) -> None:
    image = read_image(file / key)
    assert image.shape == (5, 7, 3)
    assert (image == (value, 0, 0)).all()
    assert image_size(str(file / key)) == (7, 5)


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("nothing", "under 'nothing', got no such key; check the key"),
        ("group", "under 'group', got a group"),
        ("pixels", r"got an array of shape \(5, 7, 3\) and type uint8"),
        ("numbers", r"got an array of shape \(9,\) and type float64"),
        ("text", "expected a JPEG, PNG, TIFF, BMP, WebP or DICOM picture"),
        ("opaque/deeper", "HDF5 file|no such key"),
    ],
)
def test_what_is_no_picture_file_is_refused_by_name(file: Path, key: str, match: str) -> None:
    with pytest.raises(ImageError, match=match) as caught:
        read_image(file / key)
    assert caught.value.source == str(file / key)


def test_a_huge_value_is_refused_before_it_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match=r"got \d+ bytes, more than 10"):
        read_image(file / "opaque")


def test_only_a_path_below_an_hdf5_file_leads_into_one(file: Path) -> None:
    folder = file.parent / "folder.h5"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(9))
    assert containers.inside(file / "group" / "inner") == (file, "group/inner")
    assert containers.inside(file) is None
    assert containers.inside(folder / "a.png") is None
    assert read_image(folder / "a.png")[0, 0, 0] == 9
    assert containers.file_of(file / "opaque") == file
    assert containers.file_of(folder / "a.png") == folder / "a.png"


def test_an_hdf5_file_in_a_folder_called_like_one_is_found(file: Path) -> None:
    folder = file.parent / "outer.h5" / "inner.HDF5"
    folder.mkdir(parents=True)
    moved = file.rename(folder / "images.h5")
    assert containers.inside(moved / "group" / "x.h5" / "y") == (moved, "group/x.h5/y")
    assert containers.is_there(moved / "opaque") and not containers.is_there(moved / "nothing")
    assert read_image(moved / "opaque")[0, 0, 0] == 1
    assert containers.inside(moved) is None


def test_many_threads_read_from_one_handle(file: Path) -> None:
    containers._open.cache_clear()
    wanted = ["opaque", "bytes", "fixed", "group/inner"] * 100
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda key: int(read_image(file / key)[0, 0, 0]), wanted))
    assert values == [1, 2, 3, 5] * 100
    assert containers._open.cache_info().currsize == 1


def test_a_changed_file_is_opened_anew(file: Path) -> None:
    assert read_image(file / "opaque")[0, 0, 0] == 1
    other = file.with_name("other.hdf5")
    with h5py.File(other, "w") as held:
        held["opaque"] = np.void(png(8))
    os.replace(other, file)
    assert read_image(file / "opaque")[0, 0, 0] == 8
