"""The pixel store: equal to the files, listing what is bad, resumable, and never stale."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from data.tables import folder_of_pictures, row, save, smooth_picture, table
from dermapair.config import DataSettings
from dermapair.data import store as store_module
from dermapair.data.cases import CaseTable, write_cases
from dermapair.data.store import (
    FileSource,
    Store,
    open_pixels,
    open_store,
    prepare,
    store_key,
    unreadable,
    with_refused_hair,
)
from dermapair.errors import DermapairError, ImageError
from dermapair.imaging.hair import METHODS, remove_hair
from dermapair.imaging.square import make_square
from imaging.corpus import make_corpus
from imaging.hair.drawn import hairy, skin

CROP = DataSettings(size=24, input=20)
SQUASH = DataSettings(size=24, input=20, fit="squash")


@pytest.fixture
def cases(tmp_path: Path) -> CaseTable:
    return write_cases(folder_of_pictures(tmp_path / "images", 7), tmp_path / "cases")


def pixels_of(store: Store) -> np.ndarray:
    return np.array(store.pixels)


@pytest.mark.parametrize("settings", [CROP, SQUASH], ids=["crop", "squash"])
def test_squares_and_their_places_are_those_made_from_the_files(
    cases: CaseTable, settings: DataSettings
) -> None:
    made, files = prepare(cases, settings, workers=2), FileSource(cases, settings)
    for i in range(7):
        np.testing.assert_array_equal(made.square(i), files.square(i))
        stored, read = made.square_map(i), files.square_map(i)
        np.testing.assert_array_equal(stored.matrix, read.matrix)
        assert (
            (stored.source_size, stored.size)
            == (read.source_size, read.size)
            == (
                (41 + 7 * i, 33 + 5 * (i % 3)),
                (24, 24),
            )
        )


def test_hair_is_removed_from_the_original_in_stores_and_files_alike(tmp_path: Path) -> None:
    save(tmp_path / "a.png", hairy()[0])
    cases = write_cases(table([row("a")], tmp_path), tmp_path / "cases")
    shaved = CROP.model_copy(update={"hair": "oriented"})
    expected = make_square(remove_hair(hairy()[0], "oriented").image, side=24, fit="crop")
    np.testing.assert_array_equal(prepare(cases, shaved).square(0), expected)
    np.testing.assert_array_equal(FileSource(cases, shaved).square(0), expected)
    assert (prepare(cases, CROP).square(0) != expected).any()


def test_images_whose_hair_was_left_are_listed(tmp_path: Path) -> None:
    stripes = skin()
    stripes[:, ::4] = stripes[:, 1::4] = 20
    save(tmp_path / "striped.png", stripes)
    save(tmp_path / "smooth.png", skin())
    cases = write_cases(table([row("striped"), row("smooth")], tmp_path), tmp_path / "cases")
    made = prepare(cases, CROP.model_copy(update={"hair": "blackhat"}))
    assert with_refused_hair(made) == ["striped"]
    np.testing.assert_array_equal(made.square(0), make_square(stripes, side=24, fit="crop"))
    assert with_refused_hair(prepare(cases, CROP)) == []


def test_every_method_of_hair_removal_can_be_set() -> None:
    assert set(get_args(DataSettings.model_fields["hair"].annotation)) == {"none", *METHODS}


def test_a_finished_store_is_opened_and_read_only(cases: CaseTable) -> None:
    assert open_store(cases, CROP) is None
    assert isinstance(open_pixels(cases, CROP), FileSource)
    made = prepare(cases, CROP)
    assert isinstance(open_pixels(cases, CROP), Store)
    assert not (made.folder / "parts").exists()
    assert made.index["image_id"].to_list() == [f"i{i}" for i in range(7)]
    with pytest.raises(ValueError, match="read-only"):
        made.square(0)[0, 0] = 1


def test_the_size_of_the_networks_input_does_not_ask_for_another_store(cases: CaseTable) -> None:
    made = prepare(cases, CROP)
    assert prepare(cases, CROP.model_copy(update={"input": 24})).folder == made.folder


@pytest.mark.parametrize(
    "change", [{"size": 25}, {"fit": "squash"}, {"max_pixels": 1000}, {"hair": "dullrazor"}], ids=str
)
def test_a_setting_that_changes_a_pixel_makes_another_store(
    cases: CaseTable, change: dict[str, object]
) -> None:
    made = prepare(cases, CROP)
    other = DataSettings.model_validate({**CROP.model_dump(), **change})
    assert open_store(cases, other) is None
    assert prepare(cases, other).folder != made.folder


def test_a_source_file_that_changed_makes_another_store(cases: CaseTable) -> None:
    made = prepare(cases, CROP)
    stale = np.array(made.square(2))
    save(cases.path(2), smooth_picture(99))
    assert open_store(cases, CROP) is None
    again = prepare(cases, CROP)
    assert not np.array_equal(again.square(2), stale)
    np.testing.assert_array_equal(again.square(2), FileSource(cases, CROP).square(2))
    np.testing.assert_array_equal(again.square(3), made.square(3))


def test_a_touched_or_missing_file_changes_the_key(cases: CaseTable) -> None:
    keys = [store_key(cases, CROP)]
    os.utime(cases.path(0), ns=(1, 1))
    keys.append(store_key(cases, CROP))
    cases.path(0).unlink()
    keys.append(store_key(cases, CROP))
    assert len(set(keys)) == 3


@pytest.mark.filterwarnings("ignore:::PIL")  # Pillow's, about damaged metadata
def test_bad_images_are_listed_by_name_and_never_handed_out(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    corpus = make_corpus(tmp_path / "images")
    rows = [row(f"n{i}", path=case.kind) for i, case in enumerate(corpus)]
    made = prepare(write_cases(table(rows, tmp_path / "images"), tmp_path / "cases"), CROP)
    listed = dict(unreadable(made))
    assert sorted(listed) == sorted(f"n{i}" for i, case in enumerate(corpus) if not case.good)
    assert json.loads((made.folder / "manifest.json").read_text())["unreadable"] == len(listed)
    for i, case in enumerate(corpus):
        if case.good:
            assert made.square(i).shape == (24, 24, 3)
        else:
            assert case.kind in listed[f"n{i}"]
            with pytest.raises(ImageError, match=f"^n{i}: .*{case.kind}"):
                made.square(i)


class Interrupted(Exception):
    pass


def stop_after(images: int) -> object:
    def progress(done: int, total: int) -> None:
        if done >= images:
            raise Interrupted

    return progress


def test_an_interrupted_preparation_goes_on_and_equals_a_whole_one(
    cases: CaseTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pixels_of(prepare(cases, CROP))
    fresh = write_cases(cases, tmp_path / "again")
    monkeypatch.setattr(store_module, "CHUNK", 2)
    with pytest.raises(Interrupted):
        prepare(fresh, CROP, progress=stop_after(4))
    assert open_store(fresh, CROP) is None, "half-made is not finished"

    read, read_square = [], store_module.read_square

    def watched(cases: CaseTable, row: int, *rest: object) -> object:
        read.append(cases.path(row).name)
        return read_square(cases, row, *rest)

    monkeypatch.setattr(store_module, "read_square", watched)
    steps: list[tuple[int, int]] = []
    made = prepare(fresh, CROP, progress=lambda done, total: steps.append((done, total)))
    assert sorted(read) == ["i4.png", "i5.png", "i6.png"], "the first two parts are not made again"
    assert steps == [(2, 7), (4, 7), (6, 7), (7, 7)]
    np.testing.assert_array_equal(pixels_of(made), whole)
    assert made.index["image_id"].to_list() == [f"i{i}" for i in range(7)]


def test_a_part_that_was_broken_off_is_made_again(
    cases: CaseTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pixels_of(prepare(cases, CROP))
    fresh = write_cases(cases, tmp_path / "again")
    monkeypatch.setattr(store_module, "CHUNK", 3)
    read_square = store_module.read_square

    def breaks(cases: CaseTable, row: int, *rest: object) -> object:
        if cases.path(row).name == "i4.png":
            raise Interrupted
        return read_square(cases, row, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "read_square", breaks)
        with pytest.raises(Interrupted):
            prepare(fresh, CROP, workers=1)
    np.testing.assert_array_equal(pixels_of(prepare(fresh, CROP)), whole)


def test_a_disk_without_room_is_refused_before_anything_is_decoded(
    cases: CaseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DermapairError, match=r"pixels\.npy: expected room for .*No space left.*free space"):
        prepare(cases, CROP)
    assert not list((cases.folder or Path()).rglob("pixels.npy"))
    monkeypatch.undo()
    assert len(prepare(cases, CROP).index) == len(cases.frame)
