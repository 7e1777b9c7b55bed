"""Figures 2 to 4 of the paper: an image with its maps, loss curves, and parts that miss the lesion.

Which images are shown is decided by rule, never by eye.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dermapair.data.cases import CaseTable
from dermapair.errors import DermapairError
from dermapair.inference.explanation import Explanation
from dermapair.inference.predictor import load
from dermapair.report import figures
from dermapair.report.explanation import with_cut
from dermapair.report.pictures import data_uri
from dermapair.reproduce.jia2017 import plan
from dermapair.reproduce.jia2017.collect import Rows
from dermapair.saliency.overlay import overlay

MISSED = 4
LINES = {"training": "both", "validation": "dermoscopic"}
"""Curve of figure 3 -> the readout whose line it is drawn with."""
RULE_2 = (
    "The image of each class that stage 1 names rightly with the highest probability, of the part that is "
    "scored first."
)
RULE_4 = (
    f"The {MISSED} images with the smallest share of the lesion inside the part, each cut by a run that has "
    f"not seen it."
)


def surest(rows: Rows, truth: Mapping[str, int], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each class the lesion that is named rightly with the highest probability, if any."""
    found: dict[int, tuple[float, str]] = {}
    for lesion, p in zip(*rows, strict=True):
        k = int(p.argmax())
        if truth.get(lesion) == k and (float(p[k]), lesion) > found.get(k, (0.0, "")):
            found[k] = (float(p[k]), lesion)
    return [{"class": classes[k], "lesion": found[k][1], "probability": found[k][0]} for k in sorted(found)]


def with_maps(run: Path, table: CaseTable, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries of `surest` with `pictures`: the image, and each class's map over it, as data URIs."""
    predictor, lesions = load(run), table.frame["lesion_id"].to_list()
    return [
        entry | _tried(lambda files: _maps(predictor.explain(**files)), table, lesions.index(entry["lesion"]))
        for entry in entries
    ]


def missed(images: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the images of `measure_cuts` that RULE_4 chooses, the worst first."""
    return sorted(images, key=lambda each: (each["kept"], each["image_id"]))[:MISSED]


def with_parts(
    runs: Path, table: CaseTable, entries: Sequence[dict[str, Any]], *, rule: str
) -> list[dict[str, Any]]:
    """Return entries of `missed` with `pictures`: the image, with stage one's map and the part's frame."""
    result = []
    for entry in entries:
        predictor, box = load(runs / f"masks-{entry['fold']}"), tuple(entry["box"])
        row = table.frame["image_id"].to_list().index(entry["image_id"])

        def draw(files: dict[str, Any], predictor: Any = predictor, box: Any = box) -> dict[str, str]:
            explanation = predictor.explain(**files)
            (view,) = explanation.placed
            return {
                "image": data_uri(explanation.images[view]),
                "part": data_uri(with_cut(explanation, view, box, rule=rule)),
            }

        result.append(entry | _tried(draw, table, row))
    return result


def _tried(draw: Any, table: CaseTable, row: int) -> dict[str, Any]:
    """Return the `pictures` of an image, or the `error` why there are none."""
    try:
        return {"pictures": draw({table.frame["view"][row]: table.path(row)})}
    except DermapairError as error:
        return {"pictures": {}, "error": str(error)}


def _maps(explanation: Explanation) -> dict[str, str]:
    """Return the image and the map of each class over it; all maps share one scale."""
    (view,) = explanation.placed
    top, image = float(explanation.top(view).max()), explanation.images[view]
    result = {"image": data_uri(image)}
    for k, name in enumerate(explanation.classes):
        evidence = explanation.box(view, k) is not None
        result[name] = data_uri(overlay(image, explanation.to_pixels(view, k), top=top, evidence=evidence))
    return result


def curves_svg(curves: Mapping[str, Mapping[str, Sequence[float | None]]]) -> dict[str, Any]:
    """Return figure 3 by run: loss in training and on validation over epochs, as inline SVG."""
    result = {}
    for name, values in curves.items():
        epochs = list(range(1, len(values["training"]) + 1))
        figure = figures.curves_figure(epochs, values, ylabel="loss", best_epoch=None, styles=LINES)
        words = "from random weights" if name == plan.SCRATCH else "from pretrained weights"
        result[name] = figures.svg(figure, f"loss over epochs, {words}")
    return result
