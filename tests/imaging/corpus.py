"""Picture files of every kind that a user may hand over, good and bad, for the tests of every command.

`make_corpus(folder)` writes them and says of each what reading it must give: pixels or a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imaging import bad_files, dicom_files, writers
from imaging.writers import ORIENTATION, Entry, as_stored, deep, encode, exif, grey, over_white, picture, to_8

NO_SUCH_FILE = "missing.jpg"


@dataclass(frozen=True)
class Case:
    """One file: read to `pixels` within `tolerance` levels, or refused with a reason like `reason`."""

    kind: str
    path: Path
    pixels: np.ndarray | None = None
    tolerance: int = 0
    reason: str | None = None

    @property
    def good(self) -> bool:
        return self.reason is None


def make_corpus(folder: Path) -> list[Case]:
    """Write one file of each kind into `folder` and return what each must give.

    The last cases are not files: a folder with a picture's name and a file that does not exist.
    """
    cases = []
    good = (_jpegs, _pngs, _tiffs, _others, dicom_files.good)
    bad = (bad_files.foreign, bad_files.damaged, bad_files.ambiguous, dicom_files.bad)
    for makers in (*good, *bad):
        for kind, data, pixels, tolerance, reason in makers():
            path = folder / kind
            path.write_bytes(data)
            cases.append(Case(kind, path, pixels, tolerance, reason))
    (folder / "folder.jpg").mkdir()
    cases.append(Case("folder.jpg", folder / "folder.jpg", reason="got a folder"))
    cases.append(Case(NO_SUCH_FILE, folder / NO_SUCH_FILE, reason="No such file"))
    return cases


def _jpegs() -> Iterator[Entry]:
    rgb = picture()
    plain = encode(rgb, "JPEG")
    level = rgb[..., 0]
    yield "plain.jpg", plain, rgb, 4, None
    yield "progressive.JPEG", encode(rgb, "JPEG", progressive=True), rgb, 4, None
    yield "subsampled.jpg", encode(rgb, "JPEG", subsampling=2), rgb, 12, None
    yield "grey.jpg", encode(level, "JPEG"), grey(level), 3, None
    yield "one_pixel_wide.jpg", encode(rgb[:, :1], "JPEG"), rgb[:, :1], 6, None
    yield "bytes_after_the_end.jpg", plain + bytes(100), rgb, 4, None
    yield "mid_grey.jpg", encode(np.full_like(rgb, 128), "JPEG"), np.full_like(rgb, 128), 0, None
    yield "named_png.png", plain, rgb, 4, None
    for value in range(1, 9):
        stored = encode(np.ascontiguousarray(as_stored(rgb, value)), "JPEG", exif=exif(value))
        yield f"orientation_{value}.jpg", stored, rgb, 4, None
    yield "orientation_0.jpg", encode(rgb, "JPEG", exif=exif(0)), rgb, 4, None
    two = encode(rgb, "MPO", save_all=True, append_images=[Image.fromarray(rgb[::-1].copy())], quality=95)
    yield "phone.jpg", two, rgb, 12, None
    swapped = {"icc_profile": writers.swapped_profile()}
    yield "profile.jpg", encode(rgb[..., [1, 0, 2]], "JPEG", **swapped), rgb, 5, None
    yield "profile_rgb_on_grey.jpg", encode(level, "JPEG", **swapped), grey(level), 4, None
    inks = np.stack([255 - rgb[..., 0], 255 - rgb[..., 1], 255 - rgb[..., 2], 0 * level], axis=-1)
    cmyk = Image.frombytes("CMYK", (64, 48), inks.astype(np.uint8).tobytes())
    yield "cmyk.jpg", encode(cmyk, "JPEG"), rgb, 6, None
    half = Image.new("CMYK", (64, 48), (0, 0, 0, 127))
    yield "cmyk_black.jpg", encode(half, "JPEG"), np.full_like(rgb, 128), 1, None
    cyan = Image.new("CMYK", (64, 48), (255, 0, 0, 0))
    red = np.broadcast_to(np.uint8([255, 0, 0]), rgb.shape)
    yield "cmyk_profile.jpg", encode(cyan, "JPEG", icc_profile=writers.red_ink_profile()), red, 4, None


def _pngs() -> Iterator[Entry]:
    rgb = picture()
    level, alpha = rgb[..., 0], rgb[..., 1]
    image = Image.fromarray(rgb)
    yield "plain.png", encode(rgb, "PNG"), rgb, 0, None
    yield "one_pixel_wide.png", encode(rgb[:, :1], "PNG"), rgb[:, :1], 0, None
    yield "one_pixel_high.png", encode(rgb[:1], "PNG"), rgb[:1], 0, None
    yield "named_jpg.jpg", encode(rgb, "PNG"), rgb, 0, None
    yield (
        "orientation.png",
        encode(np.ascontiguousarray(as_stored(rgb, 6)), "PNG", exif=exif(6)),
        rgb,
        0,
        None,
    )
    late = encode(np.ascontiguousarray(as_stored(rgb, 6)), "PNG")
    late = late[:-12] + writers.chunk(b"eXIf", exif(6).tobytes()[6:]) + late[-12:]
    yield "orientation_after_the_pixels.png", late, rgb, 0, None
    palette = image.quantize(16)
    shown = np.asarray(palette.convert("RGB"))
    index = np.asarray(palette)
    yield "palette.png", encode(palette, "PNG"), shown, 0, None
    holes = np.where((index == 3)[..., None], 255, shown).astype(np.uint8)
    yield "palette_transparent.png", encode(palette, "PNG", transparency=3), holes, 0, None
    faint = over_white(shown, np.where(index == 3, 100, 255))
    table = bytes([255, 255, 255, 100])
    yield "palette_half_transparent.png", encode(palette, "PNG", transparency=table), faint, 1, None
    bits = level > 100
    yield "one_bit.png", encode(Image.fromarray(bits), "PNG"), grey(bits * np.uint8(255)), 0, None
    yield "grey.png", encode(level, "PNG"), grey(level), 0, None
    grey_alpha = np.stack([level, alpha], axis=-1)
    yield "grey_alpha.png", writers.png(grey_alpha, 4), over_white(grey(level), alpha), 1, None
    rgba = np.concatenate([rgb, alpha[..., None]], axis=-1)
    yield "alpha.png", encode(rgba, "PNG"), over_white(rgb, alpha), 1, None
    one = rgb.copy()
    one[5, 7] = 255
    yield "transparent_colour.png", encode(rgb, "PNG", transparency=tuple(rgb[5, 7].tolist())), one, 0, None
    swapped = {"icc_profile": writers.swapped_profile()}
    yield "profile.png", encode(rgb[..., [1, 0, 2]], "PNG", **swapped), rgb, 1, None
    yield (
        "profile_alpha.png",
        encode(rgba[..., [1, 0, 2, 3]], "PNG", **swapped),
        over_white(rgb, alpha),
        2,
        None,
    )
    light = level / 255
    seen = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    linear = encode(level, "PNG", icc_profile=writers.linear_grey_profile())
    yield "profile_grey.png", linear, grey(np.rint(255 * seen).astype(np.uint8)), 2, None
    yield from _deep_pngs()


def _deep_pngs() -> Iterator[Entry]:
    samples = deep()
    eight = to_8(samples)
    yield "grey_16.png", writers.png(samples[..., :1], 0), grey(eight[..., 0]), 0, None
    yield "rgb_16.png", writers.png(samples[..., :3], 2), eight[..., :3], 0, None
    composite = over_white(eight[..., :3], eight[..., 3])
    yield "rgba_16.png", writers.png(samples, 6), composite, 1, None
    composite = over_white(grey(eight[..., 0]), eight[..., 3])
    yield "grey_alpha_16.png", writers.png(samples[..., [0, 3]], 4), composite, 1, None
    # Only the low bytes tell the transparent colour from its neighbour.
    samples[3, 3, :3], samples[3, 4, :3] = [1000, 2000, 3000], [1000, 2000, 3001]
    key = writers.chunk(b"tRNS", np.array([1000, 2000, 3000], ">u2").tobytes())
    holes = to_8(samples[..., :3])
    holes[3, 3] = 255
    yield "transparent_colour_16.png", writers.png(samples[..., :3], 2, key), holes, 0, None
    key = writers.chunk(b"tRNS", np.array([1000], ">u2").tobytes())
    holes = np.where(samples[..., :1] == 1000, 255, to_8(samples[..., :1])).repeat(3, axis=-1)
    yield "transparent_grey_16.png", writers.png(samples[..., :1], 0, key), holes.astype(np.uint8), 0, None


def _tiffs() -> Iterator[Entry]:
    rgb = picture()
    level = rgb[..., 0]
    image = Image.fromarray(rgb)
    yield "plain.tif", encode(rgb, "TIFF"), rgb, 0, None
    yield "lzw.tif", encode(rgb, "TIFF", compression="tiff_lzw"), rgb, 0, None
    yield "jpeg_inside.tif", encode(rgb, "TIFF", compression="jpeg", quality=95), rgb, 12, None
    yield "ycbcr.tif", encode(image.convert("YCbCr"), "TIFF"), rgb, 3, None
    lab = np.tile(np.uint8([138, 81, 70]), (48, 64, 1))  # the red of sRGB, L* in steps of 100/255
    red = np.broadcast_to(np.uint8([255, 0, 0]), rgb.shape)
    yield "lab.tif", writers.tiff(lab, 8), red, 1, None
    cmyk = Image.fromarray(rgb).convert("CMYK")
    yield "cmyk.tif", encode(cmyk, "TIFF"), rgb, 1, None
    yield "alpha_is_none.tif", writers.tiff(np.dstack([rgb, level]), 2, tags={338: 0}), rgb, 0, None
    turned = np.ascontiguousarray(as_stored(rgb, 8))
    yield "orientation.tif", encode(turned, "TIFF", tiffinfo={ORIENTATION: 8}), rgb, 0, None
    yield "white_is_zero.tif", writers.tiff(level[..., None], 0), grey(255 - level), 0, None
    samples = deep()
    eight = to_8(samples)
    for order, name in (("<", "little"), (">", "big")):
        one, three = samples[..., :1], samples[..., :3]
        yield f"grey_16_{name}.tif", writers.tiff(one, 1, order=order), grey(eight[..., 0]), 0, None
        yield f"rgb_16_{name}.tif", writers.tiff(three, 2, order=order), eight[..., :3], 0, None
    flipped = writers.tiff(samples[..., :1], 0)
    yield "white_is_zero_16.tif", flipped, grey(to_8(65535 - samples[..., 0])), 0, None
    stored = np.ascontiguousarray(as_stored(samples[..., :3], 5))
    yield "orientation_16.tif", writers.tiff(stored, 2, tags={ORIENTATION: 5}), eight[..., :3], 0, None
    alpha = writers.tiff(samples, 2, tags={338: 2})
    yield "alpha_16.tif", alpha, over_white(eight[..., :3], eight[..., 3]), 1, None
    inks = np.array(255.0 - eight)
    shown = np.rint(inks[..., :3] * inks[..., 3:] / 255).astype(np.uint8)
    yield "cmyk_16.tif", writers.tiff(samples, 5), shown, 1, None


def _others() -> Iterator[Entry]:
    rgb = picture()
    yield "plain.bmp", encode(rgb, "BMP"), rgb, 0, None
    yield "rle.bmp", writers.bmp_rle(rgb[..., 0]), grey(rgb[..., 0]), 0, None
    palette = Image.fromarray(rgb).quantize(16)
    yield "palette.bmp", encode(palette, "BMP"), np.asarray(palette.convert("RGB")), 0, None
    bits = rgb[..., 0] > 100
    yield "one_bit.bmp", encode(Image.fromarray(bits), "BMP"), grey(bits * np.uint8(255)), 0, None
    yield "lossless.webp", encode(rgb, "WEBP", lossless=True), rgb, 0, None
    yield "lossy.webp", encode(rgb, "WEBP", quality=95), rgb, 16, None
    rgba = np.dstack([rgb, np.maximum(rgb[..., 1], 1)])
    alpha = encode(rgba, "WEBP", lossless=True)
    yield "alpha.webp", alpha, over_white(rgb, rgba[..., 3]), 1, None
    stored = np.ascontiguousarray(as_stored(rgb, 7))
    yield "orientation.webp", encode(stored, "WEBP", lossless=True, exif=exif(7)), rgb, 0, None
