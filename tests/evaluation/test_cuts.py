"""Parts against lesion masks, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.tables import row, save, table
from dermapair.errors import UsageError
from dermapair.evaluation.cuts import measure_cuts
from dermapair.metrics.saliency import share_inside
from evaluation.dark import SIDE, dark_squares


def test_the_figures_by_hand(tmp_path: Path) -> None:
    """Squares of 16 px: the first is in the part, the second by half, the third not."""
    cases = dark_squares(tmp_path, [(8, 8), (40, 40), (0, 0)])
    boxes = {0: (0.0, 0.0, 64.0, 64.0), 1: (48.0, 40.0, 64.0, 56.0), 2: (32.0, 32.0, 64.0, 64.0)}
    found = measure_cuts(cases, boxes)
    images = {each["image_id"]: each for each in found["images"]}
    assert [images[f"i{i}"]["kept"] for i in range(3)] == [1.0, 0.5, 0.0]
    assert [images[f"i{i}"]["part"] for i in range(3)] == [1.0, 1 / 16, 1 / 4]
    assert [images[f"i{i}"]["iou"] for i in range(3)] == [1 / 16, pytest.approx(1 / 3), 0.0]
    assert [images[f"i{i}"]["lesion"] for i in range(3)] == [1 / 16] * 3
    assert [images[f"i{i}"]["under_half"] for i in range(3)] == [False, False, True]
    assert found["n"] == 3 and found["errors"] == []
    assert (found["kept"]["value"], found["whole"]["value"]) == (0.5, pytest.approx(1 / 3))


def test_a_mask_that_cannot_be_read_costs_its_image(tmp_path: Path) -> None:
    cases = dark_squares(tmp_path, [(8, 8), (40, 40)])
    (tmp_path / "m1.png").write_bytes(b"nothing")
    everything = (0.0, 0.0, float(SIDE), float(SIDE))
    found = measure_cuts(cases, {0: everything, 1: everything})
    assert found["n"] == 1
    assert [image for image, _ in found["errors"]] == ["i1"]
    with pytest.raises(UsageError, match="got 1 that cannot be read, the first: "):
        measure_cuts(cases, {1: everything})


def test_images_without_masks_are_asked_for(tmp_path: Path) -> None:
    save(tmp_path / "i0.png", np.zeros((8, 8, 3), dtype=np.uint8))
    cases = replace(table([row("i0")], tmp_path))
    with pytest.raises(
        UsageError, match=r"expected boxed images with lesion masks \(column mask\), got none"
    ):
        measure_cuts(cases, {0: (0.0, 0.0, 8.0, 8.0)})


def test_the_share_inside_a_box_counts_pixels_that_it_touches() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[1:3, 1:3] = True
    assert share_inside((1.0, 1.0, 2.0, 3.0), mask) == 0.5
    assert share_inside((1.0, 1.0, 2.1, 3.0), mask) == 1.0
    assert np.isnan(share_inside((0.0, 0.0, 4.0, 4.0), np.zeros((4, 4), dtype=bool)))
