"""From a row of the case table to its prepared square: read, without hair, cut, resized."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dermapair.config import DataSettings
from dermapair.data.boxes import Boxes, checked_box, read_boxes
from dermapair.data.cases import CaseTable
from dermapair.imaging.read import read_image
from dermapair.imaging.square import square_of
from dermapair.types import Box, RGBImage


class Square(NamedTuple):
    """The prepared square of a file.

    Attributes:
        pixels: (side, side, 3) uint8 RGB.
        size: (width, height) of the upright original.
        hair_refused: hair was left, as too much of the image was taken for hair.
        box: the part of the original that the square shows; None: all of it.
    """

    pixels: RGBImage
    size: tuple[int, int]
    hair_refused: bool
    box: Box | None


def boxes_of(table: CaseTable, settings: DataSettings) -> Boxes | None:
    """Return by row the part that is looked at; None where the settings name no boxes."""
    return read_boxes(Path(settings.boxes), table) if settings.boxes else None


def read_square(table: CaseTable, row: int, settings: DataSettings, boxes: Boxes | None = None) -> Square:
    """Return the prepared square of an image.

    Raises:
        ImageError: it cannot be read, has no box where others have, or its box is not inside it.
    """
    path = table.path(row)
    image = read_image(path, max_pixels=settings.max_pixels)
    size = image.shape[1], image.shape[0]
    box = checked_box(boxes.get(row), size, path) if boxes is not None else None
    pixels, refused = square_of(image, side=settings.size, fit=settings.fit, hair=settings.hair, box=box)
    return Square(pixels, size, refused, box)
