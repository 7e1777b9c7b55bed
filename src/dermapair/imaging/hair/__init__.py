"""Hair removal: methods by name, and the guard that all of them stand behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dermapair.errors import UsageError
from dermapair.imaging.hair.blackhat import find_by_blackhat
from dermapair.imaging.hair.dullrazor import DullRazor
from dermapair.imaging.hair.found import Found, Mask
from dermapair.types import RGBImage


def _learned(image: RGBImage) -> Found:
    """Find hair by a small network; torch is loaded when the first image comes."""
    from dermapair.imaging.hair.learned import find_learned

    return find_learned(image)


METHODS: Final[dict[str, Callable[[RGBImage], Found]]] = {
    "dullrazor": DullRazor().find,
    "oriented": DullRazor(directions=12, element=9, threshold=12, length=20, margin=1).find,
    "learned": _learned,
    "blackhat": find_by_blackhat,
}
VERSION = 1
"""Raised when a method changes a pixel: prepared stores of before are then made again."""
MOST = 0.3
"""Share of an image above which what was found is no hair."""


def check_method(method: str) -> None:
    """Raise UsageError where `method` is no name in METHODS."""
    if method not in METHODS:
        raise UsageError(f"hair: expected one of {', '.join(METHODS)}, got {method!r}")


@dataclass(frozen=True)
class HairRemoval:
    """What became of one image.

    Attributes:
        image: (H, W, 3) uint8 RGB: hair and its blurred edge replaced, every other pixel as it was.
        mask: (H, W), True where the method found hair.
        refused: more than MOST of the image was found, so that it was left as it is.
    """

    image: RGBImage
    mask: Mask
    refused: bool


def remove_hair(image: RGBImage, method: str) -> HairRemoval:
    """Replace hair by what lies round it.

    Args:
        image: (H, W, 3) uint8 RGB in [0, 255].
        method: a name in METHODS.

    Raises:
        UsageError: there is no such method.
    """
    check_method(method)
    found = METHODS[method](image)
    refused = bool(found.mask.mean() > MOST)
    return HairRemoval(image if refused else found.fill(), found.mask, refused)
