"""Bring samples of 12 and 16 bits to 8, rounded: value * 255 / largest value; `colour` does the rest."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

TOP_16_BIT, TOP_12_BIT = 65535, 4095
"""Largest values, which become 255."""

_TAG_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_ROWS = 64  # at a time: indices are eight times as large as samples
_MODE_BY_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Tell whether an opened, not yet decoded file holds samples of 12 or 16 bits."""
    return any(";16" in _rawmode(tile) or ";12" in _rawmode(tile) for tile in image.tile)


def read_deep(image: ImageFile.ImageFile, again: ImageFile.ImageFile) -> Image.Image:
    """Decode a file of 12- or 16-bit samples into an 8-bit picture.

    Pillow keeps only the high byte of 16-bit colour, which may be one level off. So such a file is decoded
    twice: as it stands for the high bytes, with the byte order reversed for the low ones.

    Args:
        image: opened, not yet decoded file; closed where both are needed.
        again: the same file opened a second time.

    Raises:
        ValueError: 16-bit samples that are multiplied by their alpha.
    """
    rawmode = _rawmode(image.tile[0])
    if image.mode.startswith("I;16"):
        return _read_grey(image, TOP_12_BIT if ";12" in rawmode else TOP_16_BIT)
    if rawmode.startswith("RGBa"):
        raise ValueError("16-bit samples multiplied by their alpha")
    if rawmode == "LA;16B":  # four bytes for each pixel: two of grey, two of alpha
        _set_rawmode(image, "RGBA")
        samples = np.asarray(image)
        high, low = samples[..., 0::2], samples[..., 1::2]
    else:
        _set_rawmode(again, rawmode[:-1] + _opposite(rawmode[-1]))
        high, low = np.asarray(image), np.asarray(again)
    image.close()  # gives up their pixels, not what is known of them
    again.close()
    values = high.astype(np.uint16)
    values <<= 8
    values |= low
    del high, low
    return to_8_bit(values, image, top=TOP_16_BIT)


def _read_grey(image: ImageFile.ImageFile, top: int) -> Image.Image:
    values = np.asarray(image)
    # Pillow inverts these for 8 bits, not for 16.
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_TAG_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = top - values
    return to_8_bit(values, image, top=top)


def to_8_bit(values: NDArray[np.uint16], source: Image.Image, *, top: int) -> Image.Image:
    """Return samples as an 8-bit picture with the metadata of `source`.

    Args:
        values: H x W or H x W x C in [0, top].
        source: the picture they are from. Where it names one transparent value or colour, in its own depth,
            as a PNG may, the result has alpha.
        top: largest value, which becomes 255.
    """
    values = values[..., None] if values.ndim == 2 else values
    info = dict(source.info)
    transparent = info.pop("transparency", None)
    table = ((np.arange(top + 1, dtype=np.uint32) * 255 + top // 2) // top).astype(np.uint8)
    height, width, channels = values.shape
    scaled = np.empty((height, width, channels + (transparent is not None)), np.uint8)
    for start in range(0, height, _ROWS):
        block = values[start : start + _ROWS]
        scaled[start : start + _ROWS, :, :channels] = table[block]
        if transparent is not None:
            opaque = np.any(block != np.asarray(transparent), axis=-1)
            scaled[start : start + _ROWS, :, channels] = opaque * np.uint8(255)
    mode = "CMYK" if source.mode == "CMYK" else _MODE_BY_CHANNELS[scaled.shape[2]]
    result = Image.frombytes(mode, (scaled.shape[1], scaled.shape[0]), scaled.tobytes())
    result.info = info
    return result


def _opposite(order: str) -> str:
    native = "L" if sys.byteorder == "little" else "B"
    return {"L": "B", "B": "L"}[native if order == "N" else order]


def _rawmode(tile: Any) -> str:
    rawmode: str = tile.args if isinstance(tile.args, str) else tile.args[0]
    return rawmode


def _set_rawmode(image: ImageFile.ImageFile, rawmode: str) -> None:
    image.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in image.tile
    ]
