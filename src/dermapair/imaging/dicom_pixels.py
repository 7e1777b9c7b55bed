"""The pixels of a DICOM file as an 8-bit picture; what its header says comes from `dicom`."""

from __future__ import annotations

import io
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile

from dermapair.errors import ImageError
from dermapair.imaging import deep, dicom, jpeg
from dermapair.imaging.dicom import Header, damaged, quiet, refused

_UNDEFINED = 0xFFFFFFFF


def read_pixels(file: BinaryIO, header: Header, label: str) -> Image.Image:
    """Return the picture as 8-bit L or RGB; its info holds the colour profile, where there is one.

    Args:
        file: seekable binary file.
        header: of that file.
        label: name for messages.

    Raises:
        ImageError: the pixels are cut short, damaged, or not those that the header describes.
    """
    if header.syntax in dicom.JPEG:
        picture = _jpeg(_frame(file, header, label), header, label)
    elif header.syntax in dicom.JPEG_2000:
        picture = _from_samples(_jpeg_2000(_frame(file, header, label), header, label), header, label)
    else:
        picture = _from_samples(_plain(file, header, label), header, label)
    if header.icc:
        picture.info["icc_profile"] = header.icc
    return picture


class _PixelData(NamedTuple):
    """Where the value of the pixel data begins, how long the file says it is, in bytes, and its type."""

    start: int
    length: int
    vr: str


def _pixel_data(file: BinaryIO, header: Header, label: str) -> _PixelData:
    from pydicom.filereader import data_element_generator

    file.seek(header.pixels_at)
    with quiet(label):
        elements = data_element_generator(
            file,
            header.syntax == dicom.IMPLICIT,
            not header.big_endian,
            defer_size=0,
            specific_tags=[dicom.PIXEL_DATA],
        )
        element: Any = next(iter(elements), None)
    if element is None or element.tag != dicom.PIXEL_DATA:
        raise damaged(label, "one without pixel data")
    return _PixelData(element.value_tell, element.length, element.VR or "OW")


def _frame(file: BinaryIO, header: Header, label: str) -> bytes:
    """Return the compressed bytes of the one frame."""
    from pydicom.encaps import generate_frames

    start, length, _ = _pixel_data(file, header, label)
    if length != _UNDEFINED:
        raise damaged(label, "one whose pixel data are not as its transfer syntax has them")
    file.seek(start)
    with quiet(label):
        frames = list(islice(generate_frames(file, number_of_frames=1), 2))
    if len(frames) != 1:
        raise ImageError(label, f"expected one frame, got {len(frames)} or more; save the one that is meant")
    return frames[0]


def _plain(file: BinaryIO, header: Header, label: str) -> NDArray[Any]:
    """Return uncompressed or RLE samples as H x W or H x W x 3 uint8 or uint16."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    start, length, vr = _pixel_data(file, header, label)
    native = header.syntax in dicom.NATIVE
    if native == (length == _UNDEFINED):
        raise damaged(label, "one whose pixel data are not as its transfer syntax has them")
    file.seek(start)
    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "samples_per_pixel": header.samples,
        "photometric_interpretation": header.photometric,
        "planar_configuration": int(header.planar),
        "bits_allocated": header.allocated,
        "bits_stored": header.stored,
        "pixel_representation": 0,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
        "pixel_vr": vr,
    }
    source = _native_bytes(file, header, length, label) if native else file
    with quiet(label):
        samples, _ = get_decoder(UID(header.syntax)).as_array(source, index=0, raw=True, **options)
    return samples


def _native_bytes(file: BinaryIO, header: Header, length: int, label: str) -> bytes:
    """Return as many bytes as the header describes, with the one that makes them even."""
    bits = header.allocated * (2 if header.photometric == "YBR_FULL_422" else header.samples)
    expected = header.rows * header.columns * bits // 8
    expected += expected % 2
    if length >= 1.5 * expected and length > expected:
        raise damaged(label, "one with more pixel data than its header describes")
    data = file.read(expected)
    if len(data) < expected or length < expected:
        raise damaged(label, "one whose pixel data are cut short")
    return data


def _jpeg(data: bytes, header: Header, label: str) -> Image.Image:
    """Return an embedded JPEG decoded.

    Its own markers, or components called R, G and B, say whether its colours were transformed; where it has
    neither, the header says it.
    """
    if header.stored != 8:
        raise refused(label, "JPEG with samples of 8 bits", f"{header.stored} bits")
    file = io.BytesIO(data)
    image = JpegImageFile(file)
    _check_size(image, header, label)
    if len(image.getbands()) != header.samples or header.photometric == dicom.PALETTE:
        raise damaged(label, "one whose picture has other colours than its header says")
    says_it = {"jfif", "adobe"} & image.info.keys() or bytes(layer[0] for layer in image.layer) == b"RGB"
    as_they_are = header.photometric == "RGB" and not says_it
    icc = image.info.get("icc_profile")
    picture: Image.Image = jpeg.decode(image, file, label)
    if as_they_are:
        again = JpegImageFile(io.BytesIO(data))
        again.draft("YCbCr", again.size)  # no transformation
        picture = Image.frombytes("RGB", again.size, again.tobytes())
    if header.photometric == "MONOCHROME1":
        picture = picture.point(lambda value: 255 - value)
    # Of what the JPEG says beside its pixels only the profile is kept: DICOM knows no EXIF.
    picture.info = {"icc_profile": icc} if icc else {}
    return picture


def _jpeg_2000(data: bytes, header: Header, label: str) -> NDArray[Any]:
    """Return the samples of an embedded JPEG 2000 picture; Pillow undoes YBR_ICT and YBR_RCT."""
    from pydicom.pixels.utils import get_j2k_parameters

    image = Jpeg2KImageFile(io.BytesIO(data))
    _check_size(image, header, label)
    about = get_j2k_parameters(data)
    if about.get("precision") != header.stored or about["is_signed"]:
        raise damaged(label, "one whose picture has other bits than its header says")
    if len(image.getbands()) != header.samples or image.mode not in ("L", "I;16", "RGB"):
        raise damaged(label, "one whose picture has other colours than its header says")
    if header.samples == 3 and header.stored > 8:
        raise refused(label, "colours of at most 8 bits in JPEG 2000", f"{header.stored} bits")
    samples = np.asarray(image)
    # Pillow shifts samples up to the 8 or 16 bits that it keeps them in.
    return samples >> (8 * samples.dtype.itemsize - header.stored)


def _check_size(image: Image.Image, header: Header, label: str) -> None:
    if image.size != (header.columns, header.rows):
        raise damaged(label, "one whose picture has another size than its header says")


def _from_samples(samples: NDArray[Any], header: Header, label: str) -> Image.Image:
    """Return samples as an 8-bit picture."""
    samples = samples & samples.dtype.type(2**header.stored - 1)  # older files keep overlays in the rest
    if header.photometric == dicom.PALETTE:
        return Image.fromarray(_palette(header, label)[samples])
    if header.photometric in ("YBR_FULL", "YBR_FULL_422"):
        height, width, _ = samples.shape
        return Image.frombytes("YCbCr", (width, height), samples.tobytes()).convert("RGB")
    top = 2**header.stored - 1
    if header.photometric == "MONOCHROME1":
        samples = top - samples
    if header.stored == 8:
        return Image.fromarray(samples.astype(np.uint8))
    plain = Image.new("L" if header.samples == 1 else "RGB", (1, 1))
    return deep.to_8_bit(samples, plain, top=top)


def _palette(header: Header, label: str) -> NDArray[np.uint8]:
    """Return the colour of every value that a sample may have, (2 ** allocated) x 3 uint8."""
    order = ">" if header.big_endian else "<"
    columns = []
    for about, data in header.palette:
        if len(about) != 6 or not data:
            raise refused(label, "a palette with a table for each colour", "segmented tables or none")
        entries, first, bits = np.frombuffer(about, f"{order}u2").tolist()
        entries = entries or 2**16
        wide = len(data) >= 2 * entries
        if bits not in (8, 16) or len(data) < entries or (bits == 16 and not wide):
            raise damaged(label, "one whose palette is not as long as it says")
        table = np.frombuffer(data, f"{order}u2" if wide else "u1", count=entries).astype(np.int64)
        table = (table * 255 + 32767) // 65535 if bits == 16 else table & 255
        place = np.clip(np.arange(2**header.allocated) - first, 0, entries - 1)
        columns.append(table[place].astype(np.uint8))
    return np.stack(columns, axis=-1)
