"""What a prediction averages over: orientations, and the five cuts of ten-view testing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dermapair
from dermapair.inference.orientations import orientations
from dermapair.inference.scores import softmax
from evaluation.dark import SIDE, dark_predictor
from inference.runs import save_tiny_run

TEN = {"views": 2, "crop": "five"}


def test_ten_views_are_five_cuts_each_mirrored_too() -> None:
    ten = orientations(2, shown=256, side=224)
    assert len(ten) == 10 and ten[0] == (False, 0, (16, 16), 224), "the first is the centre as it is"
    assert {(o.corner, o.mirror) for o in ten} == {
        (corner, mirror)
        for corner in ((16, 16), (0, 0), (32, 0), (0, 32), (32, 32))
        for mirror in (False, True)
    }
    assert orientations(8, shown=224, side=224)[0] == (False, 0, (0, 0), 0), "nothing is cut"


def test_the_score_is_the_mean_over_the_ten_views(tmp_path: Path, rng: np.random.Generator) -> None:
    """Each view by hand: cut from the square, mirrored, and shown to the same network alone."""
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    kind = {"kind": "single", "view": "dermoscopic"}
    ten = dermapair.load(save_tiny_run(tmp_path / "ten", predict=TEN, **kind), device="cpu")
    one = dermapair.load(
        save_tiny_run(tmp_path / "one", data={"size": 32, "input": 32}, **kind), device="cpu"
    )
    cuts = [image[y : y + 32, x : x + 32] for x, y in ((4, 4), (0, 0), (8, 0), (0, 8), (8, 8))]
    each = [cut[:, ::turn] for cut in cuts for turn in (1, -1)]
    logits = [one.predict(dermoscopic=np.ascontiguousarray(view)).logits["both"] for view in each]
    found = ten.predict(dermoscopic=image)
    np.testing.assert_allclose(found.logits["both"], np.mean(logits, axis=0), atol=1e-4)
    np.testing.assert_allclose(found.probabilities["both"], softmax(found.logits["both"]), atol=1e-9)


@pytest.mark.parametrize("corner", [(4, 6), (44, 40), (24, 24)])
def test_maps_of_ten_views_lie_on_the_whole_image(corner: tuple[int, int], tmp_path: Path) -> None:
    """A dark square near a corner is found where it is, also where the centre cut does not reach."""
    predictor = dark_predictor(tmp_path / "dark", predict=TEN)
    image = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
    x, y = corner
    image[y : y + 16, x : x + 16] = 0
    explanation = predictor.explain(dermoscopic=image)
    values = explanation.to_pixels("dermoscopic", 0)
    assert np.isfinite(values).all(), "five cuts cover the square"
    top, left = np.unravel_index(values.argmax(), values.shape)
    assert x - 2 <= left < x + 18 and y - 2 <= top < y + 18
    box = explanation.box("dermoscopic", 0, threshold=0.8)
    assert box is not None
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    assert np.hypot(middle[0] - x - 8, middle[1] - y - 8) < 8
