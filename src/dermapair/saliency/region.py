"""Which region of an image is cut out: what is read from the maps of all classes.

Jia & Shen 2017, section 2.1, crop "the import regions from original images according to CAM" and do not say
of which class. No rule here knows the true class: in training it would leak.

Letters: K classes, H W pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dermapair.errors import RecipeError, unknown_choice
from dermapair.types import FloatArray


def predicted(maps: FloatArray, probabilities: FloatArray) -> FloatArray:
    """The map of the most probable class, as it is."""
    return np.asarray(maps[int(probabilities.argmax())])


def weighted(maps: FloatArray, probabilities: FloatArray) -> FloatArray:
    """The positive parts of all maps, weighted by probability."""
    return np.asarray(np.einsum("k,khw->hw", probabilities, np.maximum(maps, 0.0)))


def contrast(maps: FloatArray, probabilities: FloatArray) -> FloatArray:
    """Where the classes are told apart: the standard deviation over the classes' maps.

    What all maps have in common does not change a softmax, and does not change this.
    """
    return np.asarray(maps.std(axis=0))


EVIDENCE: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "predicted": predicted,
    "weighted": weighted,
    "contrast": contrast,
}
"""Recipe key `crop.evidence` -> (K, H, W) maps and (K,) probabilities to (H, W)."""


def evidence(maps: FloatArray, probabilities: FloatArray, *, rule: str) -> FloatArray:
    """Return the (H, W) map whose region is cut out.

    Args:
        maps: (K, H, W), not clamped.
        probabilities: (K,).
        rule: a key of EVIDENCE.

    Raises:
        RecipeError: the rule is unknown.
    """
    if rule not in EVIDENCE:
        raise RecipeError(unknown_choice("crop.evidence", rule, EVIDENCE))
    return EVIDENCE[rule](maps, probabilities)
