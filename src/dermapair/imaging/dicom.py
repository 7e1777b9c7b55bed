"""DICOM files that hold one photograph: the header, and what of it is refused; pixels are `dicom_pixels`'s.

Only the elements that say how pixels are stored are looked at, as raw bytes. Names, ids and dates of the
patient are never taken from the file, so no message and no output can hold them. For the same reason what
pydicom says of a damaged file is not passed on.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from PIL import ImageFile

from dermapair.errors import DermapairError, ImageError, MissingExtraError

PHOTOGRAPHS = {
    "1.2.840.10008.5.1.4.1.1.77.1.1": "VL Endoscopic Image Storage",
    "1.2.840.10008.5.1.4.1.1.77.1.2": "VL Microscopic Image Storage",
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VL Photographic Image Storage",
    "1.2.840.10008.5.1.4.1.1.77.1.7": "Dermoscopic Photography Image Storage",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.2": "Multi-frame Grayscale Byte Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.3": "Multi-frame Grayscale Word Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture Image Storage",
}
"""SOP classes whose pixels are those of a photograph; a scan or an X-ray is none."""

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN)

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
_COLOURS = {
    **dict.fromkeys(NATIVE, ("RGB", "YBR_FULL", "YBR_FULL_422")),
    RLE: ("RGB", "YBR_FULL"),
    **dict.fromkeys(JPEG, ("RGB", "YBR_FULL", "YBR_FULL_422")),
    **dict.fromkeys(JPEG_2000, ("RGB", "YBR_FULL", "YBR_ICT", "YBR_RCT")),
}

_SOP_CLASS, _SYNTAX, _META_SOP_CLASS = 0x00080016, 0x00020010, 0x00020002
_SAMPLES, _PHOTOMETRIC, _PLANAR, _FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
_ROWS, _COLUMNS, _ALLOCATED, _STORED = 0x00280010, 0x00280011, 0x00280100, 0x00280101
_HIGH_BIT, _SIGNED = 0x00280102, 0x00280103
_WINDOW_CENTRE, _WINDOW_WIDTH, _INTERCEPT, _SLOPE = 0x00281050, 0x00281051, 0x00281052, 0x00281053
_LEVEL_TABLES = (0x00283000, 0x00283010)
_LUT_DESCRIPTORS, _LUT_DATA = (0x00281101, 0x00281102, 0x00281103), (0x00281201, 0x00281202, 0x00281203)
_ICC, _BURNED_IN = 0x00282000, 0x00280301
_WANTED = (
    *(_SOP_CLASS, _SAMPLES, _PHOTOMETRIC, _PLANAR, _FRAMES, _ROWS, _COLUMNS, _ALLOCATED, _STORED, _HIGH_BIT),
    *(_SIGNED, _WINDOW_CENTRE, _WINDOW_WIDTH, _INTERCEPT, _SLOPE, *_LEVEL_TABLES, *_LUT_DESCRIPTORS),
    *(*_LUT_DATA, _ICC, _BURNED_IN),
)
PIXEL_DATA, _PIXEL_GROUP = 0x7FE00010, 0x7FE0
_MOST_BYTES = 2**24  # of an element ahead of the pixels; the largest are colour profiles

_one_at_a_time = threading.Lock()
_reading = threading.local()
logging.getLogger("pydicom").addFilter(lambda record: not getattr(_reading, "now", False))


@contextmanager
def quiet(label: str) -> Iterator[None]:
    """Keep to ourselves what pydicom says: warnings and log are dropped, errors become one ImageError.

    All may quote the file. One thread at a time, as Python's filter of warnings is the process's; the log is
    silent for this thread only.
    """
    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pydicom\b")
            _reading.now = True
            yield
    except (DermapairError, MemoryError):
        raise
    except Exception as error:
        raise damaged(label) from error
    finally:
        _reading.now = False


def damaged(label: str, got: str = "one that is cut short or damaged") -> ImageError:
    """Return the error for a file whose bytes are not as DICOM has them."""
    return ImageError(label, f"expected a whole DICOM file, got {got}; fetch it again")


def refused(label: str, wanted: str, got: str) -> ImageError:
    """Return the error for a sound file that cannot be read rightly."""
    return ImageError(label, f"expected {wanted}, got {got}; save the picture as an 8-bit RGB PNG")


@dataclass(frozen=True)
class Header:
    """What the header says of the pixels.

    Attributes:
        syntax: transfer syntax, a UID.
        photometric: photometric interpretation.
        samples: in a pixel, 1 or 3.
        rows: height, pixels.
        columns: width, pixels.
        allocated: bits of a sample in the file, 8 or 16.
        stored: bits of it that hold the value.
        planar: colours lie in planes one after another.
        frames: how many there are.
        palette: for red, green and blue the table and the value of its first entry.
        icc: colour profile, or b"".
        pixels_at: where in the file the pixel data begin, their tag included.
    """

    syntax: str
    photometric: str
    samples: int
    rows: int
    columns: int
    allocated: int
    stored: int
    planar: bool
    frames: int
    palette: tuple[tuple[bytes, bytes], ...]
    icc: bytes
    pixels_at: int

    @property
    def big_endian(self) -> bool:
        """Whether the high byte of a number comes first."""
        return self.syntax == BIG_ENDIAN


class DicomImageFile(ImageFile.ImageFile):
    """A DICOM file as Pillow's other types are: the header when it is made, the pixels when it is loaded.

    Args:
        fp: seekable binary file at its beginning, kept open until the picture is decoded.
        filename: name for messages.
    """

    format = "DICOM"

    def _open(self) -> None:
        self.header = read_header(cast(BinaryIO, self.fp), str(self.filename))
        self._size = self.header.columns, self.header.rows
        self._mode = "L" if self.header.photometric in GREY else "RGB"
        self.n_frames = self.header.frames

    def load(self) -> Any:
        """Decode the pixels to 8-bit grey or RGB, in the colours of the embedded profile."""
        if self._im is None:
            from dermapair.imaging.dicom_pixels import read_pixels

            picture = read_pixels(cast(BinaryIO, self.fp), self.header, str(self.filename))
            self._mode, self.im, self.info = picture.mode, picture.im, picture.info
        return super(ImageFile.ImageFile, self).load()


def read_header(file: BinaryIO, label: str) -> Header:
    """Return what the header says of the pixels.

    Raises:
        ImageError: the file is damaged, or holds something else than a picture that can be read rightly.
        MissingExtraError: pydicom is not installed.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            f"{label}: expected pydicom, which reads DICOM files, but it is not installed; "
            f"install it with `pip install 'dermapair[dicom]'`"
        ) from None
    file.seek(132)
    meta = _elements(file, label, syntax=EXPLICIT, group=2)
    syntax = _text(meta.get(_SYNTAX))
    if syntax not in _COLOURS:
        raise ImageError(
            label,
            f"expected pixels that are uncompressed, RLE, JPEG baseline or JPEG 2000, got "
            f"{_name_of(syntax, 'an unknown transfer syntax', label)}; decompress the file, for example with "
            f"`gdcmconv --raw`",
        )
    found = _elements(file, label, syntax=syntax)
    kind = _text(found.get(_SOP_CLASS)) or _text(meta.get(_META_SOP_CLASS))
    if kind not in PHOTOGRAPHS:
        got = _name_of(kind, "a file of an unknown kind", label)
        raise refused(label, "a photograph (DICOM's VL, dermoscopic or secondary capture image)", got)
    if _text(found.get(_BURNED_IN)).upper() == "YES":
        raise ImageError(
            label,
            "expected a picture without text, got one whose header says that it has some (BurnedInAnnotation "
            "YES): names may be drawn into its pixels; cover them and set the element to NO",
        )
    header = _checked(found, syntax, file.tell(), label)
    if header.photometric in GREY:
        _check_levels(found, header, label)
    return header


def _elements(file: BinaryIO, label: str, *, syntax: str, group: int | None = None) -> dict[int, bytes]:
    """Return the raw values of the wanted elements from here to the pixels, or of one group.

    The file then stands at the element that follows.
    """
    from pydicom.filereader import data_element_generator
    from pydicom.tag import BaseTag

    def ends(tag: BaseTag, vr: str | None, length: int) -> bool:
        if length != 0xFFFFFFFF and length > _MOST_BYTES and tag in wanted:
            raise damaged(label)
        return tag >> 16 >= _PIXEL_GROUP if group is None else tag >> 16 != group

    wanted = list(_WANTED) if group is None else [_SYNTAX, _META_SOP_CLASS]
    found: dict[int, bytes] = {}
    with quiet(label):
        elements = data_element_generator(
            file, syntax == IMPLICIT, syntax != BIG_ENDIAN, ends, specific_tags=list(wanted)
        )
        for element in elements:
            value = element.value
            # A sequence has come as an object; that it is there is all that is asked.
            found[int(element.tag)] = value if isinstance(value, bytes) else b"there" * bool(value)
    return found


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip(" \0")


def _name_of(uid: str, unknown: str, label: str) -> str:
    """Return the standard's name of a UID; one that it does not know is not quoted."""
    from pydicom.uid import UID

    with quiet(label):
        name = UID(uid).name
    return unknown if name == uid else name


def _checked(found: dict[int, bytes], syntax: str, pixels_at: int, label: str) -> Header:
    """Return the header, or refuse what cannot be read rightly."""
    order = "big" if syntax == BIG_ENDIAN else "little"

    def number(tag: int, default: int | None = None) -> int:
        value = found.get(tag) or b""
        if len(value) != 2 and default is None:
            raise damaged(label, "one whose header does not say how its pixels are stored")
        return int.from_bytes(value, order) if len(value) == 2 else default or 0  # type: ignore[arg-type]

    photometric = _text(found.get(_PHOTOMETRIC))
    samples, allocated, stored = number(_SAMPLES), number(_ALLOCATED), number(_STORED)
    known = (*GREY, PALETTE) if samples == 1 else _COLOURS[syntax]
    if photometric not in known or samples not in (1, 3):
        raise refused(label, f"pixels of the kind {', '.join(known)}", f"{samples} samples of another kind")
    sound = allocated in (8, 16) and 1 <= stored <= allocated and number(_HIGH_BIT, stored - 1) == stored - 1
    deep_ybr = photometric.startswith("YBR") and (allocated, stored) != (8, 8)
    if not sound or number(_SIGNED, 0) or deep_ybr:
        got = f"{stored} of {allocated} bits, signed, shifted or deeper than {photometric} has them"
        raise refused(label, "unsigned samples of 1 to 16 bits", got)
    planar = number(_PLANAR) if samples == 3 and syntax in NATIVE else 0
    if planar not in (0, 1) or (planar and photometric == "YBR_FULL_422"):
        raise damaged(label, "one whose header contradicts itself about the order of colours")
    frames = _text(found.get(_FRAMES)) or "1"
    if not frames.isdecimal():
        raise damaged(label, "one whose header does not say how many frames it has")
    return Header(
        syntax=syntax,
        photometric=photometric,
        samples=samples,
        rows=number(_ROWS),
        columns=number(_COLUMNS),
        allocated=allocated,
        stored=stored,
        planar=bool(planar),
        frames=int(frames),
        palette=tuple(
            (found.get(about, b""), found.get(data, b""))
            for about, data in zip(_LUT_DESCRIPTORS, _LUT_DATA, strict=True)
        ),
        icc=found.get(_ICC, b""),
        pixels_at=pixels_at,
    )


def _check_levels(found: dict[int, bytes], header: Header, label: str) -> None:
    """Refuse grey levels that are to be rescaled or windowed before they are shown."""
    top = 2**header.stored - 1
    slope, intercept = _decimal(found.get(_SLOPE), 1), _decimal(found.get(_INTERCEPT), 0)
    width, centre = _decimal(found.get(_WINDOW_WIDTH), top + 1), _decimal(found.get(_WINDOW_CENTRE), top / 2)
    low, high = centre - width / 2, centre + width / 2
    plain = slope == 1 and intercept == 0 and abs(low) <= 1 and abs(high - top) <= 1.5
    if not plain or any(found.get(tag) for tag in _LEVEL_TABLES):
        raise refused(label, "grey levels that are shown as they are", "some with a window, slope or table")


def _decimal(value: bytes | None, default: float) -> float:
    """Return the first number of a decimal string; NaN where it is none."""
    text = _text(value).split("\\")[0]
    try:
        return float(text) if text else default
    except ValueError:
        return math.nan
