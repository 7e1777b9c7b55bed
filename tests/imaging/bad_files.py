"""Files that a reader of pictures must refuse: of other types, damaged, or open to more than one reading."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from imaging import writers
from imaging.writers import Entry, deep, encode, picture


def foreign() -> Iterator[Entry]:
    rgb = picture()
    for name, data, reason in (
        ("empty.jpg", b"", "empty file"),
        ("still.gif", encode(rgb, "GIF"), "a GIF picture"),
        ("gif_named.jpg", encode(rgb, "GIF"), "a GIF picture"),
        ("drawing.svg", b'<?xml version="1.0"?>\n<svg width="9" height="9"/>', "an SVG drawing"),
        ("photo.heic", b"\0\0\0\x18ftypheic" + bytes(100), "a HEIC picture"),
        ("photo.avif", b"\0\0\0\x18ftypavif" + bytes(100), "an AVIF picture"),
        ("film.mp4", b"\0\0\0\x18ftypisom" + bytes(100), "a film"),
        ("photo.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "a JPEG 2000 picture"),
        ("paper.pdf", b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        ("page.jpg", b"<!DOCTYPE html><html><body>404 Not Found", "an HTML page"),
        ("notes.txt", b"not a picture\n", "a text file"),
        ("table.bmp", b"BMI,age,site\n24,50,back\n", "a text file"),
        ("archive.zip", b"PK\3\4" + bytes(60), "a ZIP archive"),
        ("noise.png", bytes(range(256)), "an unknown type that begins with the bytes 00 01"),
    ):
        yield name, data, None, 0, reason


def damaged() -> Iterator[Entry]:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    files = {
        "jpg": encode(noise, "JPEG"),
        "progressive.jpg": encode(noise, "JPEG", progressive=True),
        "png": encode(noise, "PNG"),
        "16.png": writers.png(deep()[..., :3], 2),
        "bmp": encode(noise, "BMP"),
        "webp": encode(noise, "WEBP", lossless=True),
        "tif": writers.tiff(noise, 2)[: 8 + noise.size // 2],
    }
    for ending, data in files.items():
        yield f"cut.{ending}", data[: len(data) // 2], None, 0, "cut short|cannot be decoded"
        yield f"header_only.{ending}", data[:40], None, 0, "cut short|cannot be decoded"
    yield "last_byte_missing.jpg", files["jpg"][:-1], None, 0, "cut short"
    yield "cut_and_closed.jpg", files["jpg"][:4000] + b"\xff\xd9", None, 0, "cut short and closed again"
    lzw = encode(noise, "TIFF", compression="tiff_lzw")
    start = lzw.index(b"II*") + 8
    yield "damaged_lzw.tif", lzw[:start] + bytes(3000) + lzw[start + 3000 :], None, 0, "cannot be decoded"
    wide = writers.bmp_rle(noise[..., 0]).replace(struct.pack("<ii", 64, 48), struct.pack("<ii", 1 << 20, 48))
    yield "wide_rle.bmp", wide, None, 0, "1048576 x 48 pixels in 7"
    data = np.zeros((1, 1, 3), np.uint8)
    yield (
        "bomb.png",
        writers.png(data, 2, size=(100_000, 100_000)),
        None,
        0,
        "expected at most .* 100000 x 100000",
    )
    jpeg = files["jpg"].replace(b"\x00\x30\x00\x40\x03", b"\xff\xff\xff\xff\x03", 1)
    yield "bomb.jpg", jpeg, None, 0, "expected at most .* 65535 x 65535"
    broken = {"icc_profile": b"not a profile" * 20}
    yield "broken_profile.jpg", encode(noise, "JPEG", **broken), None, 0, "a broken one"
    yield "broken_profile.png", encode(noise, "PNG", **broken), None, 0, "a broken one"
    ink = {"icc_profile": writers.red_ink_profile()}
    yield "foreign_profile.jpg", encode(noise, "JPEG", **ink), None, 0, "profile for RGB, got one for CMYK"


def ambiguous() -> Iterator[Entry]:
    rgb = picture()
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - rgb), Image.fromarray(rgb // 2)]}
    for name, kind in (("animated.png", "PNG"), ("animated.webp", "WEBP"), ("pages.tif", "TIFF")):
        yield name, encode(rgb, kind, **frames), None, 0, "3 frames; expected one"
    level = rgb[..., :1]
    for name in ("group3", "group4", "tiff_ccitt"):
        fax = encode(Image.fromarray(rgb[..., 0] > 100), "TIFF", compression=name)
        yield f"{name}.tif", fax, None, 0, "got a fax"
    for name, data, reason in (
        ("float.tif", writers.tiff(level / np.float32(255), 1), "floating-point samples"),
        ("signed_8.tif", writers.tiff(level.astype(np.int8), 1), "signed or floating-point"),
        ("signed_16.tif", writers.tiff(level.astype(np.int16), 1), "signed or floating-point"),
        ("unsigned_32.tif", writers.tiff(level.astype(np.uint32), 1), "32-bit samples"),
        ("preview.tif", writers.tiff(rgb, 2, tags={254: 1}), "only a preview"),
        ("planes_16.tif", writers.tiff(deep()[..., :3], 2, tags={284: 2}), "in separate planes"),
        ("alpha_premultiplied_16.tif", writers.tiff(deep(), 2, tags={338: 1}), "multiplied by their alpha"),
        ("float_rgb.tif", writers.tiff(rgb / np.float32(255), 2), "cannot be decoded"),
    ):
        yield name, data, None, 0, reason
    adobe = encode(Image.fromarray(rgb).convert("CMYK"), "JPEG")
    yield "cmyk_unmarked.jpg", adobe.replace(b"Adobe", b"other"), None, 0, "inks may be inverted or not"
