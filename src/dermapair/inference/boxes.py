"""Where a trained run would have stage two look, for many images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from dermapair.config import CropSettings
from dermapair.data.cases import CaseTable
from dermapair.errors import ImageError

if TYPE_CHECKING:
    from dermapair.inference.predictor import Predictor


class Found(NamedTuple):
    """Rows of `boxes.parquet` without `fold` and `run`, and (image id, reason) of unreadable images."""

    rows: list[dict[str, Any]]
    errors: list[tuple[str, str]]


def find_boxes(
    predictor: Predictor,
    table: CaseTable,
    settings: CropSettings,
    *,
    rows: Iterable[int],
    progress: Callable[[int], None] = lambda done: None,
) -> Found:
    """Return the boxes of some images of a case table, each seen by itself.

    Args:
        predictor: stage one.
        table: the cases.
        settings: the recipe's `crop` section.
        rows: of the images; those of a view that the network does not take are left out.
        progress: called with how many images are done.
    """
    found = Found([], [])
    for done, row in enumerate(rows, start=1):
        image, view = table.frame["image_id"][row], table.frame["view"][row]
        if view in predictor.scorer.network.views:
            try:
                crop, of = predictor.explain(**{view: table.path(row)}).crop(view, settings)
                corners = dict(zip(("x0", "y0", "x1", "y1"), crop, strict=True))
                found.rows.append({"image_id": image, **corners, "class": of})
            except ImageError as error:
                found.errors.append((image, error.reason))
        progress(done)
    return found
