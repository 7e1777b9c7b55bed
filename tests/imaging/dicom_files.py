"""DICOM files made with pydicom, with a made-up patient whose name no output may hold."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from imaging.writers import Entry, deep, encode, exif, grey, picture, swapped_profile, to_8

PHOTOGRAPH, DERMOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.4", "1.2.840.10008.5.1.4.1.1.77.1.7"
SECONDARY, CT = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT, BIG = ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian
RLE, JPEG, J2K = RLELossless, JPEGBaseline8Bit, JPEG2000Lossless
DEFLATED, JPEG_LOSSLESS, JPEG_LS = DeflatedExplicitVRLittleEndian, JPEGLosslessSV1, JPEGLSLossless
PATIENT = ("Quintessa^Planted", "PLANTED-4711", "Dr^Zebulon")
"""Name and id of the patient and name of the doctor."""


def dicom(
    pixels: np.ndarray | bytes,
    photometric: str = "RGB",
    *,
    syntax: str = EXPLICIT,
    size: tuple[int, int] | None = None,
    stored: int | None = None,
    kind: str = DERMOSCOPY,
    **elements: Any,
) -> bytes:
    """Return a DICOM file.

    Args:
        pixels: H x W or H x W x 3 samples, or the bytes of the pixel data as they are in the file: for a
            compressed syntax those of the one frame.
        photometric: photometric interpretation.
        syntax: transfer syntax.
        size: (width, height), of an array its own.
        stored: bits, by default all.
        kind: SOP class.
        elements: other elements by keyword; None takes one away.
    """
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = kind, "1.2.3.4"
    data.PatientName, data.PatientID, data.ReferringPhysicianName = PATIENT
    data.Modality = "XC"
    array = pixels if isinstance(pixels, np.ndarray) else None
    if array is not None:
        size = array.shape[1], array.shape[0]
    assert size is not None
    data.Columns, data.Rows = size
    grey = photometric.startswith(("MONO", "PALETTE"))
    data.SamplesPerPixel, data.PhotometricInterpretation = 1 if grey else 3, photometric
    if not grey:
        data.PlanarConfiguration = 0
    allocated = 8 if array is None else array.dtype.itemsize * 8
    data.BitsAllocated, data.BitsStored = allocated, stored or allocated
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    for name, value in elements.items():
        if value is not None:
            setattr(data, name, value)
        elif name in data:
            delattr(data, name)
    data.PixelData = _pixel_data(pixels, data, syntax)
    data["PixelData"].VR = "OB" if allocated == 8 or syntax not in (IMPLICIT, EXPLICIT, BIG) else "OW"
    if syntax in (RLE, JPEG, J2K, JPEG_LOSSLESS, JPEG_LS):
        data["PixelData"].is_undefined_length = True
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, "1.2.3.4"
    meta.TransferSyntaxUID = syntax
    data.file_meta, data.preamble = meta, bytes(128)
    file = io.BytesIO()
    dcmwrite(file, data, enforce_file_format=False, **_encoding(syntax))
    return file.getvalue()


def _encoding(syntax: str) -> dict[str, bool]:
    return {"implicit_vr": syntax == IMPLICIT, "little_endian": syntax != BIG}


def _pixel_data(pixels: np.ndarray | bytes, data: Dataset, syntax: str) -> bytes:
    if isinstance(pixels, bytes):
        return pixels if syntax in (IMPLICIT, EXPLICIT, BIG, DEFLATED) else encapsulate([pixels])
    if syntax == RLE:
        return encapsulate([_rle(pixels)])
    if syntax == JPEG:
        return encapsulate([encode(pixels, "JPEG")])
    if syntax == J2K:
        return encapsulate([encode(pixels, "JPEG2000", no_jp2=True, irreversible=False, mct=1)])
    order = ">" if syntax == BIG else "<"
    if pixels.ndim == 3 and data.get("PlanarConfiguration"):
        pixels = pixels.transpose(2, 0, 1)
    plain = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    return plain + bytes(len(plain) % 2)


def _rle(pixels: np.ndarray) -> bytes:
    samples = 1 if pixels.ndim == 2 else 3
    bits = pixels.dtype.itemsize * 8
    return get_encoder(RLELossless).encode(
        pixels,
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=samples,
        photometric_interpretation="RGB" if samples == 3 else "MONOCHROME2",
        bits_allocated=bits,
        bits_stored=bits,
        pixel_representation=0,
        number_of_frames=1,
        **({"planar_configuration": 0} if samples == 3 else {}),
    )


def ybr_422(ybr: np.ndarray) -> bytes:
    """H x W x 3 YBR with W even as YBR_FULL_422: two of Y, then the Cb and Cr of the first."""
    pairs = ybr.reshape(-1, 2, 3)
    return np.stack([pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=-1).tobytes()


def palette_elements(table: np.ndarray, *, first: int = 0) -> dict[str, Any]:
    """N x 3 uint8 or uint16 colours as the elements of a palette, 8-bit entries one to a byte."""
    found: dict[str, Any] = {}
    bits = table.dtype.itemsize * 8
    for name, column in zip(("Red", "Green", "Blue"), table.T, strict=True):
        data = np.ascontiguousarray(column).tobytes()
        found[f"{name}PaletteColorLookupTableDescriptor"] = [len(table) % 65536, first, bits]
        found[f"{name}PaletteColorLookupTableData"] = data + bytes(len(data) % 2)
    return found


def good() -> Iterator[Entry]:
    """Yield a file of each kind that is read."""
    rgb = picture()
    level = rgb[..., 0]
    for name, syntax in (("implicit", IMPLICIT), ("explicit", EXPLICIT), ("big_endian", BIG), ("rle", RLE)):
        yield f"rgb_{name}.dcm", dicom(rgb, syntax=syntax), rgb, 0, None
        grey_file = dicom(level, "MONOCHROME2", syntax=syntax, kind=SECONDARY)
        yield f"grey_{name}.dcm", grey_file, grey(level), 0, None
        samples = deep()[..., :3]
        yield f"rgb_16_{name}.dcm", dicom(samples, syntax=syntax), to_8(samples), 0, None
        one = samples[..., 0]
        yield f"grey_16_{name}.dcm", dicom(one, "MONOCHROME2", syntax=syntax), grey(to_8(one)), 0, None
        twelve = one >> 4
        shown = grey(np.rint(twelve / 4095 * 255).astype(np.uint8))
        yield f"grey_12_{name}.dcm", dicom(twelve, "MONOCHROME2", syntax=syntax, stored=12), shown, 0, None
        inverse = dicom(twelve, "MONOCHROME1", syntax=syntax, stored=12)
        shown = grey(np.rint((4095 - twelve) / 4095 * 255).astype(np.uint8))
        yield f"white_is_zero_12_{name}.dcm", inverse, shown, 0, None
    yield "white_is_zero.dcm", dicom(level, "MONOCHROME1"), grey(255 - level), 0, None
    six = dicom(level >> 2, "MONOCHROME2", stored=6)
    yield "grey_6.dcm", six, grey(np.rint((level >> 2) / 63 * 255).astype(np.uint8)), 0, None
    overlay = dicom((deep()[..., 0] >> 4) | 0x8000, "MONOCHROME2", stored=12)
    shown = grey(np.rint((deep()[..., 0] >> 4) / 4095 * 255).astype(np.uint8))
    yield "bits_above_those_stored.dcm", overlay, shown, 0, None
    yield "planes.dcm", dicom(rgb, PlanarConfiguration=1), rgb, 0, None
    yield "planes_16.dcm", dicom(deep()[..., :3], PlanarConfiguration=1), to_8(deep()[..., :3]), 0, None
    odd = np.ascontiguousarray(rgb[:5, :7])
    yield "odd_number_of_bytes.dcm", dicom(odd), odd, 0, None
    yield "one_pixel.dcm", dicom(odd[:1, :1]), odd[:1, :1], 0, None
    ybr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    yield "ybr.dcm", dicom(ybr, "YBR_FULL"), rgb, 3, None
    yield "ybr_rle.dcm", dicom(ybr, "YBR_FULL", syntax=RLE), rgb, 3, None
    yield "ybr_422.dcm", dicom(ybr_422(ybr), "YBR_FULL_422", size=(64, 48)), rgb, 8, None
    yield from _good_jpegs(rgb)
    yield from _good_palettes(rgb)
    full = {"WindowCenter": "128", "WindowWidth": "256", "RescaleSlope": "1", "RescaleIntercept": "0"}
    yield "full_window.dcm", dicom(level, "MONOCHROME2", **full), grey(level), 0, None
    swapped = dicom(rgb[..., [1, 0, 2]], ICCProfile=swapped_profile())
    yield "profile.dcm", swapped, rgb, 1, None
    yield "not_burned_in.dcm", dicom(rgb, BurnedInAnnotation="NO"), rgb, 0, None
    yield "of_one_frame.dcm", dicom(rgb, NumberOfFrames=1), rgb, 0, None
    yield "named_dicom.jpg", dicom(rgb), rgb, 0, None
    charset = dicom(rgb, SpecificCharacterSet="ISO_IR 100")
    yield "unknown_charset.dcm", charset.replace(b"ISO_IR 100", b"NO_SUCH_ 1"), rgb, 0, None


def _good_jpegs(rgb: np.ndarray) -> Iterator[Entry]:
    level = rgb[..., 0]
    plain, lossless = encode(rgb, "JPEG"), {"no_jp2": True, "irreversible": False}
    size = (64, 48)
    for name, photometric in (("ybr_422", "YBR_FULL_422"), ("ybr", "YBR_FULL"), ("wrong_rgb", "RGB")):
        file = dicom(plain, photometric, syntax=JPEG, size=size)
        yield f"jpeg_{name}.dcm", file, rgb, 4, None
    bare = encode(rgb, "JPEG", keep_rgb=True)  # Adobe's marker: not transformed
    yield "jpeg_rgb.dcm", dicom(bare, "RGB", syntax=JPEG, size=size), rgb, 4, None
    ids = bare.replace(b"R\x11\x00G\x11\x00B\x11\x00", b"\1\x11\x00\2\x11\x00\3\x11\x00")
    ids = ids.replace(b"\x03R\x00G\x00B\x00", b"\x03\1\x00\2\x00\3\x00")
    at = ids.index(b"\xff\xee")
    for name, marked in (("unmarked", ids), ("unmarked_with_ids", bare)):
        unmarked = marked[:at] + marked[at + 16 :]
        yield f"jpeg_rgb_{name}.dcm", dicom(unmarked, "RGB", syntax=JPEG, size=size), rgb, 4, None
    yield "jpeg_grey.dcm", dicom(level, "MONOCHROME2", syntax=JPEG), grey(level), 3, None
    yield "jpeg_white_is_zero.dcm", dicom(level, "MONOCHROME1", syntax=JPEG), grey(255 - level), 3, None
    turned = dicom(encode(rgb, "JPEG", exif=exif(6)), "YBR_FULL_422", syntax=JPEG, size=size)
    yield "jpeg_with_exif.dcm", turned, rgb, 4, None
    own = encode(rgb[..., [1, 0, 2]], "JPEG", icc_profile=swapped_profile())
    yield "jpeg_profile.dcm", dicom(own, "YBR_FULL", syntax=JPEG, size=size), rgb, 5, None
    yield "j2k_rct.dcm", dicom(rgb, "YBR_RCT", syntax=J2K), rgb, 0, None
    no_mct = encode(rgb, "JPEG2000", mct=0, **lossless)
    yield "j2k_rgb.dcm", dicom(no_mct, "RGB", syntax=J2K, size=size), rgb, 0, None
    ybr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    three = encode(ybr, "JPEG2000", mct=0, **lossless)
    yield "j2k_ybr.dcm", dicom(three, "YBR_FULL", syntax=J2K, size=size), rgb, 3, None
    yield "j2k_grey.dcm", dicom(level, "MONOCHROME2", syntax=J2K), grey(level), 0, None
    one = deep()[..., 0]
    yield "j2k_grey_16.dcm", dicom(one, "MONOCHROME2", syntax=J2K), grey(to_8(one)), 0, None


def _good_palettes(rgb: np.ndarray) -> Iterator[Entry]:
    quantised = Image.fromarray(rgb).quantize(16)
    index, shown = np.asarray(quantised), np.asarray(quantised.convert("RGB"))
    table = np.array(quantised.getpalette()[:48], np.uint8).reshape(16, 3)
    yield "palette.dcm", dicom(index, "PALETTE COLOR", **palette_elements(table)), shown, 0, None
    wide = dicom(index, "PALETTE COLOR", **palette_elements(table.astype(np.uint16) * 257))
    yield "palette_16.dcm", wide, shown, 0, None
    words = palette_elements(table.astype(np.uint16))
    words |= {name: [16, 0, 8] for name in words if name.endswith("Descriptor")}
    yield "palette_8_in_16.dcm", dicom(index, "PALETTE COLOR", **words), shown, 0, None
    later = dicom(index + np.uint8(9), "PALETTE COLOR", **palette_elements(table, first=9))
    yield "palette_from_9.dcm", later, shown, 0, None
    deep_index = dicom(index.astype(np.uint16) + 300, "PALETTE COLOR", **palette_elements(table, first=300))
    yield "palette_of_16_bit_values.dcm", deep_index, shown, 0, None
    rle = dicom(index, "PALETTE COLOR", syntax=RLE, **palette_elements(table))
    yield "palette_rle.dcm", rle, shown, 0, None


def bad() -> Iterator[Entry]:
    """Yield a file of each kind that is refused."""
    rgb = picture()
    level, size = rgb[..., 0], (64, 48)
    plain, jpeg = dicom(rgb), dicom(rgb, "YBR_FULL_422", syntax=JPEG)
    short = encode(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8), "JPEG")
    closed = short[:3000] + b"\xff\xd9"
    grey_elements = {
        "window.dcm": {"WindowCenter": "40", "WindowWidth": "80"},
        "rescaled.dcm": {"RescaleSlope": "2", "RescaleIntercept": "-1024"},
        "strange_slope.dcm": {"RescaleSlope": "1", "RescaleIntercept": "0", "WindowWidth": "1E9"},
        "level_table.dcm": {"VOILUTSequence": [Dataset()]},
    }
    for name, elements in grey_elements.items():
        file = dicom(level, "MONOCHROME2", **elements)
        yield name, file, None, 0, "some with a window, slope or table"
    decode = "uncompressed, RLE, JPEG baseline or JPEG 2000, got"
    for name, data, reason in (
        ("scan.dcm", bytes(128) + b"DICM" + bytes(100), f"{decode} an unknown transfer syntax"),
        ("lossless.dcm", dicom(b"\xff\xd8", syntax=JPEG_LOSSLESS, size=size), f"{decode} JPEG Lossless"),
        ("jpeg_ls.dcm", dicom(b"\xff\xd8", syntax=JPEG_LS, size=size), f"{decode} JPEG-LS Lossless"),
        ("deflated.dcm", dicom(rgb, syntax=DEFLATED), f"{decode} Deflated Explicit VR"),
        ("private.dcm", dicom(rgb, syntax="1.2.840.113619.5.2"), f"{decode} an unknown transfer syntax"),
        ("ct.dcm", dicom(level, "MONOCHROME2", kind=CT), "a photograph .* got CT Image Storage"),
        ("burned_in.dcm", dicom(rgb, BurnedInAnnotation="YES"), "names may be drawn into its pixels; cover"),
        ("burned_in_implicit.dcm", dicom(rgb, syntax=IMPLICIT, BurnedInAnnotation="YES"), "Annotation YES"),
        ("no_kind.dcm", dicom(rgb, kind="1.2.3.99"), "a photograph .* got a file of an unknown kind"),
        ("frames.dcm", dicom(np.vstack([rgb, rgb]), Rows=48, NumberOfFrames=2), "2 frames; expected one"),
        ("signed.dcm", dicom(level, "MONOCHROME2", PixelRepresentation=1), "got 8 of 8 bits, signed"),
        ("shifted.dcm", dicom(level, "MONOCHROME2", HighBit=6), "signed, shifted or deeper"),
        ("one_bit.dcm", dicom(level, "MONOCHROME2", BitsAllocated=1, BitsStored=1, HighBit=0), "1 of 1 bits"),
        ("unsigned_32.dcm", dicom(level, "MONOCHROME2", BitsAllocated=32), "of 32 bits"),
        ("ybr_16.dcm", dicom(deep()[..., :3], "YBR_FULL"), "deeper than YBR_FULL has them"),
        ("hsv.dcm", dicom(rgb, "HSV"), "pixels of the kind RGB, YBR_FULL, YBR_FULL_422, got 3 samples"),
        ("four_samples.dcm", dicom(rgb, SamplesPerPixel=4), "got 4 samples"),
        ("no_rows.dcm", dicom(rgb, Rows=None), "does not say how its pixels are stored"),
        ("no_planar.dcm", dicom(rgb, PlanarConfiguration=None), "does not say how its pixels are stored"),
        ("strange_planar.dcm", dicom(rgb, PlanarConfiguration=2), "contradicts itself"),
        ("zero_rows.dcm", dicom(rgb, Rows=0), "expected"),
        ("bomb.dcm", dicom(rgb, Rows=65535, Columns=65535), "expected at most .* 65535 x 65535"),
        ("taller.dcm", dicom(rgb, Rows=49), "pixel data are cut short"),
        ("lower.dcm", dicom(rgb, Rows=20), "more pixel data than its header describes"),
        ("cut.dcm", plain[:-500], "pixel data are cut short"),
        ("cut_header.dcm", plain[:300], "whole DICOM file"),
        ("cut_jpeg.dcm", jpeg[:-100], "expected a whole DICOM file"),
        ("jpeg_closed.dcm", dicom(closed, "YBR_FULL", syntax=JPEG, size=size), "cut short and closed again"),
        ("jpeg_size.dcm", dicom(short, "YBR_FULL", syntax=JPEG, size=(64, 47)), "another size"),
        ("jpeg_colours.dcm", dicom(short, "MONOCHROME2", syntax=JPEG, size=size), "other colours"),
        ("jpeg_12.dcm", dicom(short, syntax=JPEG, size=size, stored=12, BitsAllocated=16), "got 12 bits"),
        ("no_jpeg.dcm", dicom(b"no picture here", syntax=JPEG, size=size), "cannot be decoded"),
        ("no_rle.dcm", dicom(b"no picture here" * 9, syntax=RLE, size=size), "whole DICOM file"),
        ("j2k_bits.dcm", dicom(level, "MONOCHROME2", syntax=J2K, stored=7), "other bits"),
        ("no_palette.dcm", dicom(level, "PALETTE COLOR"), "segmented tables or none"),
        (
            "profile.dcm.bad",
            dicom(rgb, ICCProfile=b"not a profile" * 20),
            "colour profile \\(ICC\\), got a br",
        ),
    ):
        yield name, data, None, 0, reason
