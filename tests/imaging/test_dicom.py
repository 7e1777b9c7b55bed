"""DICOM files: what the corpus does not hold. Its kinds of good and bad files are in `dicom_files`."""

from __future__ import annotations

import builtins
import io
import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dermapair.errors import ImageError, MissingExtraError
from dermapair.imaging.dicom import PHOTOGRAPHS
from dermapair.imaging.hair.files import clean_files
from dermapair.imaging.read import image_size, read_image
from imaging import dicom_files
from imaging.dicom_files import BIG, EXPLICIT, IMPLICIT, J2K, JPEG, PATIENT, RLE, dicom
from imaging.writers import assert_contract, encode, picture, swapped_profile

SMALL = np.ascontiguousarray(picture()[10:34, 10:42])
NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def reason_of(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(data)
    return caught.value.reason


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, RLE, J2K])
def test_a_lossless_file_gives_what_a_png_of_the_same_pixels_gives(syntax: str) -> None:
    rng = np.random.default_rng(1)
    for height, width in ((24, 32), (7, 5), (1, 9), (9, 1)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        png = encode(pixels, "PNG", icc_profile=swapped_profile())
        photometric = "YBR_RCT" if syntax == J2K else "RGB"
        file = dicom(pixels, photometric, syntax=syntax, ICCProfile=swapped_profile())
        np.testing.assert_array_equal(read_image(file), read_image(png))


@pytest.mark.parametrize("kind", PHOTOGRAPHS)
def test_every_kind_of_photograph_is_read(kind: str) -> None:
    np.testing.assert_array_equal(read_image(dicom(SMALL, kind=kind)), SMALL)


def test_the_kinds_are_named_as_the_standard_names_them() -> None:
    from pydicom.uid import UID

    assert {uid: UID(uid).name for uid in PHOTOGRAPHS} == PHOTOGRAPHS


def test_a_jpeg_is_decoded_as_the_jpeg_alone_is() -> None:
    jpeg = encode(SMALL, "JPEG", quality=75, subsampling=1)
    file = dicom(jpeg, "YBR_FULL_422", syntax=JPEG, size=(32, 24))
    np.testing.assert_array_equal(read_image(file), read_image(jpeg))
    np.testing.assert_array_equal(read_image(file, min_side=3), read_image(jpeg))


def test_the_name_decides_nothing_and_a_jpeg_with_the_letters_dicm_is_a_jpeg(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(dicom(SMALL))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), SMALL)
    comment = encode(SMALL, "JPEG", comment=b"x" * 200)
    at = comment.index(b"x" * 100)
    letters = comment[:128] + b"DICM" + comment[132:]
    assert at < 128
    np.testing.assert_array_equal(read_image(letters), read_image(encode(SMALL, "JPEG")))


def test_size_needs_only_the_header() -> None:
    whole = dicom(SMALL)
    for data in (whole, whole[: -SMALL.size]):
        assert image_size(data) == (32, 24)
    with pytest.raises(ImageError, match="expected at most 767 pixels, got 32 x 24"):
        image_size(whole, max_pixels=767)


def files() -> Iterator[bytes]:
    for makers in (dicom_files.good, dicom_files.bad):
        yield from (data for _, data, *_ in makers())


def said_of(data: bytes) -> str:
    """Return all that reading a file says: its error, warnings and log."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read_image(data)
        error = ""
    except ImageError as refusal:
        error = str(refusal)
    finally:
        logging.getLogger().removeHandler(handler)
    return "\n".join([error, *(str(w.message) for w in caught), log.getvalue()])


PLANTED = [word.casefold() for name in PATIENT for word in (name, *name.split("^"))[:3] if len(word) > 2]


@given(draw=st.data())
def test_nothing_of_the_patient_is_ever_said(draw: st.DataObject) -> None:
    """Neither of good and bad files, nor of damaged ones, where a value may lie in any element."""
    data = bytearray(draw.draw(st.sampled_from(ALL)))
    header = data[: data.find(b"\xe0\x7f\x10\x00") + 1 or len(data)]
    for place, value in draw.draw(
        st.lists(st.tuples(st.integers(0, len(header) - 1), st.binary(max_size=4)))
    ):
        data[place : place + len(value)] = value
    if draw.draw(st.booleans()) and len(data) > 400:  # the name where another element's value is
        place = draw.draw(st.integers(132, len(header) - 20))
        data[place : place + 17] = b"Quintessa^Planted"
    said = said_of(bytes(data)).casefold()
    assert not [word for word in PLANTED if word in said]


ALL = list(files())


def test_pydicoms_warnings_stay_inside() -> None:
    """A wrong character set is common, and pydicom warns of it; here warnings are errors."""
    data = dicom(SMALL, SpecificCharacterSet="ISO_IR 100").replace(b"ISO_IR 100", b"Quintessa1")
    np.testing.assert_array_equal(read_image(data), SMALL)
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(read_image, [data] * 40):
            np.testing.assert_array_equal(pixels, SMALL)
    assert warnings.filters == before


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, RLE, J2K, JPEG])
def test_a_file_cut_anywhere_is_refused(syntax: str) -> None:
    photometric = {J2K: "YBR_RCT", JPEG: "YBR_FULL_422"}.get(syntax, "RGB")
    data = dicom(NOISE, photometric, syntax=syntax)
    for length in range(132, len(data) - 1, 13):
        assert "expected" in reason_of(data[:length])


def test_a_length_that_the_file_does_not_have_is_not_believed() -> None:
    """An element of 3 GiB ahead of the pixels is refused before room is made for it."""
    data = dicom(SMALL, ICCProfile=swapped_profile())
    at = data.index(b"\x28\x00\x00\x20OB\0\0") + 8
    assert "cut short or damaged" in reason_of(data[:at] + (3 * 2**30).to_bytes(4, "little") + data[at + 4 :])


def test_without_pydicom_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == "pydicom":
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for read in (read_image, image_size):
        with pytest.raises(
            MissingExtraError, match=r"^lesion 3: expected pydicom.*pip install 'dermapair\[di"
        ):
            read(dicom_files_made_before, name="lesion 3")
    np.testing.assert_array_equal(read_image(encode(SMALL, "PNG")), SMALL)


dicom_files_made_before = dicom(SMALL)


@given(draw=st.data())
@pytest.mark.filterwarnings("ignore:::PIL")
def test_a_damaged_file_is_read_or_refused_and_nothing_else(draw: st.DataObject) -> None:
    data = bytearray(draw.draw(st.sampled_from(ALL)))
    for place, value in draw.draw(
        st.lists(st.tuples(st.integers(132, 900), st.integers(0, 255)), max_size=6)
    ):
        if place < len(data):
            data[place] = value
    try:
        pixels = read_image(bytes(data), max_pixels=1_000_000)
    except ImageError as error:
        assert str(error).startswith("image: ")
    else:
        assert_contract(pixels)


def test_hair_takes_a_folder_of_dicom_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(dicom(picture()))
    (tmp_path / "in" / "b.dcm").write_bytes(dicom(picture())[:-9])
    done = clean_files(tmp_path / "in", tmp_path / "out", method="dullrazor")
    assert list(done["images"]) == ["a"] and [name for name, _ in done["errors"]] == ["b.dcm"]
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (64, 48) and not image.info
    assert not any(word.encode() in (tmp_path / "out" / "a.png").read_bytes() for word in PATIENT)
