"""Hair removal: methods by name, and the guard that all of them stand behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dermapair.errors import UsageError
from dermapair.imaging.hair.blackhat import remove_by_blackhat
from dermapair.imaging.hair.dullrazor import DullRazor
from dermapair.types import RGBImage

Mask = NDArray[np.bool_]


def _learned(image: RGBImage) -> tuple[RGBImage, Mask]:
    """Find hair by a small network; torch is loaded when the first image comes."""
    from dermapair.imaging.hair.learned import remove_learned

    return remove_learned(image)


METHODS: Final[dict[str, Callable[[RGBImage], tuple[RGBImage, Mask]]]] = {
    "dullrazor": DullRazor().remove,
    "oriented": DullRazor(directions=12, element=9, threshold=12, length=20, margin=1).remove,
    "learned": _learned,
    "blackhat": remove_by_blackhat,
}
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
    cleaned, mask = METHODS[method](image)
    refused = bool(mask.mean() > MOST)
    return HairRemoval(image if refused else cleaned, mask, refused)
