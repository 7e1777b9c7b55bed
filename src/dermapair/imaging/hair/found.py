"""What a method of hair removal finds, and how it would fill it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermapair.types import RGBImage

Mask = NDArray[np.bool_]


class Found(NamedTuple):
    """Hair in one image.

    Attributes:
        mask: (H, W), True on hair.
        fill: returns the image with hair and what belongs to it replaced; called only where it is wanted, as
            a picture full of lines takes long.
    """

    mask: Mask
    fill: Callable[[], RGBImage]
