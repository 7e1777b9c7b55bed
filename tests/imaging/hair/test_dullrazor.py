"""DullRazor's four steps, each by itself, and what they do to an image."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.imaging.hair.dullrazor import BASE, DullRazor, adaptive_median, line, runs
from imaging.hair.drawn import HAIR, hairy, skin


def longest_run(row: np.ndarray) -> np.ndarray:
    """Return for each pixel of a row the length of its run, counted one by one."""
    result = np.zeros(len(row), int)
    start = 0
    for x in range(len(row) + 1):
        if x == len(row) or not row[x]:
            result[start:x] = x - start
            start = x + 1
    return result


@pytest.mark.parametrize("length", [3, 5, 9])
def test_runs_are_counted_along_the_line(length: int, rng: np.random.Generator) -> None:
    mask = (rng.random((40, 60)) < 0.8).astype(np.uint8)
    along = np.stack([longest_run(row) for row in mask]) >= length
    np.testing.assert_array_equal(runs(mask, length, 0.0), along)
    np.testing.assert_array_equal(runs(mask.T.copy(), length, np.pi / 2), along.T)


@pytest.mark.parametrize("angle", np.arange(12) * np.pi / 12)
def test_a_line_is_thin_odd_and_the_same_from_both_ends(angle: float) -> None:
    element = line(15, angle)
    assert all(side % 2 == 1 for side in element.shape)
    assert element.sum() == max(element.shape)
    assert element[element.shape[0] // 2, element.shape[1] // 2] == 1
    np.testing.assert_array_equal(element, element[::-1, ::-1])


def test_hair_is_bridged_in_a_straight_line_from_side_to_side() -> None:
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None], (200, BASE, 3)).copy()
    ramp[98:102, 40:260] = 0
    mask, fill = DullRazor().find(ramp)
    cleaned = fill()
    assert mask[98:102, 40:260].all()
    truth = np.broadcast_to(np.arange(200)[:, None, None], ramp.shape)
    assert np.abs(cleaned.astype(int) - truth)[mask].max() <= 1


def test_a_hair_at_the_border_takes_the_side_that_is_there() -> None:
    image = np.full((200, BASE, 3), 180, dtype=np.uint8)
    image[:3] = HAIR
    mask, fill = DullRazor().find(image)
    cleaned = fill()
    assert mask[:3].all()
    assert (cleaned == 180).all()


@pytest.mark.parametrize("scale", [0.75, 1.5, 3.0])
def test_hair_is_found_at_every_resolution_and_the_lesion_is_not(scale: float) -> None:
    image, truth = hairy(scale)
    method = DullRazor(directions=12, length=20)
    mask, fill = method.find(image)
    cleaned = fill()
    assert mask[truth].mean() > 0.9
    assert mask.mean() < 3 * truth.mean()
    error = np.abs(cleaned.astype(int) - skin(scale))
    assert error[truth].mean() < 0.15 * np.abs(image.astype(int) - skin(scale))[truth].mean()
    np.testing.assert_array_equal(cleaned[~mask], image[~mask])


def test_short_and_wide_things_are_no_hair() -> None:
    image = skin()
    image[50:56, 50:60] = HAIR  # too short
    image[300:330, 50:200] = HAIR  # too wide
    assert not DullRazor().find(image).mask.any()


def test_turning_the_image_turns_the_result(rng: np.random.Generator) -> None:
    image, _ = hairy()
    once = DullRazor(directions=2).find(np.rot90(image).copy()).mask
    np.testing.assert_array_equal(once, np.rot90(DullRazor(directions=2).find(image).mask))


def test_the_adaptive_median_takes_impulses_only(rng: np.random.Generator) -> None:
    image = np.clip(rng.normal(120, 4, (40, 40, 3)), 0, 254).astype(np.uint8)
    image[20, 20] = 255
    everywhere = np.ones((40, 40), bool)
    assert abs(int(adaptive_median(image, everywhere)[20, 20, 0]) - 120) < 15
    nowhere = adaptive_median(image, ~everywhere)
    np.testing.assert_array_equal(nowhere, image)
