"""Lesion masks: read, thresholded, and refused where they do not belong to their image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.tables import row, save, smooth_picture, table
from dermapair.data.cases import CaseTable
from dermapair.data.masks import has_mask, read_mask
from dermapair.errors import ImageError, TableError


def one_case(root: Path, mask: np.ndarray, *, orientation: int = 1) -> CaseTable:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth_picture(0, (5, 3))).save(root / "a.jpg", exif=exif)
    save(root / "masks" / "a.png", mask)
    return table([row("a", path="a.jpg", mask="masks/a.png"), row("b", path="a.jpg", mask=None)], root)


def test_values_above_127_are_lesion(tmp_path: Path) -> None:
    mask = np.zeros((3, 5), dtype=np.uint8)
    mask[0] = [0, 127, 128, 200, 255]
    cases = one_case(tmp_path, mask)
    assert read_mask(cases, 0)[0].tolist() == [False, False, True, True, True]
    assert not read_mask(cases, 0)[1:].any()
    assert [has_mask(cases, 0), has_mask(cases, 1)] == [True, False]
    assert not has_mask(table([row("a")]), 0)


def test_a_mask_has_the_size_of_the_upright_image(tmp_path: Path) -> None:
    turned = one_case(tmp_path, np.full((5, 3), 255, dtype=np.uint8), orientation=6)
    assert read_mask(turned, 0).shape == (5, 3)
    cases = one_case(tmp_path, np.full((5, 3), 255, dtype=np.uint8))
    with pytest.raises(ImageError, match=r"masks/a\.png: expected a mask of 5 x 3 .*a\.jpg, got 3 x 5"):
        read_mask(cases, 0)


def test_image_and_mask_obey_the_limit_of_pixels(tmp_path: Path) -> None:
    cases = one_case(tmp_path, np.full((3, 5), 255, dtype=np.uint8))
    assert read_mask(cases, 0, max_pixels=15).all()
    with pytest.raises(ImageError, match="expected at most 14 pixels, got 5 x 3"):
        read_mask(cases, 0, max_pixels=14)


def test_a_mask_without_a_lesion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"masks/a\.png: expected a lesion"):
        read_mask(one_case(tmp_path, np.zeros((3, 5), dtype=np.uint8)), 0)


def test_a_mask_that_leads_outside_the_root_is_refused() -> None:
    with pytest.raises(TableError, match=r"mask='\.\./a\.png': mask leads outside the root folder"):
        table([row("a", mask="../a.png")])
