"""Near duplicates: the same picture in other clothes is found, another picture is not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.tables import row, save, smooth_picture, table
from dermapair.data.adapters import import_cases
from dermapair.data.audit import TURNS
from dermapair.data.cases import CaseTable
from dermapair.data.duplicates import (
    ALIKE,
    MAGNITUDES,
    NEIGHBOURS,
    magnitudes,
    near_duplicates,
    registered,
    similar_pictures,
    spectrum,
    turned,
)
from dermapair.data.fingerprints import SIDE


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def pictures(folder: Path, files: dict[str, np.ndarray]) -> CaseTable:
    for name, pixels in files.items():
        save(folder / name, pixels)
    return table([row(name, path=name) for name in files], folder)


def recoloured(pixels: np.ndarray) -> np.ndarray:
    """Return the picture in another tint, paler."""
    return (pixels * [0.55, 0.8, 0.7] + [60, 10, 25]).astype(np.uint8)


def cut(pixels: np.ndarray) -> np.ndarray:
    """Return the picture without a border of 3% on one side and 2% on another."""
    height, width = pixels.shape[:2]
    return pixels[height // 33 :, : width - width // 50]


ORIENTATIONS = [(turns, mirror) for turns in range(4) for mirror in (False, True)]


def oriented(pixels: np.ndarray, turns: int, mirror: bool) -> np.ndarray:
    return np.rot90(pixels[:, ::-1] if mirror else pixels, turns)


def test_a_copy_that_was_compressed_resized_recoloured_or_cut_is_found(tmp_path: Path) -> None:
    one = smooth_picture(1, (160, 120))
    small = np.asarray(Image.fromarray(one).resize((75, 56)))
    cases = pictures(
        tmp_path,
        {
            "one.png": one,
            "other.png": smooth_picture(2, (160, 120)),
            "jpeg.jpg": one,
            "small.png": small,
            "tint.png": recoloured(one),
            "third.png": smooth_picture(3, (160, 120)),
            "cut.png": cut(one),
        },
    )
    of_one = [0, 2, 3, 4, 6]
    assert near_duplicates(cases).pairs == [(i, j) for i in of_one for j in of_one if i < j]


@pytest.mark.parametrize(("turns", "mirror"), ORIENTATIONS)
def test_a_copy_is_found_in_every_orientation_and_the_page_can_say_which(turns: int, mirror: bool) -> None:
    pixels = smooth_picture(5, (160, 120))
    copy = recoloured(oriented(pixels, turns, mirror))
    grey = np.stack([thumbnail(p) for p in (pixels, copy, smooth_picture(6, (160, 120)))])
    found = similar_pictures(grey)
    assert found.rows.tolist() == [[0, 1]]
    assert found.scores[0] > 0.95
    again = turned(grey[1], int(found.turns[0])).astype(float)
    assert np.corrcoef(again.ravel(), grey[0].ravel())[0, 1] > 0.98


def test_the_eight_orientations_are_the_symmetries_of_the_square() -> None:
    picture = np.arange(9).reshape(3, 3)
    made = {turned(picture, turn).tobytes() for turn in range(8)}
    assert made == {np.ascontiguousarray(oriented(picture, *each)).tobytes() for each in ORIENTATIONS}
    named = {0: picture, 1: picture[:, ::-1], 2: picture[::-1], 3: np.rot90(picture, 2)}
    named |= {5: np.rot90(picture, -1), 6: np.rot90(picture)}
    for turn, expected in named.items():
        assert (turned(picture, turn) == expected).all(), TURNS[turn]


def test_magnitudes_do_not_change_with_the_orientation_and_are_never_farther_apart(
    rng: np.random.Generator,
) -> None:
    grey = rng.integers(0, 256, (12, SIDE, SIDE), dtype=np.uint8)
    of = magnitudes(spectrum(grey))
    for turn in range(8):
        again = magnitudes(spectrum(np.stack([turned(one, turn) for one in grey])))
        assert np.allclose(again, of, atol=1e-5)
        low = spectrum(np.stack([turned(one, turn) for one in grey]))[:, :MAGNITUDES, :MAGNITUDES]
        low /= np.linalg.norm(low, axis=(1, 2), keepdims=True)
        first = spectrum(grey)[0, :MAGNITUDES, :MAGNITUDES]
        apart = np.linalg.norm(low - first / np.linalg.norm(first), axis=(1, 2))
        assert (np.linalg.norm(of - of[0], axis=1) <= apart + 1e-5).all()


def test_the_black_corners_of_a_dermoscope_make_no_two_pictures_alike() -> None:
    corners = np.hypot(*(np.mgrid[:120, :160] - np.array([60, 80])[:, None, None])) > 68
    skins = [np.clip(smooth_picture(seed, (160, 120)) // 8 + 170, 0, 255) for seed in (1, 2, 3)]
    grey = np.stack([thumbnail(np.where(corners[..., None], 0, skin).astype(np.uint8)) for skin in skins])
    spectra = spectrum(grey)
    assert (spectra[0] * spectra[1]).sum() > ALIKE  # step 2 alone takes them for one
    assert len(similar_pictures(grey)) == 0


def test_of_many_copies_all_are_linked(rng: np.random.Generator) -> None:
    one = thumbnail(smooth_picture(1, (160, 120))).astype(int)
    n = 3 * NEIGHBOURS
    grey = np.stack([np.clip(one + rng.integers(-3, 4, one.shape), 0, 255) for _ in range(n)])
    found = similar_pictures(grey.astype(np.uint8))
    assert len(found) <= n * NEIGHBOURS
    links = coo_array((np.ones(len(found)), found.rows.T), shape=(n, n))
    assert connected_components(links, directed=False)[0] == 1


def test_of_equal_pictures_the_first_stands_for_all() -> None:
    one, other = (thumbnail(smooth_picture(seed)) for seed in (1, 2))
    found = similar_pictures(np.stack([other, one, one, one, turned(one, 5)]))
    assert found.rows.tolist() == [[1, 2], [1, 3], [1, 4]]
    assert found.scores.tolist()[:2] == [1, 1]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_pictures_make_no_pair(n: int) -> None:
    assert len(similar_pictures(np.full((n, SIDE, SIDE), 7, dtype=np.uint8))) == 0


def test_pictures_that_cannot_be_registered_are_compared_as_they_lie(rng: np.random.Generator) -> None:
    noise = rng.integers(60, 256, (2, SIDE, SIDE), dtype=np.uint8)
    assert abs(registered(*noise, turn=0)) < 0.4
    assert registered(noise[0], noise[0], turn=0) == pytest.approx(1)
    dark = np.zeros((SIDE, SIDE), dtype=np.uint8)
    assert registered(dark, dark, turn=0) == 0


def test_different_pictures_are_no_duplicates(tmp_path: Path) -> None:
    cases = pictures(tmp_path, {f"{i}.png": smooth_picture(i) for i in range(12)})
    assert near_duplicates(cases).pairs == []


def test_unreadable_and_blank_pictures_are_in_no_pair(tmp_path: Path) -> None:
    blank = np.full((40, 50, 3), 90, dtype=np.uint8)
    cases = pictures(tmp_path, {"a.png": blank, "b.png": blank, "c.png": blank, "d.png": blank})
    (tmp_path / "c.png").write_bytes(b"no picture")
    (tmp_path / "d.png").unlink()
    assert near_duplicates(cases).pairs == []


def test_the_known_pair_across_the_parts_of_isic_2017_is_found(shared: Path) -> None:
    cases = import_cases("isic2017", shared / "data" / "isic2017")
    known = pl.col("image_id").is_in(["ISIC_0012970", "ISIC_0012127"])
    frame = pl.concat([cases.frame.filter(known), cases.frame.filter(~known)[::37]])
    assert len(frame) == 61
    subset = CaseTable(frame, cases.root, cases.diagnoses, cases.manifest)
    assert sorted(frame["split"][:2]) == ["train", "val"]
    assert near_duplicates(subset).pairs == [(0, 1)]
