"""A damaged file is read or refused with an ImageError; a file cut short is always refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermapair.errors import ImageError
from dermapair.imaging.read import read_image
from imaging import writers
from imaging.writers import as_stored, assert_contract, encode, exif, picture

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
WHOLE = {
    "baseline": encode(NOISE, "JPEG"),
    "progressive": encode(NOISE, "JPEG", progressive=True),
    "restarts": encode(NOISE, "JPEG", restart_marker_blocks=2),
    "png": encode(NOISE, "PNG"),
    "16-bit png": writers.png(writers.deep()[..., [0, 3]], 4),
    "bmp": encode(NOISE, "BMP"),
    "tiff": encode(NOISE, "TIFF"),
    "lzw tiff": encode(NOISE, "TIFF", compression="tiff_lzw"),
    "16-bit tiff": writers.tiff(writers.deep()[..., :3], 2),
    "webp": encode(NOISE, "WEBP"),
}
AFTER_THE_PIXELS = 24
"""Bytes at the end that a PNG's checksum and end marker or a TIFF's last tag take: pixels may be whole."""


@pytest.mark.parametrize("kind", WHOLE)
def test_file_cut_at_any_place_is_refused(kind: str) -> None:
    data = WHOLE[kind]
    for length in range(0, len(data) - AFTER_THE_PIXELS, max(1, len(data) // 60)):
        with pytest.raises(ImageError, match="expected"):
            read_image(data[:length])


@pytest.mark.parametrize("kind", ["baseline", "restarts"])
def test_jpeg_cut_anywhere_and_closed_again_is_refused(kind: str) -> None:
    data = WHOLE[kind]
    last_blocks = (len(data) - data.index(b"\xff\xda")) // 5  # of 12 blocks
    for length in range(0, len(data) - last_blocks, 20):
        with pytest.raises(ImageError, match="expected"):
            read_image(data[:length] + b"\xff\xd9")


SMALL = {
    kind: encode(np.ascontiguousarray(as_stored(picture()[:16, :20], 6)), kind, exif=exif(6))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF")
}


@pytest.mark.filterwarnings("ignore:::PIL")  # Pillow's, about damaged metadata
@pytest.mark.parametrize("kind", SMALL)
@given(draw=st.data())
def test_damaged_file_is_read_or_refused_and_nothing_else(kind: str, draw: st.DataObject) -> None:
    data = bytearray(SMALL[kind])
    places = st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255))
    for place, value in draw.draw(st.lists(places, max_size=6)):
        data[place] = value
    damaged = bytes(data[: draw.draw(st.integers(0, len(data)))]) if draw.draw(st.booleans()) else bytes(data)
    try:
        pixels = read_image(damaged, max_pixels=1_000_000)
    except ImageError as error:
        assert str(error).startswith("image: ")
    else:
        assert_contract(pixels)
