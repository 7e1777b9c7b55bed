"""The one reader of pictures: every command and the Python API get their pixels here.

A picture comes out as C-contiguous, writable H x W x 3 uint8 RGB, upright, in sRGB, over white; or it is
refused with an ImageError that names the file and the reason. Nothing of its metadata (EXIF, GPS, patient) is
returned. No setting of Pillow is changed, so threads and processes may read at the same time. Pillow's
warnings about damaged metadata reach the caller. The types are in `formats` and `dicom`, what becomes of the
pixels in `deep` and `colour`.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from dermapair.errors import ImageError, UsageError
from dermapair.imaging import colour, containers, deep, formats, jpeg

DEFAULT_MAX_PIXELS = 89_478_485
"""Largest width x height read by default: 268 MB as RGB. Pillow's own, which TIFF and WebP keep besides."""


def read_image(
    source: str | Path | bytes | BinaryIO,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    min_side: int | None = None,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Read a JPEG, PNG, TIFF, BMP, WebP or DICOM picture, whatever its name says it is.

    Args:
        source: path, the file's bytes, or a binary file, which is read from where it stands to its end.
        max_pixels: largest width x height, checked on the header before a pixel is decoded.
        min_side: where a much smaller picture is needed, lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its
            size, which is faster; its short side stays at least `min_side` pixels, or as it is where it is
            shorter. Other types ignore it. The pixels are the decoder's averages, not those of a resize.
        name: name for messages; by default the path, or "image".

    Returns:
        H x W x 3 uint8 RGB in [0, 255], upright by EXIF, in sRGB, alpha composited over white.

    Raises:
        ImageError: the file is missing, damaged, of another type, too large or holds several frames.
        MissingExtraError: it is a DICOM file, and pydicom is not installed.
        UsageError: `min_side` is under 1.
    """
    if min_side is not None and min_side < 1:
        raise UsageError(f"expected min_side of at least 1 pixel, got {min_side}; leave it out for full size")
    with _opened(source, name) as (file, label):
        image = formats.open_header(file, label)
        with formats.refusing(label):
            formats.check_header(image, label, max_pixels)
            return _array(_decoded(image, file, label, min_side), label)


def as_image(picture: str | Path | Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture in any of the three forms of the Python API as an array.

    A PIL image is checked and converted as a file is; of 16-bit colour it has kept the high bytes only. An
    array is returned as it is where it is C-contiguous, not as a copy.

    Args:
        picture: path, PIL image, or H x W x 3 uint8 RGB array in [0, 255], upright.

    Returns:
        H x W x 3 uint8 RGB in [0, 255], C-contiguous.

    Raises:
        ImageError: the picture cannot be read, or an array has another shape or type.
    """
    if isinstance(picture, (str, os.PathLike)):
        return read_image(picture)
    if isinstance(picture, Image.Image):
        label = str(getattr(picture, "filename", "") or "image")
        with formats.refusing(label):
            formats.check_header(picture, label, DEFAULT_MAX_PIXELS)
            _check_decoder(label)
            picture.load()
            return _array(picture, label)
    if not isinstance(picture, np.ndarray):
        raise ImageError(
            "image",
            f"expected a path, a PIL image or an array, got {type(picture).__name__}; pass one of these",
        )
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0 or picture.dtype != np.uint8:
        raise ImageError(
            "image",
            f"expected an H x W x 3 array of uint8 RGB, got {picture.shape} {picture.dtype}; convert it",
        )
    return np.ascontiguousarray(picture)


def image_size(
    source: str | Path | bytes | BinaryIO, *, max_pixels: int = DEFAULT_MAX_PIXELS, name: str | None = None
) -> tuple[int, int]:
    """Return (width, height) in pixels after the EXIF orientation, from the header.

    The pixels are not looked at, so a file that is cut short may have a size and yet not be readable.
    (A PNG without EXIF ahead of its pixels is decoded after all: EXIF may stand behind them.)

    Args:
        source: as for `read_image`.
        max_pixels: as for `read_image`.
        name: as for `read_image`.

    Raises:
        ImageError: the file is missing, of another type, too large, or its header is damaged.
    """
    with _opened(source, name) as (file, label):
        image = formats.open_header(file, label)
        with formats.refusing(label):
            formats.check_header(image, label, max_pixels)
            return formats.upright_size(image)


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO, name: str | None) -> Iterator[tuple[BinaryIO, str]]:
    if isinstance(source, (str, os.PathLike)):
        with _open_path(source, name or str(source)) as file:
            yield file, name or str(source)
        return
    label = name or "image"
    with formats.refusing(label):
        data = source if isinstance(source, bytes) else source.read()
        file = io.BytesIO(data)
    yield file, label


def _open_path(path: str | Path, label: str) -> BinaryIO:
    held = containers.inside(path)
    if held is not None:
        return io.BytesIO(containers.read_bytes(*held, label))
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            return open(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        detail = getattr(error, "strerror", None) or str(error)
        raise ImageError(label, f"expected a readable file, got {detail!r}; check the path") from error
    got = "a folder" if stat.S_ISDIR(mode) else "neither a file nor a folder"
    raise ImageError(label, f"expected a picture file, got {got}; check the path")


def _check_decoder(label: str) -> None:
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageError(
            label,
            "expected Pillow to refuse files that are cut short, got ImageFile.LOAD_TRUNCATED_IMAGES set, "
            "which fills them with grey; set it back to False",
        )


def _decoded(image: ImageFile.ImageFile, file: BinaryIO, label: str, min_side: int | None) -> Image.Image:
    """Return the picture decoded, its samples in 8 bits."""
    _check_decoder(label)
    if deep.is_deep(image):
        file.seek(0)
        again = formats.open_header(io.BytesIO(file.read()), label)
        return deep.read_deep(image, again)
    if isinstance(image, JpegImageFile):
        return jpeg.decode(image, file, label, min_side)
    image.load()
    return image


def _array(image: Image.Image, label: str) -> NDArray[np.uint8]:
    """Return a decoded picture as an upright array."""
    if formats.orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    return np.array(colour.to_srgb(image, label))
