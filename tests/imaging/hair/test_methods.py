"""What holds for every method of hair removal."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dermapair.errors import UsageError
from dermapair.imaging.hair import METHODS, network, remove_hair
from imaging.hair.drawn import HAIR, hairy, skin

pytestmark = pytest.mark.parametrize("method", METHODS)


def test_hair_goes_and_the_rest_stays(method: str) -> None:
    image, truth = hairy(2.0)
    before = image.copy()
    done = remove_hair(image, method)
    np.testing.assert_array_equal(image, before)
    near = cv2.dilate(done.mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0  # its blurred edge too
    np.testing.assert_array_equal(done.image[~near], image[~near])
    assert done.image.dtype == np.uint8 and done.image.shape == image.shape
    assert not done.refused
    hair = np.abs(image.astype(int) - skin(2.0))[truth].mean()
    assert np.abs(done.image.astype(int) - skin(2.0))[truth].mean() < 0.75 * hair


def test_skin_without_hair_stays_as_it_is(method: str) -> None:
    done = remove_hair(skin(2.0), method)
    assert (done.image != skin(2.0)).any(axis=2).mean() <= 0.005


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2), (7, 900)], ids=str)
def test_any_size_is_taken(method: str, size: tuple[int, int], rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    done = remove_hair(image, method)
    assert done.image.shape == image.shape
    assert done.mask.shape == size


def test_the_same_image_gives_the_same_result(method: str) -> None:
    image, _ = hairy()
    np.testing.assert_array_equal(remove_hair(image, method).image, remove_hair(image.copy(), method).image)


def test_a_picture_full_of_lines_is_left_alone(method: str) -> None:
    image = skin(2.0)
    for x in range(0, image.shape[1], 12):
        image[:, x : x + 4] = HAIR
    done = remove_hair(image, method)
    assert done.refused
    np.testing.assert_array_equal(done.image, image)


def test_an_unknown_method_is_refused(method: str) -> None:
    with pytest.raises(UsageError, match="expected one of dullrazor"):
        remove_hair(skin(), method + "x")


def test_nothing_is_drawn_from_torchs_generator(method: str) -> None:
    """Hair may be removed in a thread in the middle of a training, which must resume to the same result."""
    if method == "learned":
        network._network.cache_clear()
    before = torch.random.get_rng_state()
    remove_hair(hairy()[0], method)
    assert torch.equal(torch.random.get_rng_state(), before)
