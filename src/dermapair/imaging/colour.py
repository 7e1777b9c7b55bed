"""Bring the pixels of any Pillow mode to 8-bit sRGB over white.

In this order: grey and palette expanded, alpha set aside, the embedded colour profile (ICC) converted to
sRGB, alpha composited over white. Samples of over 8 bits are left to `deep`, files and orientation to `read`.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from dermapair.errors import ImageError
from dermapair.imaging import deep

_WITH_ALPHA = ("LA", "RGBA", "PA", "La", "RGBa")
_NEEDED_MODE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def to_srgb(image: Image.Image, label: str) -> Image.Image:
    """Return a decoded picture as 8-bit sRGB, itself where it is that already.

    An embedded ICC profile is converted to sRGB (perceptual intent); an RGB profile on a grey picture is
    applied to its equal red, green and blue. Without a profile RGB and grey are taken as sRGB, LAB as CIE
    L*a*b* (D50), and CMYK inks as subtracting light: R = (255 - C)(255 - K) / 255. Alpha is composited over
    white after that. A PNG's gAMA chunk is not applied.

    Args:
        image: decoded picture of any mode.
        label: name for messages.

    Raises:
        ImageError: 32-bit integer or float samples, or a colour profile that is broken or of other colours.
    """
    if image.mode == "RGB" and not {"icc_profile", "transparency"} & image.info.keys():
        return image
    image = _expanded(image, label)
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colour = _converted(image.convert("L" if image.mode == "LA" else "RGB") if alpha else image, label)
    if alpha is None:
        return colour
    white = Image.new("RGB", colour.size, "white")
    white.paste(colour, mask=alpha)
    return white


def _expanded(image: Image.Image, label: str) -> Image.Image:
    """Return the picture as L, LA, RGB, RGBA, CMYK or LAB."""
    mode = image.mode
    if mode in ("I", "F"):
        raise ImageError(
            label,
            f"expected samples of 1 to 16 bits, got 32 bits (mode {mode}) of unknown range; save it as PNG",
        )
    if mode.startswith("I;16"):
        image = deep.to_8_bit(np.asarray(image), image, top=deep.TOP_16_BIT)
    elif mode in _WITH_ALPHA or "transparency" in image.info:
        return image if mode == "LA" else image.convert("RGBA")
    elif mode == "1":
        return image.convert("L")
    elif mode not in _NEEDED_MODE.values():
        return image.convert("RGB")
    return image


def _converted(colour: Image.Image, label: str) -> Image.Image:
    """Return the colours as sRGB, by the embedded profile where there is one."""
    icc = colour.info.get("icc_profile", b"")
    if icc == b"" and colour.mode != "LAB":
        return colour.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc) if icc != b"" else ImageCms.createProfile("LAB"))
        space = profile.profile.xcolor_space.strip()
        needed = _NEEDED_MODE.get(space)
        if colour.mode == "L" and needed == "RGB":
            colour = colour.convert("RGB")
        if colour.mode != needed:
            raise ImageError(
                label,
                f"expected a colour profile for {colour.mode}, got one for {space}; save it again as sRGB",
            )
        srgb = ImageCms.createProfile("sRGB")
        # Except for RGB, littleCMS's quick tables are up to 10 levels off; these modes are rare enough.
        flags = ImageCms.Flags.NONE if colour.mode == "RGB" else ImageCms.Flags.NOOPTIMIZE
        converted = ImageCms.profileToProfile(colour, profile, srgb, outputMode="RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        raise ImageError(
            label, f"expected a sound colour profile (ICC), got a broken one ({error}); save it again as sRGB"
        ) from error
    assert converted is not None  # None only in place
    return converted
