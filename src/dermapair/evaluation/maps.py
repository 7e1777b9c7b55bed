"""Are the maps true? Class activation maps against lesion masks, beside what needs no network.

Lesions lie in the middle of their images and may fill them, so a map must beat a constant one and the middle.
Whether the network follows its maps is measured in `faithfulness`; the figures of one map are in
`metrics.saliency`.

Letters: H W pixels of the user's image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Lesions
from dermapair.data.masks import has_mask, read_mask
from dermapair.errors import ImageError, UsageError
from dermapair.evaluation.evaluate import plain
from dermapair.evaluation.faithfulness import LEVELS, Errors, Files, explained, measure_faithfulness
from dermapair.inference.explanation import Explanation
from dermapair.inference.model import weights_digest
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import Array
from dermapair.metrics.bootstrap import bootstrap_mean, wilson_interval
from dermapair.metrics.saliency import Mask, box_iou, mass_inside, pointing_game
from dermapair.types import Box, View

SCHEMA_VERSION = 1
OWN = "own"
"""Name of a view's own readout."""
INTERVAL = {"level": 0.95, "method": "Wilson for hits, else bootstrap; of patients where known, else lesions"}

Figures = dict[str, float]
Columns = dict[str, Array]


class _Measured(NamedTuple):
    """The figures of one view of one lesion: of the map of each readout, and of what needs no network."""

    lesion: int
    view: View
    row: int
    predicted: str
    readouts: dict[str, Figures]
    baselines: dict[str, Figures]


def measure_maps(
    predictor: Predictor,
    table: CaseTable,
    *,
    split: str | None = None,
    limit: int = 0,
    seed: int = 0,
    faithful: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measure the maps of the class that each view's own readout predicts.

    Args:
        predictor: a trained run.
        table: the cases; lesion masks in the extra column `mask`. One image per view is drawn by seed.
        split: only this part.
        limit: at most so many lesions, drawn by seed; 0 takes all.
        seed: of every draw.
        faithful: how many of them, drawn by seed, also get deletion and insertion curves and the check with
            randomised weights, which need no mask.
        progress: called with (steps done, steps in all).

    Returns:
        What `maps.json` holds: plain values, None where not defined. `weights`: SHA-256 of the run's weights.
        `views`, by view: the figures of each
        readout ("own" is the view's own, "cross" and "both" where the lesion has both views) and those of
        `baselines`: "chance" is a constant map, whose box is all that the network saw, "middle" the pixel in
        the middle and the box of half the width and height there. `over` is the difference to them, paired.
        `faithfulness`: by view, see there. `lesions`: the rows behind "own". `errors`: (lesion id, reason)
        for each image or mask that could not be read.

    Raises:
        UsageError: the table has no lesion with a mask, and `faithful` is 0.
    """
    lesions = predictor.lesions(table, split=split).one_image_each(seed=seed)
    lesions = lesions.take(_draw(len(lesions), limit, seed=seed))
    masked = _has_masks(table, lesions, needed=not faithful)
    errors: Errors = []
    tested = _draw(len(lesions), faithful, seed=seed + 1) if faithful else np.arange(0)
    first = len(lesions) if masked else 0
    total = first + len(tested) * (1 + len(LEVELS))
    found: list[_Measured] = []
    for i in range(first):
        found += _measure(predictor, table, lesions, i, errors)
        progress(i + 1, total)
    faithfulness = measure_faithfulness(
        predictor,
        {lesions.ids[i]: _files(table, lesions, i) for i in tested},
        groups=lesions.groups[tested],
        seed=seed,
        errors=errors,
        progress=lambda done: progress(first + done, total),
    )
    views = {view: _view(found, lesions, view) for view in predictor.scorer.network.views}
    return {
        "schema_version": SCHEMA_VERSION,
        "weights": weights_digest(predictor.run),
        "adapter": table.manifest.get("adapter"),
        "split": split or "all",
        "seed": seed,
        "n_lesions": len(lesions),
        "interval": INTERVAL,
        "views": {view: figures for view, figures in views.items() if figures},
        "faithfulness": faithfulness,
        "lesions": [_row(each, table, lesions) for each in found],
        "errors": [list(error) for error in dict.fromkeys(errors)],
    }


def _has_masks(table: CaseTable, lesions: Lesions, *, needed: bool) -> bool:
    """Return whether any image of the lesions has a mask."""
    found = any(has_mask(table, row) for of in lesions.images.values() for rows in of for row in rows)
    if needed and not found:
        raise UsageError(
            f"{table.folder or table.root}: expected lesion masks in the column mask, got none; give another "
            f"case folder, or measure faithfulness alone (--faithful)"
        )
    return found


def _draw(n: int, limit: int, *, seed: int) -> NDArray[np.int64]:
    """Return at most `limit` of n indices, ascending; 0 is all of them."""
    drawn = np.random.default_rng([seed, 104729]).permutation(n)[: limit or n]
    return np.sort(drawn)


def _files(table: CaseTable, lesions: Lesions, i: int) -> Files:
    """Return by view the image of a lesion."""
    return {view: table.path(of[i][0]) for view, of in lesions.images.items() if of[i]}


def _measure(
    predictor: Predictor, table: CaseTable, lesions: Lesions, i: int, errors: Errors
) -> list[_Measured]:
    """Return the figures of one lesion's views that have a mask; what cannot be read goes to `errors`."""
    rows = {view: of[i][0] for view, of in lesions.images.items() if of[i] and has_mask(table, of[i][0])}
    if not rows:
        return []
    explanation = explained(predictor, _files(table, lesions, i), lesions.ids[i], errors)
    found = []
    for view, row in rows.items():
        if explanation is None or view not in explanation.placed:
            continue
        try:
            mask = read_mask(table, row, max_pixels=predictor.scorer.data.max_pixels)
        except ImageError as error:
            errors.append((lesions.ids[i], str(error)))
            continue
        predicted = explanation.classes[explanation.predicted(view)]
        found.append(_Measured(i, view, row, predicted, *_figures(explanation, view, mask)))
    return found


def _figures(e: Explanation, view: View, mask: Mask) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Return by readout the figures of a view's maps, and those of the baselines."""
    names = {OWN: str(view)}
    if len(e.placed) > 1:  # else `both` is the view's own
        names |= {r: r for r in ("cross", "both") if r in e.prediction.probabilities}
    k, result = e.predicted(view), {}
    for name, readout in names.items():
        values = e.to_pixels(view, k, readout=readout)
        result[name] = {
            "pointing_game": pointing_game(values, mask),
            "mass_inside": mass_inside(values, mask),
            "box_iou": box_iou(e.box(view, k, readout=readout), mask),
        }
    seen = ~np.isnan(e.to_pixels(view, k))
    height, width = mask.shape
    share = float(mask[seen].mean())
    return result, {
        "chance": {
            "pointing_game": share,
            "mass_inside": share,
            "box_iou": box_iou(_middle_box(seen, share=1.0), mask),
        },
        "middle": {
            "pointing_game": float(mask[height // 2, width // 2]),
            "box_iou": box_iou(_middle_box(seen, share=0.5), mask),
        },
    }


def _middle_box(seen: Mask, *, share: float) -> Box:
    """Return the box of a share of width and height in the middle of what the network saw."""
    y, x = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    (x0, x1), (y0, y1) = ((ends[0], ends[-1] + 1) for ends in (x, y))
    width, height = (1 - share) / 2 * (x1 - x0), (1 - share) / 2 * (y1 - y0)
    return float(x0 + width), float(y0 + height), float(x1 - width), float(y1 - height)


def _view(found: Sequence[_Measured], lesions: Lesions, view: View) -> dict[str, Any]:
    """Return the figures of a view over its lesions; empty where it has none."""
    here = [each for each in found if each.view == view]
    if not here:
        return {}
    readouts = {}
    for name in (OWN, "cross", "both"):
        has = [each for each in here if name in each.readouts]
        if has:
            readouts[name] = _readout(has, name, lesions.groups[[each.lesion for each in has]])
    groups = lesions.groups[[each.lesion for each in here]]
    baselines = {
        name: _means(_columns([each.baselines[name] for each in here]), groups) for name in here[0].baselines
    }
    return {"n": len(here), "baselines": baselines, "readouts": readouts}


def _readout(here: Sequence[_Measured], name: str, groups: NDArray[np.int64]) -> dict[str, Any]:
    """Return the figures of one readout's maps, and what they have over the baselines."""
    figures = _columns([each.readouts[name] for each in here])
    over = {}
    for other in here[0].baselines:
        theirs = _columns([each.baselines[other] for each in here])
        gain = {key: figures[key] - values for key, values in theirs.items()}
        over[other] = {key: plain(bootstrap_mean(values, groups=groups)) for key, values in gain.items()}
    without = int(np.isnan(figures["mass_inside"]).sum())
    return {"n": len(here), "without_evidence": without, **_means(figures, groups), "over": over}


def _means(figures: Columns, groups: NDArray[np.int64]) -> dict[str, dict[str, float | None]]:
    """Return the mean of each figure with its interval; hits are shares where maxima tie.

    Wilson's interval takes cases for independent, so it counts patients where they are known.
    """
    result = {key: plain(bootstrap_mean(values, groups=groups)) for key, values in figures.items()}
    hits = figures["pointing_game"]
    if np.isin(hits, (0, 1)).all():
        share, n = float(hits.mean()), len(np.unique(groups))
        result["pointing_game"] = plain(wilson_interval(min(share * n, n), n))
    return result


def _columns(rows: Sequence[Figures]) -> Columns:
    """Return rows of figures as a column for each."""
    return {key: np.array([row[key] for row in rows], dtype=np.float64) for key in rows[0]}


def _row(each: _Measured, table: CaseTable, lesions: Lesions) -> dict[str, Any]:
    """Return one row of `lesions`."""
    own = each.readouts[OWN]
    return {
        "lesion_id": lesions.ids[each.lesion],
        "view": each.view,
        "image_id": str(table.frame["image_id"][each.row]),
        "predicted": each.predicted,
        **own,
        "mass_inside": None if np.isnan(own["mass_inside"]) else own["mass_inside"],
    }
