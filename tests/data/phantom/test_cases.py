"""The phantom pictures: which attribute shows where, and what the masks mark."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.data.phantom.canvas import Canvas
from dermapair.data.phantom.cases import draw_view
from dermapair.data.phantom.skin import SKIN_TONES
from dermapair.data.phantom.world import ATTRIBUTES, VIEWS, Attribute

SIZE = 96
BASE = {a.name: a.values[0] for a in ATTRIBUTES}
CHANGES = [(a, value) for a in ATTRIBUTES for value in a.values[1:]]


def _draw(
    view: str, attributes: dict[str, str], lesion: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return draw_view(Canvas(view, 0, lesion, SIZE), attributes, tone=2)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("attribute", "value"), CHANGES, ids=lambda x: x if isinstance(x, str) else x.name)
def test_an_attribute_changes_the_views_that_show_it_and_no_pixel_of_the_other(
    view: str, attribute: Attribute, value: str
) -> None:
    before, after = _draw(view, BASE)[0], _draw(view, BASE | {attribute.name: value})[0]
    moved = np.abs(before.astype(int) - after).max(axis=2) > 24
    if view in attribute.views:
        assert moved.mean() > 0.01
    else:
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("attribute", "value"), CHANGES, ids=lambda x: x if isinstance(x, str) else x.name)
def test_hair_depends_on_no_attribute_and_the_lesions_place_on_its_border_alone(
    view: str, attribute: Attribute, value: str
) -> None:
    (_, lesion, hair), (_, lesion_after, hair_after) = (
        _draw(view, BASE),
        _draw(view, BASE | {attribute.name: value}),
    )
    np.testing.assert_array_equal(hair, hair_after)
    assert (attribute.name == "border") != np.array_equal(lesion, lesion_after)


@pytest.mark.parametrize("view", VIEWS)
def test_the_lesion_mask_is_where_the_lesions_colour_shows(view: str) -> None:
    dark, blue = (_draw(view, BASE | {"colour": colour})[0].astype(int) for colour in ("dark", "blue"))
    differs = np.abs(dark - blue).max(axis=2) > 20
    inside = _draw(view, BASE)[1] == 255
    assert (differs & inside).sum() / (differs | inside).sum() > 0.9


@pytest.mark.parametrize("view", VIEWS)
def test_hair_is_darker_than_what_lies_beside_it(view: str) -> None:
    hairy = [draw for draw in (_draw(view, BASE, lesion) for lesion in range(12)) if draw[2].any()]
    assert 2 <= len(hairy) < 12
    for picture, _, hair in hairy:
        assert picture[hair == 255].mean() < 0.8 * np.median(picture)


def test_the_dermoscopic_view_is_the_closer_one() -> None:
    areas = {view: np.mean([_draw(view, BASE, lesion)[1].mean() for lesion in range(4)]) for view in VIEWS}
    assert areas["dermoscopic"] > 1.7 * areas["clinical"]


@pytest.mark.parametrize("view", VIEWS)
def test_lighter_skin_tones_are_lighter(view: str) -> None:
    means = [draw_view(Canvas(view, 0, 0, SIZE), BASE, tone)[0].mean() for tone in sorted(SKIN_TONES)]
    assert means == sorted(means, reverse=True)


def test_pictures_are_four_to_three_uint8_rgb() -> None:
    picture, lesion, hair = _draw("clinical", BASE)
    assert picture.shape == (96, 128, 3)
    assert lesion.shape == hair.shape == (96, 128)
    assert {a.dtype for a in (picture, lesion, hair)} == {np.dtype(np.uint8)}
    assert set(np.unique(lesion)) == {0, 255}


def test_size_changes_the_detail_and_not_the_scene() -> None:
    small, large = (draw_view(Canvas("dermoscopic", 0, 0, size), BASE, 2)[1] for size in (96, 192))
    assert small.mean() == pytest.approx(large.mean(), rel=0.03)
