"""Small pictures of every type that the reader takes, and damaged copies of them, each made by its seed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit
from pydicom.uid import RLELossless as RLE

SIDES = (24, 20)
"""Height and width, pixels."""


class Mutant(NamedTuple):
    """A damaged file.

    Attributes:
        kind: name of the picture that it was.
        mutation: names of what was done to it.
        data: content.
    """

    kind: str
    mutation: str
    data: bytes


def _pixels(channels: int, dtype: Any = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(channels)
    y, x = np.mgrid[: SIDES[0], : SIDES[1]]
    smooth = np.stack([9 * x + 2 * y + 31 * c for c in range(channels)], axis=-1)
    top = np.iinfo(dtype).max
    return ((smooth + rng.integers(0, 40, smooth.shape)) % 256 * (top // 255)).astype(dtype)


def _encode(pixels: np.ndarray, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels if pixels.shape[-1] > 1 else pixels[..., 0])
    (image if image.mode == mode else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def _exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = 6, "a description"
    return tags


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(samples: np.ndarray, colour_type: int, depth: int = 16, interlaced: bool = False) -> bytes:
    """Return a PNG; interlaced ones in Adam7's passes."""
    height, width = samples.shape[:2]
    passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]
    parts = [samples[y::down, x::right] for x, y, right, down in passes] if interlaced else [samples]
    big = samples.dtype.newbyteorder(">")
    rows = b"".join(b"\0" + row.astype(big).tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    body = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _tiff(samples: np.ndarray, photometric: int, planar: int = 1) -> bytes:
    """Return an uncompressed TIFF of one strip, or of one for each plane."""
    height, width, channels = samples.shape
    bits = samples.dtype.itemsize * 8
    stored = samples.transpose(2, 0, 1) if planar == 2 else samples
    data, strips = stored.tobytes(), channels if planar == 2 else 1
    at = 8 + len(data)
    lists = {258: (3, [bits] * channels), 273: (4, [8 + i * len(data) // strips for i in range(strips)])}
    lists[279] = (4, [len(data) // strips] * strips)
    numbers = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height, 284: planar}
    entries, beside = [], b""
    for tag, (kind, values) in sorted({**{t: (3, [v]) for t, v in numbers.items()}, **lists}.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, beside = struct.pack("<I", at + len(beside)), beside + packed
        entries.append(struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0"))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", at + len(beside)) + data + beside + directory


def _dicom(pixels: np.ndarray, photometric: str, syntax: str, stored: int = 0) -> bytes:
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.7", "1.2.3.4"
    data.PatientName = "Nobody^Fuzzed"
    samples, bits = pixels.shape[2], pixels.dtype.itemsize * 8
    data.Rows, data.Columns, data.SamplesPerPixel = *pixels.shape[:2], samples
    data.PhotometricInterpretation, data.PlanarConfiguration = photometric, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, stored or bits, (stored or bits) - 1
    data.PixelRepresentation = 0
    if photometric == "PALETTE COLOR":
        for name in ("Red", "Green", "Blue"):
            setattr(data, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
            setattr(data, f"{name}PaletteColorLookupTableData", bytes(range(256)))
    plain = pixels if samples > 1 else pixels[..., 0]
    if syntax == RLE:
        about = {"rows": SIDES[0], "columns": SIDES[1], "samples_per_pixel": samples, "bits_allocated": bits}
        about |= {"bits_stored": bits, "pixel_representation": 0, "number_of_frames": 1}
        about |= {"photometric_interpretation": photometric, "planar_configuration": 0}
        data.PixelData = encapsulate([get_encoder(RLE).encode(plain, **about)])
    elif syntax == JPEGBaseline8Bit:
        data.PixelData = encapsulate([_encode(pixels, "JPEG", "RGB" if samples == 3 else "L")])
    elif syntax == JPEG2000Lossless:
        mode = "RGB" if samples == 3 else "L"
        data.PixelData = encapsulate([_encode(pixels, "JPEG2000", mode, no_jp2=True)])
    else:
        data.PixelData = plain.tobytes()
    data["PixelData"].VR = "OB" if bits == 8 or syntax == RLE else "OW"
    data["PixelData"].is_undefined_length = syntax in (RLE, JPEGBaseline8Bit, JPEG2000Lossless)
    data.file_meta, data.preamble = FileMetaDataset(), bytes(128)
    data.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    implicit = syntax == ImplicitVRLittleEndian
    dcmwrite(file, data, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return file.getvalue()


@cache
def pictures() -> dict[str, bytes]:
    """Return by name, whose first word is the type, a small sound picture of each kind."""
    rgb, grey, rgba, deep = _pixels(3), _pixels(1), _pixels(4), _pixels(4, np.uint16)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = icc[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + icc[36:]  # else the time of its making
    cmyk = np.asarray(Image.fromarray(rgb).convert("CMYK"))
    made = {
        "jpeg baseline": _encode(rgb, "JPEG"),
        "jpeg progressive": _encode(rgb, "JPEG", progressive=True),
        "jpeg grey": _encode(grey, "JPEG", "L"),
        "jpeg cmyk": _encode(np.asarray(rgb), "JPEG", "CMYK"),
        "jpeg exif": _encode(rgb, "JPEG", exif=_exif()),
        "jpeg icc": _encode(rgb, "JPEG", icc_profile=icc),
        "jpeg restarts": _encode(rgb, "JPEG", restart_marker_blocks=1),
        "png rgb": _encode(rgb, "PNG"),
        "png exif icc": _encode(rgb, "PNG", exif=_exif(), icc_profile=icc),
        "png palette": _encode(rgb, "PNG", "P", transparency=3),
        "png alpha": _encode(rgba, "PNG", "RGBA"),
        "png one bit": _encode(grey, "PNG", "1"),
        "png 16 grey": _png(deep[..., :1], 0),
        "png 16 rgb": _png(deep[..., :3], 2),
        "png 16 rgba": _png(deep, 6),
        "png 16 grey alpha": _png(deep[..., :2], 4),
        "png interlaced": _png(rgb, 2, 8, interlaced=True),
        "tiff 16 rgb": _tiff(deep[..., :3], 2),
        "tiff 16 grey": _tiff(deep[..., :1], 1),
        "tiff planes": _tiff(rgb, 2, planar=2),
        "tiff exif icc": _encode(rgb, "TIFF", exif=_exif(), icc_profile=icc),
        "tiff cmyk": _tiff(cmyk, 5),
        "bmp rgb": _encode(rgb, "BMP"),
        "bmp palette": _encode(rgb, "BMP", "P"),
        "bmp one bit": _encode(grey, "BMP", "1"),
        "bmp rle": _bmp_rle(grey[..., 0]),
        "bmp old": _bmp_old(rgb),
        "webp lossy": _encode(rgb, "WEBP"),
        "webp lossless": _encode(rgb, "WEBP", lossless=True, exif=_exif(), icc_profile=icc),
        "webp alpha": _encode(rgba, "WEBP", "RGBA"),
        "dicom explicit": _dicom(rgb, "RGB", ExplicitVRLittleEndian),
        "dicom implicit": _dicom(rgb, "RGB", ImplicitVRLittleEndian),
        "dicom 12 grey": _dicom(_pixels(1, np.uint16) >> 4, "MONOCHROME2", ExplicitVRLittleEndian, 12),
        "dicom palette": _dicom(grey, "PALETTE COLOR", ExplicitVRLittleEndian),
        "dicom rle": _dicom(rgb, "RGB", RLE),
        "dicom jpeg": _dicom(rgb, "YBR_FULL_422", JPEGBaseline8Bit),
        "dicom jpeg 2000": _dicom(rgb, "YBR_RCT", JPEG2000Lossless),
    }
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "raw", "zstd", "lzma"):
        made[f"tiff {name}"] = _encode(rgb, "TIFF", compression=name)
    made["tiff one bit"] = _encode(grey, "TIFF", "1", compression="packbits")
    return made


def _bmp_rle(grey: np.ndarray) -> bytes:
    """Return an 8-bit BMP in run-length coding."""
    rows = b"".join(b"".join(b"\1" + bytes([v]) for v in row) + b"\0\0" for row in grey[::-1].tolist())
    data, (height, width) = rows + b"\0\1", SIDES
    palette = b"".join(bytes([i, i, i, 0]) for i in range(256))
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(data), 0, 0, 54 + 1024) + info + palette + data


def _bmp_old(rgb: np.ndarray) -> bytes:
    """Return a BMP with the header of OS/2."""
    data = np.ascontiguousarray(rgb[::-1, :, ::-1]).tobytes()
    header = struct.pack("<IHHHH", 12, SIDES[1], SIDES[0], 1, 24)
    return b"BM" + struct.pack("<IHHI", 26 + len(data), 0, 0, 26) + header + data


def mutant(seed: int) -> Mutant:
    """Return the damaged file of a seed: one kind, one to three mutations."""
    rng = np.random.default_rng(seed)
    kinds = sorted(pictures())
    kind = kinds[int(rng.integers(len(kinds)))]
    data, done = bytearray(pictures()[kind]), []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        name = list(MUTATIONS)[int(rng.integers(len(MUTATIONS)))]
        if data:
            data = MUTATIONS[name](data, rng)
            done.append(name)
    return Mutant(kind, " + ".join(done), bytes(data))


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """Return a place; half of them in the first 200 bytes, where headers are."""
    near = min(200, len(data)) if rng.random() < 0.5 else len(data)
    return int(rng.integers(near))


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data)))]


def _flip_bits(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 65))):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _zero(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    length = min(int(rng.integers(1, 65)), len(data) - at)
    data[at : at + length] = bytes(length)
    return data


def _large_number(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Write a large number over two or four bytes, in either order."""
    values = (0, 1, 255, 256, 9000, 32767, 65535, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
    value, at = values[int(rng.integers(len(values)))], _place(data, rng)
    size = 2 if value < 2**16 else 4
    written = value.to_bytes(size, "little" if rng.random() < 0.5 else "big")
    data[at : at + size] = written
    return data


def _large_sides(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Write other sides wherever the true ones stand."""
    sides = [int(side) for side in rng.choice([0, 1, 19, 25, 300, 8000, 9000, 60000, 65535], 2)]
    size, order = ((2, ">H"), (2, "<H"), (4, ">I"), (4, "<I"))[int(rng.integers(4))]
    for old, new in zip(SIDES, sides, strict=True):
        data = data.replace(struct.pack(order, old), struct.pack(order, new), 3)
    assert size == struct.calcsize(order)
    return data


def _other_header(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Put the beginning of another type over that of this one."""
    kinds = sorted(pictures())
    other = pictures()[kinds[int(rng.integers(len(kinds)))]]
    length = min(int(rng.choice([4, 8, 16, 32, 64, 140, 300])), len(other), len(data))
    data[:length] = other[:length]
    return data


def _double(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    piece = data[at : at + int(rng.integers(1, 400))]
    return data[:at] + piece * int(rng.integers(2, 5)) + data[at + len(piece) :]


def _remove(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 100)) :]


def _append(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data + rng.bytes(int(rng.integers(1, 500)))


def _random(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Keep the first bytes, which tell the type, or none, and draw the rest."""
    kept = int(rng.choice([0, 4, 16, 140]))
    return data[:kept] + rng.bytes(max(0, len(data) - kept))


def _chunks(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Drop, double or swap whole parts: those between markers that the types know."""
    marks = [b"\xff\xda", b"\xff\xc4", b"\xff\xdb", b"\xff\xc0", b"IDAT", b"IHDR", b"PLTE", b"iCCP", b"VP8"]
    marks += [b"EXIF", b"\x28\x00", b"\xfe\xff\x00\xe0", b"\xe0\x7f\x10\x00"]
    places = sorted({0, len(data), *(at for mark in marks if (at := data.find(mark)) > 0)})
    parts = [data[a:b] for a, b in pairwise(places)]
    at, way = int(rng.integers(len(parts))), int(rng.integers(3))
    if way == 0:
        parts.pop(at)
    elif way == 1:
        parts.insert(at, parts[at])
    else:
        parts[at], parts[-1] = parts[-1], parts[at]
    return bytearray(b"".join(parts))


MUTATIONS: dict[str, Callable[[bytearray, np.random.Generator], bytearray]] = {
    "cut": _cut,
    "bits flipped": _flip_bits,
    "bytes zeroed": _zero,
    "a large number": _large_number,
    "other sides": _large_sides,
    "another header": _other_header,
    "a piece doubled": _double,
    "a piece removed": _remove,
    "bytes appended": _append,
    "random bytes": _random,
    "parts moved": _chunks,
}
