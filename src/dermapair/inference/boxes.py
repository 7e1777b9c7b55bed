"""Where a trained run would have stage two look, and what it says of the lesions meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dermapair.augment import centre, place
from dermapair.config import CropSettings, DataSettings
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Batch, Lesions
from dermapair.data.squares import read_square
from dermapair.data.store import open_store
from dermapair.errors import ImageError
from dermapair.imaging.square import square_map
from dermapair.inference.explanation import Turned, crop_by, readout_maps
from dermapair.inference.forward import Scorer
from dermapair.inference.orientations import Orientation
from dermapair.inference.scores import Scores, softmax
from dermapair.models import Output
from dermapair.saliency.maps import cam
from dermapair.types import VIEWS, Box, FloatArray, PixelMap, RGBImage, View

if TYPE_CHECKING:
    from dermapair.inference.predictor import Predictor


class Looked(NamedTuple):
    """What stage one found in some lesions.

    Attributes:
        lesions: which.
        scores: what it says of them.
        boxes: row of the case table -> the part of that image that stage two looks at.
        classes: likewise -> the class that stage one predicts from that image.
    """

    lesions: Lesions
    scores: Scores
    boxes: dict[int, Box]
    classes: dict[int, str]


class Found(NamedTuple):
    """Rows of `boxes.parquet` without `fold` and `run`, and (image id, reason) of unreadable images."""

    rows: list[dict[str, Any]]
    errors: list[tuple[str, str]]


def look(
    predictor: Predictor, table: CaseTable, lesions: Lesions, settings: CropSettings
) -> Iterator[Looked]:
    """Yield what stage one finds, a batch of lesions at a time: scores and boxes from the same passes.

    Where to cut is read from the network's own scores: a calibration fitted later changes no box.

    Args:
        predictor: stage one.
        table: the cases.
        lesions: some of them.
        settings: the recipe's `crop` section.
    """
    source = _Placed(table, predictor.scorer.data)
    predictor = predictor.uncalibrated()
    for chunk, batch, owner in predictor.scorer.batches(lesions, source):
        kept = _Kept(predictor.scorer)
        scores = predictor.scorer.score_batch(batch, owner, chunk.ids, seen=kept)
        found = Looked(chunk, scores, {}, {})
        for view, image, row in _images(chunk, batch):
            if row not in found.boxes:
                placed = source.maps.pop(row)
                try:
                    found.boxes[row], k = _box(predictor, table, kept, view, image, row, placed, settings)
                except ImageError:  # prepared, but gone since; stage two says so when it reads it
                    continue
                found.classes[row] = predictor.classes[k]
        yield found


def _images(chunk: Lesions, batch: Batch) -> Iterator[tuple[View, int, int]]:
    """Yield each image of a batch: its view, its number among those of the view, its row of the table."""
    pairs, _ = chunk.pairs()
    for view in VIEWS:
        for image, lesion in enumerate(batch.rows.get(view, ())):
            yield view, image, pairs.images[view][lesion][0]


def _box(
    predictor: Predictor,
    table: CaseTable,
    kept: _Kept,
    view: View,
    image: int,
    row: int,
    placed: PixelMap,
    settings: CropSettings,
) -> tuple[Box, int]:
    """Return the part that stage two looks at, and the index of the class that stage one predicts."""
    if predictor.scorer.network.classifier(view) is None:  # no maps without a gradient
        part, name = predictor.explain(**{view: table.path(row)}).crop(view, settings)
        return part, predictor.classes.index(name)
    turned = {view: [(orientation, maps[image]) for orientation, maps in kept.maps[view]]}
    side, probabilities = predictor.scorer.shown_side, softmax(kept.logits(view)[image])
    maps = readout_maps(turned, predictor.grid(), side=side, method="cam")
    shown = place(centre(predictor.scorer.data.size, side), placed, input_side=side)
    return crop_by(maps.on_input[view], probabilities, shown, settings), int(probabilities.argmax())


class _Kept:
    """The maps and logits of a batch by view, as each orientation of it is scored."""

    def __init__(self, scorer: Scorer) -> None:
        self.network = scorer.network
        self.maps: dict[View, list[Turned]] = {view: [] for view in scorer.network.views}
        self.each: dict[View, list[FloatArray]] = {view: [] for view in scorer.network.views}

    def __call__(self, orientation: Orientation, output: Output) -> None:
        for view in output.maps:
            maps = cam(self.network, output, view)
            if maps is not None:
                self.maps[view].append((orientation, maps.double().cpu().numpy()))
                self.each[view].append(output.logits[view].double().cpu().numpy())

    def logits(self, view: View) -> FloatArray:
        """Return (n, K), the mean over orientations."""
        return np.asarray(np.mean(self.each[view], axis=0))


class _Placed:
    """Squares of stage one, from the prepared store or the files, and where those handed out lie."""

    def __init__(self, table: CaseTable, settings: DataSettings) -> None:
        self.table, self.settings = table, settings
        self.store = open_store(table, settings)
        self.maps: dict[int, PixelMap] = {}

    def square(self, row: int) -> RGBImage:
        """Return one square; raises ImageError for a bad image."""
        if self.store is not None:
            pixels, self.maps[row] = self.store.square(row), self.store.square_map(row)
            return pixels
        made = read_square(self.table, row, self.settings)
        self.maps[row] = square_map(made.size, side=self.settings.size, fit=self.settings.fit)
        return made.pixels

    def square_map(self, row: int) -> PixelMap:
        """Return where a square that was handed out lies."""
        return self.maps[row]


def find_boxes(
    predictor: Predictor,
    table: CaseTable,
    settings: CropSettings,
    *,
    rows: Sequence[int],
    progress: Callable[[int], None] = lambda done: None,
) -> Found:
    """Return the boxes of some images of a case table, each looked at as a lesion of its own.

    Args:
        predictor: stage one.
        table: the cases.
        settings: the recipe's `crop` section.
        rows: of the images; those of a view that the network does not take are left out.
        progress: called with how many images are done.
    """
    views = table.frame["view"]
    rows = [row for row in rows if views[row] in predictor.scorer.network.views]
    ids = tuple(table.frame["image_id"][row] for row in rows)
    images: dict[View, tuple[tuple[int, ...], ...]] = {
        view: tuple((row,) if views[row] == view else () for row in rows) for view in VIEWS
    }
    nothing = np.zeros(len(rows), dtype=np.int64)
    found, done = Found([], []), 0
    for looked in look(predictor, table, Lesions(ids, nothing, nothing, images), settings):
        for row, box in looked.boxes.items():
            corners = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
            of = {"image_id": table.frame["image_id"][row], **corners, "class": looked.classes[row]}
            found.rows.append(of)
        found.errors.extend(looked.scores.errors)
        done += len(looked.lesions)
        progress(done)
    return found
