"""Does the network follow its maps? Deletion and insertion curves, and maps of randomised weights.

Neither needs a mask. Both look at the map of a view's own readout for the class that it predicts.

Letters: H W pixels of the network's input, h w map cells.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dermapair.data.lesions import Batch
from dermapair.errors import ImageError
from dermapair.evaluation.evaluate import plain
from dermapair.inference.explanation import Explanation
from dermapair.inference.forward import Scorer
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import Array
from dermapair.metrics.bootstrap import bootstrap_mean
from dermapair.metrics.saliency import area_under, rank_correlation
from dermapair.models.joint import he_init
from dermapair.saliency.place import to_pixels
from dermapair.types import VIEWS, FloatArray, PixelMap, RGBImage, View

Files = dict[View, Path]
"""By view, the image of one lesion."""
Errors = list[tuple[str, str]]
"""(lesion id, reason) of what could not be read."""

STEPS = 20
BLUR = 0.1
"""Standard deviation of the blur for "removed", in sides of the input: shape goes, colour stays."""
CURVES = ("deletion", "insertion")
ORDERS = ("map", "shuffled", "middle")
LEVELS = ("classifier", "last_half", "everything")
"""What of a copy's weights is drawn anew, each with those before it."""
CHANCE = "shuffled"
"""In place of a level: the map's own cells in another order."""


@dataclass(frozen=True)
class _Tested:
    """One view of one lesion.

    Attributes:
        lesion: its place among the lesions.
        k: class that the view's own readout predicts.
        cells: (h, w), its map.
        areas: by "<curve> <order>", the area under the curve.
        correlations: by level and of `CHANCE`, Spearman's with the map of the same class of randomised
            weights or with shuffled cells, absolute.
    """

    lesion: int
    view: View
    k: int
    cells: FloatArray
    areas: dict[str, float]
    correlations: dict[str, float]


def measure_faithfulness(
    predictor: Predictor,
    lesions: Mapping[str, Files],
    *,
    groups: NDArray[np.int64],
    seed: int,
    errors: Errors,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[View, dict[str, Any]]:
    """Measure whether the network follows its own maps, both of the image as it is, in one orientation.

    - Deletion and insertion (RISE: Petsiuk et al. 2018): the input's pixels are replaced by those of a
      blurred copy in the order of the map, most important first, or brought back into the blurred copy; the
      figure is the area under the probability of the predicted class. Beside it those of two orders that are
      as smooth: the map's own cells shuffled, and from the middle outwards. A true map has less area in
      deletion and more in insertion than both.
    - Randomised weights (Adebayo et al. 2018): the absolute value of Spearman's correlation between the cells
      of a map and those of a copy of the network whose weights are drawn anew from the classifier down. A map
      that stays alike, or turns into its negative, shows the image, not what was learned. Few cells correlate
      by chance: the mean for shuffled cells stands beside.

    Args:
        predictor: a trained run; its network stays as it is.
        lesions: by id, their images.
        groups: (N,) numbers of the patients or lesions, for the bootstrap.
        seed: of the random orders and weights.
        errors: what cannot be read is added.
        progress: called with the steps done, of N x (1 + len(LEVELS)).

    Returns:
        By view `n`, `deletion` and `insertion` with the mean areas of each of `ORDERS` and, as `over`, the
        paired difference of the map to the others, and `randomised` with the mean correlation by level and of
        `CHANCE`, each with its interval (over lesions: weights and orders are drawn once) and the number `n`
        of lesions that have one: a constant map has none.
    """
    rng, steps = np.random.default_rng([seed, 15485863]), count(1)
    once = predictor.scorer.predict.model_copy(update={"views": 1, "crop": "centre"})
    predictor = replace(predictor, scorer=replace(predictor.scorer, predict=once))
    found: list[_Tested] = []
    for i, (lesion, files) in enumerate(lesions.items()):
        explanation = explained(predictor, files, lesion, errors)
        if explanation is not None:
            found += _test(predictor, explanation, files, i, rng)
        progress(next(steps))
    names = list(lesions)
    for level, other in _randomised(predictor, seed=seed) if found else ():
        for i in range(len(lesions)):
            here = [each for each in found if each.lesion == i]
            if here:
                _compare(other, lesions[names[i]], level, here)
            progress(next(steps))
    by_view = {view: [each for each in found if each.view == view] for view in VIEWS}
    return {view: _summary(tested, groups) for view, tested in by_view.items() if tested}


def explained(predictor: Predictor, files: Files, lesion: str, errors: Errors) -> Explanation | None:
    """Return the explanation of the views that can be read, or None; the others go to `errors`."""
    while files:
        try:
            return predictor.explain(clinical=files.get("clinical"), dermoscopic=files.get("dermoscopic"))
        except ImageError as error:
            errors.append((lesion, str(error)))
            files = {view: path for view, path in files.items() if str(path) != error.source}
    return None


def _test(
    predictor: Predictor, explanation: Explanation, files: Files, i: int, rng: np.random.Generator
) -> list[_Tested]:
    """Return the curves of one lesion's views; correlations are still to come."""
    there = {view: files[view] for view in explanation.placed}
    inputs = predictor.inputs(clinical=there.get("clinical"), dermoscopic=there.get("dermoscopic"))
    scorer = predictor.scorer
    result = []
    for view, placed in explanation.placed.items():
        k = explanation.predicted(view)
        cells, grid = explanation.maps[view][k], predictor.grid()
        values = to_pixels(cells, grid, PixelMap.identity(placed.size))
        areas = {}
        shuffled = rng.permutation(cells.ravel()).reshape(cells.shape)
        importances = {
            "map": values,
            "shuffled": to_pixels(shuffled, grid, PixelMap.identity(placed.size)),
            "middle": _towards_the_middle(len(values)),
        }
        for order, importance in importances.items():
            rank = _ranks(importance, rng)
            for curve in CURVES:
                images = _sequence(inputs[view].pixels[0], rank, insert=curve == "insertion")
                areas[f"{curve} {order}"] = area_under(_probabilities(scorer, images, view, k))
        result.append(_Tested(i, view, k, cells, areas, {CHANCE: abs(rank_correlation(cells, shuffled))}))
    return result


def _towards_the_middle(side: int) -> FloatArray:
    """Return (side, side) values that are largest in the middle."""
    away = np.abs(np.arange(side) - (side - 1) / 2)
    return np.asarray(-np.hypot(away[:, None], away[None, :]))


def _ranks(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return (H, W): the share of pixels that come before each one, largest value first, ties by chance."""
    order = np.lexsort((rng.random(values.size), -values.ravel()))
    ranks = np.empty(values.size)
    ranks[order] = np.arange(values.size) / values.size
    return ranks.reshape(values.shape)


def _sequence(image: RGBImage, rank: FloatArray, *, insert: bool) -> RGBImage:
    """Return (STEPS + 1, H, W, 3): the image with ever more pixels blurred, or the reverse."""
    blurred = cv2.GaussianBlur(image, (0, 0), BLUR * len(image))
    before, after = (blurred, image) if insert else (image, blurred)
    changed = rank[None] < np.linspace(0, 1, STEPS + 1)[:, None, None]
    return np.where(changed[..., None], after, before).astype(np.uint8)


def _probabilities(scorer: Scorer, images: RGBImage, view: View, k: int) -> Array:
    """Return (n,) probabilities of class k by a view's own readout."""
    n = len(images)
    each = np.arange(n, dtype=np.int64)
    batch = Batch({str(view): images}, {str(view): each}, np.full(n, -1), ("",) * n)
    return scorer.score_batch(batch, each, batch.ids).probabilities[view][:, k]


def _randomised(predictor: Predictor, *, seed: int) -> Iterator[tuple[str, Predictor]]:
    """Yield each level with a predictor of one copy of the network, ever more of which is drawn anew."""
    device = predictor.scorer.device
    network = copy.deepcopy(predictor.scorer.network)
    other = replace(predictor, scorer=replace(predictor.scorer, network=network))
    halves = [unit for trunk in network.trunks for unit in _last_half(trunk.units)]  # type: ignore[arg-type]
    parts: dict[str, Sequence[torch.nn.Module]] = dict(
        zip(LEVELS, (list(network.heads), halves, [network]), strict=True)
    )
    for level, modules in parts.items():
        network.cpu()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for module in modules:
                module.apply(he_init)
        network.to(device)
        yield level, other


def _last_half(units: Sequence[torch.nn.Module]) -> list[torch.nn.Module]:
    return list(units)[len(units) // 2 :]


def _compare(other: Predictor, files: Files, level: str, tested: Sequence[_Tested]) -> None:
    """Note how alike the maps of another network are, for each view of one lesion."""
    files = {each.view: files[each.view] for each in tested}
    explanation = other.explain(clinical=files.get("clinical"), dermoscopic=files.get("dermoscopic"))
    for each in tested:
        other_cells = explanation.maps_for(each.view)[each.view][each.k]
        each.correlations[level] = abs(rank_correlation(each.cells, other_cells))


def _summary(tested: Sequence[_Tested], groups: NDArray[np.int64]) -> dict[str, Any]:
    """Return the means over lesions with their intervals."""
    of = groups[[each.lesion for each in tested]]

    def mean(values: Sequence[float]) -> dict[str, float | None]:
        return plain(bootstrap_mean(values, groups=of))

    return {
        "n": len(tested),
        **{c: _curve(tested, c, mean) for c in CURVES},
        "randomised": {
            level: mean(values) | {"n": int(np.isfinite(values).sum())}
            for level in (*LEVELS, CHANCE)
            for values in ([each.correlations[level] for each in tested],)
        },
    }


def _curve(
    tested: Sequence[_Tested], curve: str, mean: Callable[[Sequence[float]], dict[str, float | None]]
) -> dict[str, Any]:
    """Return the mean areas of one curve by order, and what the map has over the other orders."""
    areas = {order: [each.areas[f"{curve} {order}"] for each in tested] for order in ORDERS}
    own = np.array(areas["map"])
    over = {order: mean((own - values).tolist()) for order, values in areas.items() if order != "map"}
    return {order: mean(values) for order, values in areas.items()} | {"over": over}
