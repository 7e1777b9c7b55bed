"""Tell what a file is by its content, open its header, and refuse what cannot be read rightly.

Pillow's decoder classes are called directly, not through `Image.open`: the type is then ours to decide, and
Pillow's own limit on pixels, a setting of the whole process that warns before it refuses, is not asked
(but for TIFF and WebP, whose decoders ask it themselves).
Nothing here decodes a pixel; `read` does, `colour` converts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dermapair.errors import DermapairError, ImageError
from dermapair.imaging.dicom import DicomImageFile

_ACCEPTED: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (rb"\xff\xd8\xff", JpegImageFile),
    (rb"\x89PNG\r\n\x1a\n", PngImageFile),
    (rb"II[*+]\0|MM\0[*+]", TiffImageFile),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", BmpImageFile),  # a bare "BM" also begins many texts
    (rb"RIFF.{4}WEBP", WebPImageFile),
    (rb".{128}DICM", DicomImageFile),  # last: its first 128 bytes may be those of a TIFF of the same picture
)
_TYPES = {decoder.format for _, decoder in _ACCEPTED}
ENDINGS = frozenset(
    {".dcm", ".dicom", ".mpo", *(ending for ending, of in Image.EXTENSION.items() if of in _TYPES)}
)
"""Endings of the names of files of those types, in small letters."""
_FOREIGN = (
    (rb"GIF8[79]a", "a GIF picture"),
    (rb".{4}ftyp(hei|hev|mif1|msf1)", "a HEIC picture"),
    (rb".{4}ftypavi", "an AVIF picture"),
    (rb".{4}ftyp", "a film or another ISO media file"),
    (rb".{4}jP  \r\n|\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb"\xff\x0a|.{4}JXL \r\n", "a JPEG XL picture"),
    (rb"8BPS", "a Photoshop file"),
    (rb"%PDF-", "a PDF document"),
    (rb"\0\0[\x01\x02]\0", "an icon"),
    (rb"PK\x03\x04", "a ZIP archive or an office document"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml.*)?(<!.*)?<svg", "an SVG drawing"),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype\s+)?html", "an HTML page"),
    (rb"[\t\n\r\x20-\x7e]+\Z", "a text file"),
)
_HEADER_BYTES = 512
_WANTED = "expected a JPEG, PNG, TIFF, BMP, WebP or DICOM picture"
_UPRIGHT_SWAPS_SIDES = (5, 6, 7, 8)
_TAG_SUBFILE, _TAG_BITS, _TAG_PLANAR, _TAG_SAMPLE_FORMAT, _TAG_COMPRESSION = 254, 258, 284, 339, 259
_FAX = (2, 3, 4, 32771)
_BMP_RLE = (1, 2)
_MOST_PER_BYTE = 128  # pixels: two bytes of a run-length code are at most 255


@contextmanager
def refusing(label: str) -> Iterator[None]:
    """Turn whatever a decoder raises into an ImageError.

    Every Exception is meant: on damaged bytes Pillow's decoders raise OSError, SyntaxError, ValueError,
    EOFError, OverflowError, struct.error, zlib.error, MemoryError and others, and no list of them is kept.
    """
    try:
        yield
    except DermapairError:
        raise
    except Exception as error:
        raise ImageError(label, _reason(error)) from error


def _reason(error: Exception) -> str:
    detail = str(error) or type(error).__name__
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"expected a picture of fewer pixels, got one that may be a bomb ({detail}); make it smaller"
    if isinstance(error, MemoryError):
        return "expected a picture that fits in memory, got one that does not; make it smaller"
    if re.search("truncated|not enough|end of file|unexpected end|next frame", detail, re.IGNORECASE):
        return f"expected a whole picture, got a file cut short ({detail}); fetch it again"
    return (
        f"expected a sound picture, got one that cannot be decoded ({detail}); it is damaged or of a rare "
        "variant: fetch it again or save it as an 8-bit RGB PNG"
    )


def open_header(file: BinaryIO, label: str) -> ImageFile.ImageFile:
    """Return the opened, not yet decoded picture; its type is that of the content, whatever the name says.

    A multi-picture JPEG (MPO: a phone's photograph with a depth or gain map) is its first picture, which its
    standard makes the one for readers of single pictures.

    Args:
        file: seekable binary file at its beginning, kept open until the picture is decoded.
        label: name for messages.

    Raises:
        ImageError: not a JPEG, PNG, TIFF, BMP, WebP or DICOM picture, or its header is damaged.
        MissingExtraError: a DICOM file, and pydicom is not installed.
    """
    with refusing(label):
        header = file.read(_HEADER_BYTES)
        file.seek(0)
        for pattern, decoder in _ACCEPTED:
            if re.match(pattern, header, re.DOTALL):
                return DicomImageFile(file, label) if decoder is DicomImageFile else decoder(file)
    raise ImageError(label, f"{_WANTED}, got {_foreign_name(header)}; convert it or leave it out")


def _foreign_name(header: bytes) -> str:
    if not header:
        return "an empty file (0 bytes)"
    flags = re.DOTALL | re.IGNORECASE
    names = (name for pattern, name in _FOREIGN if re.match(pattern, header, flags))
    return next(names, f"an unknown type that begins with the bytes {header[:8].hex(' ')}")


def check_header(image: Image.Image, label: str, max_pixels: int) -> None:
    """Refuse a picture whose header shows that it cannot be read rightly.

    Raises:
        ImageError: more than `max_pixels` pixels; several frames or pages; a CMYK JPEG that does not say
            how its inks are stored; a TIFF of signed, float or over 16-bit samples, of 16-bit samples in
            separate planes, of a fax, or whose first page is only a preview (as in a camera's raw files);
            a run-length coded BMP of far more pixels than its bytes can hold.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            label,
            f"expected at most {max_pixels} pixels, got {width} x {height}; shrink it or raise max_pixels",
        )
    frames = 1 if isinstance(image, JpegImageFile) else getattr(image, "n_frames", 1)
    if frames != 1:
        raise ImageError(label, f"{frames} frames; expected one: save the one that is meant")
    if isinstance(image, JpegImageFile) and image.mode == "CMYK" and "adobe" not in image.info:
        raise ImageError(
            label,
            "expected a CMYK JPEG with Adobe's marker, got one without, whose inks may be inverted or not; "
            "save it as RGB",
        )
    if isinstance(image, BmpImageFile) and image.info.get("compression") in _BMP_RLE:
        _check_bmp_rle(image, label)
    if isinstance(image, TiffImageFile):
        _check_tiff(image, label)


def _check_bmp_rle(image: BmpImageFile, label: str) -> None:
    """Refuse a picture of far more pixels than its bytes can hold, which Pillow fills one by one."""
    assert image.fp is not None
    place = image.fp.tell()
    size = image.fp.seek(0, io.SEEK_END)
    image.fp.seek(place)
    if image.width * image.height > _MOST_PER_BYTE * size:
        got = f"{image.width} x {image.height} pixels in {size} bytes"
        raise ImageError(label, f"expected a whole picture, got {got}; fetch it again")


def _check_tiff(image: TiffImageFile, label: str) -> None:
    tags = image.tag_v2
    bits = max(_as_tuple(tags.get(_TAG_BITS, 1)))
    got = None
    if tags.get(_TAG_COMPRESSION) in _FAX:  # its decoder fills what is damaged with white
        raise ImageError(label, "expected a photograph, got a fax (CCITT compression); save it as PNG")
    if set(_as_tuple(tags.get(_TAG_SAMPLE_FORMAT, 1))) != {1}:
        got = "signed or floating-point samples, whose range it does not say"
    elif bits > 16:
        got = f"{bits}-bit samples, whose range it does not say"
    elif bits > 8 and tags.get(_TAG_PLANAR, 1) == 2:
        got = f"{bits}-bit samples in separate planes"
    elif tags.get(_TAG_SUBFILE, 0) & 1:
        got = "a first page that is only a preview, as in a camera's raw file"
    if got is not None:
        raise ImageError(label, f"expected unsigned samples of 1 to 16 bits, got {got}; save it as PNG")


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) in pixels after the EXIF orientation, decoding nothing.

    One exception: a PNG without EXIF ahead of its pixels is decoded, because EXIF may stand behind them.
    """
    width, height = image.size
    # Pillow's TIFF header already gives the upright size.
    if not isinstance(image, TiffImageFile) and orientation(image) in _UPRIGHT_SWAPS_SIDES:
        return height, width
    return width, height


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none."""
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1
