"""Pictures, and writers of what Pillow cannot write: 16-bit PNG, odd TIFF samples, colour profiles."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

ORIENTATION = 0x0112
Entry = tuple[str, bytes, np.ndarray | None, int, str | None]
"""Name, content, pixels, tolerance, reason."""


def picture() -> np.ndarray:
    """48 x 64 x 3 uint8 RGB, smooth for JPEG and unlike any of its mirror images."""
    y, x = np.mgrid[:48, :64]
    return np.stack([4 * x, 5 * y, 40 + 2 * y + x], axis=-1).astype(np.uint8)


def encode(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """Encode with Pillow; JPEG at high quality without chroma subsampling unless told otherwise."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    best = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    file = io.BytesIO()
    image.save(file, kind, **{**best, **options})
    return file.getvalue()


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return the pixels that EXIF orientation 1 to 8 turns into `upright`, by EXIF's own definition.

    EXIF names the sides of the upright picture where the stored row 0 and column 0 are.
    """
    flipped = {
        **{1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1]},
        **{5: upright, 6: upright[:, ::-1], 7: upright[::-1, ::-1], 8: upright[::-1]},
    }[orientation]
    return flipped.transpose(1, 0, 2) if orientation >= 5 else flipped


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def grey(values: np.ndarray) -> np.ndarray:
    """Return H x W values as H x W x 3."""
    return np.repeat(values[..., None], 3, axis=-1)


def to_8(samples: np.ndarray) -> np.ndarray:
    """Return 16-bit samples in 8 bits, rounded."""
    return np.rint(samples / 257).astype(np.uint8)


def over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    part = alpha[..., None] / 255
    return np.rint(pixels * part + 255 * (1 - part)).astype(np.uint8)


def assert_contract(pixels: np.ndarray) -> None:
    """Assert what every picture that is read must be, whatever it shows."""
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


def deep() -> np.ndarray:
    """48 x 64 x 4 uint16 that use both bytes: 255 and 128 among them, whose high bytes round up."""
    samples = (np.arange(48 * 64 * 4, dtype=np.uint32) * 7919 % 65536).reshape(48, 64, 4)
    samples[0, :4] = np.array([0, 255, 128, 65535])[:, None]
    samples[0, 4] = [129, 384, 386, 65407]
    return samples.astype(np.uint16)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples: np.ndarray, colour_type: int, *extra: bytes, size: tuple[int, int] | None = None) -> bytes:
    """H x W x C uint8 or uint16 as PNG; `extra` chunks go ahead of the pixels, `size` lies about the size."""
    height, width = samples.shape[:2]
    depth = samples.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", *(size or (width, height)), depth, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in samples)
    body = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def tiff(
    samples: np.ndarray, photometric: int, *, order: str = "<", tags: dict[int, int] | None = None
) -> bytes:
    """H x W x C samples as an uncompressed TIFF of one strip; `tags` adds or replaces short tags."""
    height, width, channels = samples.shape
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    bits, kind = samples.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    short = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height, 284: 1}
    at_data, at_bits = 8, 8 + len(data)
    at_format, at_tags = at_bits + 2 * channels, at_bits + 4 * channels
    entries = {
        tag: (3, 1, struct.pack(order + "HH", value, 0)) for tag, value in {**short, **(tags or {})}.items()
    }
    for tag, value, place in ((258, bits, at_bits), (339, kind, at_format)):
        inline = struct.pack(order + "HH", value, value if channels == 2 else 0)
        entries[tag] = (3, channels, inline if channels < 3 else struct.pack(order + "I", place))
    entries[273] = (4, 1, struct.pack(order + "I", at_data))
    entries[279] = (4, 1, struct.pack(order + "I", len(data)))
    table = b"".join(struct.pack(order + "HHI", t, k, n) + v for t, (k, n, v) in sorted(entries.items()))
    lists = struct.pack(order + f"{2 * channels}H", *[bits] * channels, *[kind] * channels)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at_tags)
    return head + data + lists + struct.pack(order + "H", len(entries)) + table + bytes(4)


def bmp_rle(values: np.ndarray) -> bytes:
    """H x W uint8 as a grey BMP in run-length code."""
    rows = b"".join(b"".join(bytes([1, v]) for v in row) + b"\0\0" for row in values[::-1].tolist())
    (height, width), data = values.shape, rows + b"\0\1"
    palette = b"".join(bytes([i, i, i, 0]) for i in range(256))
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + info + palette + data


def swapped_profile() -> bytes:
    """sRGB with its red and green primaries exchanged: (r, g, b) under it is (g, r, b) in sRGB."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert data.count(b"rXYZ") == data.count(b"gXYZ") == 1
    return data.replace(b"rXYZ", b"#XYZ").replace(b"gXYZ", b"rXYZ").replace(b"#XYZ", b"gXYZ")


def linear_grey_profile() -> bytes:
    """Grey whose samples are proportional to light."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    return _profile(b"mntrGRAYXYZ ", {b"wtpt": white, b"kTRC": b"curv" + bytes(8)})


def red_ink_profile() -> bytes:
    """CMYK where any full ink but black is the red of L*a*b* (54, 81, 70), that of sRGB."""
    curves = bytes(range(256))
    white, black, red = bytes([255, 128, 128]), bytes([0, 128, 128]), bytes([138, 209, 198])
    grid = white + black + (red + black) * 7
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + curves * 4 + grid + curves * 3
    return _profile(b"prtrCMYKLab ", {b"A2B0": table})


def _profile(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    place, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = (
        struct.pack(">I4sI", place + len(body), b"lcms", 0x02400000) + kind + bytes(12) + b"acsp" + bytes(28)
    )
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body
