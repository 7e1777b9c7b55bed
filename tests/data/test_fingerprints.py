"""What an audit keeps of each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.tables import folder_of_pictures, row, save, smooth_picture, table
from dermapair.data.fingerprints import COLOUR_SIDE, SIDE, fingerprints, thumbnails


def test_the_same_pixels_have_one_digest_whatever_the_file(tmp_path: Path) -> None:
    pixels = smooth_picture(1)
    save(tmp_path / "a.png", pixels)
    save(tmp_path / "b.tif", pixels)
    save(tmp_path / "c.png", pixels.reshape(pixels.shape[1], pixels.shape[0], 3))  # same bytes, other shape
    pixels = pixels.copy()
    pixels[0, 0, 0] ^= 1
    save(tmp_path / "d.png", pixels)
    found = fingerprints(table([row(n, path=n) for n in ("a.png", "b.tif", "c.png", "d.png")], tmp_path))
    assert found.digests[0] == found.digests[1]
    assert len(set(found.digests)) == 3
    assert found.sizes.tolist() == [[64, 48], [64, 48], [48, 64], [64, 48]]
    assert found.errors == (None,) * 4


def test_an_image_that_cannot_be_read_keeps_its_place_and_its_reason(tmp_path: Path) -> None:
    cases = folder_of_pictures(tmp_path, 3)
    (tmp_path / "i1.png").write_bytes((tmp_path / "i1.png").read_bytes()[:60])
    seen = []
    found = fingerprints(cases, progress=lambda done, total: seen.append((done, total)))
    assert [error is None for error in found.errors] == [True, False, True]
    assert found.digests[1] is None
    assert not found.grey[1].any()
    assert not found.sizes[1].any()
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_thumbnails_are_the_whole_image_squashed(tmp_path: Path) -> None:
    halves = np.zeros((200, 300, 3), dtype=np.uint8)
    halves[:, 150:] = [255, 0, 0]
    save(tmp_path / "a.png", halves)
    cases = table([row("a.png", path="a.png"), row("gone")], tmp_path)
    found = fingerprints(cases)
    assert found.grey.shape == (2, SIDE, SIDE)
    assert (found.grey[0, :, : SIDE // 2] == 0).all()
    assert (found.grey[0, :, SIDE // 2 :] == 76).all()  # of red, by ITU-R BT.601
    assert (found.colour[0, :, COLOUR_SIDE // 2 :] == [255, 0, 0]).all()
    grey, unreadable = thumbnails(cases)
    assert (grey == found.grey).all()
    assert unreadable == [1]
