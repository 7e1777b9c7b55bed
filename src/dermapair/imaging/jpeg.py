"""Decode a JPEG, and tell one that was cut short and closed again."""

from __future__ import annotations

import io
from typing import BinaryIO

from PIL.JpegImagePlugin import JpegImageFile

from dermapair.errors import ImageError

_END = b"\xff\xd9"
_MID_GREY = (127, 128)
_FILLER = bytes(range(1, 255))  # no 255, which would begin a marker


def decode(image: JpegImageFile, file: BinaryIO, label: str, min_side: int | None = None) -> JpegImageFile:
    """Decode an opened JPEG in place and return it.

    Args:
        image: opened, not yet decoded.
        file: what it was opened from, at its beginning when it was.
        label: name for messages.
        min_side: lets it be decoded at 1/2, 1/4 or 1/8, see `read.read_image`.

    Raises:
        ImageError: it was cut short and closed again.
    """
    if min_side is not None:
        image.draft(image.mode, (min_side, min_side))
    image.load()
    if not _is_whole(image, file, min_side):
        raise ImageError(
            label, "expected a whole picture, got one cut short and closed again; fetch it again"
        )
    return image


def _is_whole(image: JpegImageFile, file: BinaryIO, min_side: int | None) -> bool:
    """Tell whether a decoded JPEG is whole, not cut short and closed again with an end marker.

    The decoder fills what is missing with mid-grey and says nothing. So where the last pixel is mid-grey,
    bytes are put before the end marker: a whole picture stays as it is, a cut one takes them for its rest.
    Two things pass: the loss of the last block alone, and of the finer scans of a progressive JPEG.
    """
    corner = image.getpixel((image.width - 1, image.height - 1))
    values = corner if isinstance(corner, tuple) else (corner,)
    if any(value not in _MID_GREY for value in values):
        return True
    file.seek(0)
    data = file.read()
    end = data.rfind(_END)
    probe = JpegImageFile(io.BytesIO(data[:end].rstrip(b"\xff") + _FILLER + data[end:]))
    if min_side is not None:
        probe.draft(probe.mode, (min_side, min_side))
    return probe.tobytes() == image.tobytes()
