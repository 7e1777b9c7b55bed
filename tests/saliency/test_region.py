"""What is read from the maps of all classes before a part is cut out."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from dermapair.config import CropSettings
from dermapair.errors import RecipeError
from dermapair.saliency.region import EVIDENCE, evidence

MAPS = np.array([[[1.0, -2.0]], [[3.0, 4.0]], [[2.0, 1.0]]])
P = np.array([0.2, 0.3, 0.5])


def test_each_rule_by_hand() -> None:
    assert evidence(MAPS, P, rule="predicted").tolist() == [[2.0, 1.0]]
    expected = [[0.2 + 0.9 + 1.0, 1.2 + 0.5]]
    assert evidence(MAPS, P, rule="weighted") == pytest.approx(np.array(expected))
    expected = [[np.std([1, 3, 2]), np.std([-2, 4, 1])]]
    assert evidence(MAPS, P, rule="contrast") == pytest.approx(np.array(expected))


def test_contrast_does_not_see_what_all_classes_have_in_common(rng: np.random.Generator) -> None:
    common = rng.normal(size=(1, 1, 2))
    assert evidence(MAPS + common, P, rule="contrast") == pytest.approx(evidence(MAPS, P, rule="contrast"))


@pytest.mark.parametrize("rule", EVIDENCE)
def test_no_rule_depends_on_the_order_of_the_classes(rule: str) -> None:
    turned = evidence(MAPS[::-1], P[::-1], rule=rule)
    assert turned == pytest.approx(evidence(MAPS, P, rule=rule))


def test_the_recipe_takes_exactly_these_rules() -> None:
    assert get_args(CropSettings.model_fields["evidence"].annotation) == tuple(EVIDENCE)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown crop\.evidence 'true'; known: contrast, predicted, weighted"
    ):
        evidence(MAPS, P, rule="true")
