"""Figure 3: lesions that one view alone got wrong and the pair got right, chosen by rule, with their maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dermapair.data.cases import CaseTable
from dermapair.errors import DermapairError
from dermapair.inference.predictor import Predictor, load
from dermapair.report.pictures import data_uri
from dermapair.reproduce.ge2017.collect import Scored
from dermapair.reproduce.ge2017.plan import Planned
from dermapair.saliency.overlay import overlay
from dermapair.types import VIEWS

LESIONS = 4
RULE = (
    "Among the test lesions that both views together get right and exactly one view alone gets wrong, those "
    "whose true class gains most in probability from that view to both, at most one for each class."
)


def chosen(scored: Scored, run: Planned) -> list[dict[str, Any]]:
    """Return the lesions that the rule chooses, the largest gain first."""
    p = scored.probabilities[run.folder]
    rows = np.arange(len(scored.labels))
    right = {r: p[r].argmax(axis=1) == scored.labels for r in (*VIEWS, "both")}
    found = []
    for view, other in (VIEWS, VIEWS[::-1]):
        gain = p["both"][rows, scored.labels] - p[view][rows, scored.labels]
        for i in np.flatnonzero(right["both"] & right[other] & ~right[view]):
            named = scored.classes[p[view][i].argmax()]
            truth = scored.classes[scored.labels[i]]
            entry = {"lesion": scored.ids[i], "wrong": view, "named": named, "truth": truth}
            found.append(entry | {"gain": float(gain[i])})
    found.sort(key=lambda entry: (-entry["gain"], entry["lesion"]))
    first = {entry["truth"]: entry for entry in reversed(found)}
    return sorted(first.values(), key=lambda entry: -entry["gain"])[:LESIONS]


def drawn(run: Path, table: CaseTable, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries with `pictures`: by view, the image and the map of `both` over it, as data URIs."""
    predictor = load(run)
    result = []
    for entry in entries:
        try:
            result.append(entry | {"pictures": _pictures(predictor, table, entry["lesion"], entry["truth"])})
        except DermapairError as error:
            result.append(entry | {"pictures": {}, "error": str(error)})
    return result


def _pictures(predictor: Predictor, table: CaseTable, lesion: str, truth: str) -> dict[str, dict[str, str]]:
    """Return by view `image` and `map`, of the first image of each view."""
    rows = table.frame.with_row_index("row").filter(table.frame["lesion_id"] == lesion)
    files = {view: table.path(rows.row(index)[0]) for index, view in reversed(list(enumerate(rows["view"])))}
    explanation = predictor.explain(clinical=files["clinical"], dermoscopic=files["dermoscopic"])
    k, result = predictor.classes.index(truth), {}
    for view in VIEWS:
        image, values = explanation.images[view], explanation.to_pixels(view, k, readout="both")
        evidence = explanation.box(view, k, readout="both") is not None
        top = float(explanation.top(view, readout="both")[k])
        over = overlay(image, values, top=top, evidence=evidence)
        result[str(view)] = {"image": data_uri(image), "map": data_uri(over)}
    return result
