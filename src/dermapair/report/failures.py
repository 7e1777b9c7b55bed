"""The run's failures with their images and maps: a second page, as it holds pictures of patients.

Failures are chosen by the probabilities, not by eye: cases of a target that its operating point misses, then
the mistakes of which `both` is most sure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermapair.config.files import write_whole
from dermapair.data.cases import CaseTable
from dermapair.errors import ImageError, TableError
from dermapair.inference.explanation import Explanation
from dermapair.inference.predictor import Predictor
from dermapair.report import tables
from dermapair.report.page import environment
from dermapair.report.pictures import data_uri
from dermapair.report.read import RunFiles, read_run
from dermapair.report.wording import in_words
from dermapair.saliency.overlay import overlay
from dermapair.types import VIEWS, View

PICTURES = "report_pictures.html"
Shown = dict[str, Any]


def write_pictures(
    run: Path,
    predictor: Predictor,
    table: CaseTable,
    *,
    most: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write `report_pictures.html` into a run folder, whole or not at all.

    Args:
        run: the folder, of a finished run.
        predictor: of that run.
        table: the case folder that its held-out part comes from.
        most: lesions shown of each kind of failure.
        progress: called with lesions done and lesions in all.

    Returns:
        The path of the page.

    Raises:
        RunError: the run is unfinished, or a file is missing or damaged.
        TableError: a lesion is not in the table.
    """
    files = read_run(run, manifest=None)
    kinds = {**missed(files, most), "The most confident mistakes": tables.mistakes(files)[:most]}
    wanted = sorted({row["lesion"] for rows in kinds.values() for row in rows})
    shown: dict[str, list[Shown]] = {}
    for done, lesion in enumerate(wanted, start=1):
        row = next(row for rows in kinds.values() for row in rows if row["lesion"] == lesion)
        shown[lesion] = _pictures(predictor, table, lesion, row)
        progress(done, len(wanted))
    page = environment().get_template("pictures.html.j2").render(run=files, kinds=kinds, shown=shown)
    write_whole(run / PICTURES, page)
    return run / PICTURES


def missed(files: RunFiles, most: int) -> dict[str, list[tables.Row]]:
    """Return by operating point of 95% sensitivity the cases that it misses, the least probable first."""
    rows, p = files.scored("both")
    classes = files.results["classes"]
    found = {}
    for point in files.facts.operating_points:
        if point.rule != "sensitivity 95":
            continue
        score = point.probability(p, classes)
        of = rows["truth"].is_in(list(point.classes)).to_numpy() & ~point.decide(p, classes)
        worst = np.flatnonzero(of)[np.argsort(score[of], kind="stable")][:most]
        title = f"Missed at the operating point {in_words(point.name)}"
        found[title] = [tables.mistake(rows, p, classes, int(i)) for i in worst]
    return found


def _pictures(predictor: Predictor, table: CaseTable, lesion: str, row: Mapping[str, Any]) -> list[Shown]:
    """Return what is shown of each view of a lesion: its image, and the maps of two classes over it."""
    paths = _paths(table, lesion)
    try:
        explanation = predictor.explain(**paths)
    except ImageError as error:
        return [{"view": "", "reason": str(error)}]
    names = list(dict.fromkeys((row["predicted"], row["truth"])))
    return [
        {"view": view, "image": data_uri(explanation.images[view]), "maps": _maps(explanation, view, names)}
        for view in explanation.placed
    ]


def _paths(table: CaseTable, lesion: str) -> dict[View, Path]:
    """Return the first image of each view of a lesion."""
    frame = table.frame.with_row_index("row").filter(pl.col("lesion_id") == lesion)
    if not len(frame):
        raise TableError(
            f"{table.folder}: expected the lesion {lesion!r} of the run's predictions, but it is not there; "
            "take the case folder that the run was trained on"
        )
    first = {view: frame.filter(pl.col("view") == view)["row"] for view in VIEWS}
    return {view: table.path(rows[0]) for view, rows in first.items() if len(rows)}


def _maps(explanation: Explanation, view: View, names: Sequence[str]) -> list[Shown]:
    """Return the maps of some classes by the view's own readout, on one scale."""
    top = float(explanation.top(view).max())
    found = []
    for name in names:
        k = explanation.classes.index(name)
        there = explanation.box(view, k) is not None
        drawn = overlay(explanation.images[view], explanation.to_pixels(view, k), top=top, evidence=there)
        p = float(explanation.prediction.probabilities[view][k])
        found.append({"name": name, "image": data_uri(drawn), "evidence": there, "p": p})
    return found
