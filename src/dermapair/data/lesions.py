"""Lesions of one split, and batches of their pixels.

A lesion may lack a view, and may have several images of one. Training draws one image per view once, by seed
(as Ge et al. 2017 did when they made their set); prediction takes all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermapair.data.cases import CaseTable
from dermapair.data.store import PixelSource
from dermapair.data.task import DROPPED, Task
from dermapair.errors import ImageError, TableError
from dermapair.types import VIEWS, RGBImage, View

T = TypeVar("T")


@dataclass(frozen=True)
class Lesions:
    """N lesions, in the order of the case table.

    Attributes:
        ids: N lesion ids.
        labels: (N,) class index, UNKNOWN (-1) where the diagnosis is null.
        groups: (N,) a number equal for lesions of one patient; resample these in a bootstrap.
        images: by view, N tuples of rows of the case table; an empty one is a missing view.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    images: dict[View, tuple[tuple[int, ...], ...]]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Lesions:
        """Return some of the lesions."""
        where = np.asarray(indices, dtype=np.int64)
        images = {view: tuple(rows[i] for i in where) for view, rows in self.images.items()}
        return Lesions(tuple(self.ids[i] for i in where), self.labels[where], self.groups[where], images)

    def one_image_each(self, *, seed: int) -> Lesions:
        """Return the lesions with one image drawn where a view has several."""
        rng = np.random.default_rng([seed, 7919])
        drawn = {
            view: tuple(rows if len(rows) < 2 else (rows[rng.integers(len(rows))],) for rows in of_view)
            for view, of_view in self.images.items()
        }
        return replace(self, images=drawn)

    def pairs(self) -> tuple[Lesions, NDArray[np.int64]]:
        """Return every pairing of a lesion's images as a lesion of its own, and which lesion each came from.

        The mean over pairings is the mean over images for a readout of one view, and over all pairs for both.
        """
        clinical, dermoscopic = (self.images[view] for view in VIEWS)
        grids = [
            list(product(c or (None,), d or (None,))) for c, d in zip(clinical, dermoscopic, strict=True)
        ]
        owner = np.repeat(np.arange(len(self)), [len(grid) for grid in grids])
        pairs = [pair for grid in grids for pair in grid]
        of: dict[View, tuple[tuple[int, ...], ...]] = {
            view: tuple(tuple(row for row in (pair[i],) if row is not None) for pair in pairs)
            for i, view in enumerate(VIEWS)
        }
        return replace(self.take(owner), images=of), owner

    def swapped(self) -> Lesions:
        """Return the lesions with the two views exchanged (Ge et al. 2017, section 3.1).

        A network that keeps its accuracy on them does not depend on which view is which.
        """
        clinical, dermoscopic = VIEWS
        return replace(self, images={clinical: self.images[dermoscopic], dermoscopic: self.images[clinical]})

    def without(self, bad_rows: set[int]) -> Lesions:
        """Return the lesions without some images, and without the lesions that have none left."""
        kept = {
            v: tuple(tuple(r for r in rows if r not in bad_rows) for rows in of)
            for v, of in self.images.items()
        }
        left = [i for i in range(len(self)) if any(of[i] for of in kept.values())]
        return replace(self, images=kept).take(left)


def select_lesions(
    table: CaseTable, task: Task, *, split: str | None, views: Sequence[View] = VIEWS
) -> Lesions:
    """Return the lesions of a split that the task keeps and that have at least one of the views.

    Raises:
        TableError: there are none.
    """
    rows = table.frame.with_columns(row=pl.int_range(pl.len())).filter(pl.col("view").is_in(list(views)))
    if split is not None:
        rows = rows.filter(pl.col("split") == split)
    by_lesion = rows.group_by("lesion_id", maintain_order=True).agg(
        pl.col("diagnosis").drop_nulls().first(),
        pl.col("patient_id").drop_nulls().first(),
        *(pl.col("row").filter(pl.col("view") == view).alias(view) for view in VIEWS),
    )
    labels = np.array([task.label(d) for d in by_lesion["diagnosis"]], dtype=np.int64)
    by_lesion, labels = by_lesion.filter(pl.Series(labels != DROPPED)), labels[labels != DROPPED]
    if by_lesion.is_empty():
        where = f"{table.folder or table.root}: split {split!r}" if split else str(table.folder or table.root)
        raise TableError(
            f"{where} has no lesion with a {' or '.join(views)} image for the task {task.name!r}; "
            f"run `dermapair data split`, or name another split"
        )
    group_names = by_lesion.select(pl.coalesce(pl.format("p{}", "patient_id"), pl.format("l{}", "lesion_id")))
    groups = group_names.to_series().rank("dense").cast(pl.Int64).to_numpy()
    images = {view: tuple(tuple(rows) for rows in by_lesion[view].to_list()) for view in VIEWS}
    return Lesions(tuple(by_lesion["lesion_id"]), labels, groups, images)


@dataclass(frozen=True)
class Batch:
    """Pixels of B lesions.

    Attributes:
        images: by view, (n, side, side, 3) uint8 RGB; a view that no lesion has is missing.
        rows: by view, (n,) which lesion of the batch each image belongs to, ascending.
        labels: (B,) class indices.
        ids: B lesion ids.
        errors: (lesion id, reason) of the images that could not be read; they are left out.
    """

    images: dict[str, NDArray[np.uint8]]
    rows: dict[str, NDArray[np.int64]]
    labels: NDArray[np.int64]
    ids: tuple[str, ...]
    errors: tuple[tuple[str, str], ...] = ()


def make_batch(
    lesions: Lesions,
    source: PixelSource,
    *,
    views: Sequence[View],
    change: Callable[[RGBImage, View, int], RGBImage],
) -> Batch:
    """Read and change the images of some lesions.

    Args:
        lesions: the B lesions of the batch.
        source: where prepared squares come from.
        views: which views to read.
        change: (square, view, lesion of the batch) -> network input, all of one size.
    """
    images: dict[str, NDArray[np.uint8]] = {}
    rows: dict[str, NDArray[np.int64]] = {}
    errors: list[tuple[str, str]] = []
    for view in views:
        pixels, of = [], []
        for i, image_rows in enumerate(lesions.images[view]):
            for row in image_rows:
                try:
                    pixels.append(change(source.square(row), view, i))
                    of.append(i)
                except ImageError as error:
                    errors.append((lesions.ids[i], str(error)))
        if pixels:
            images[view], rows[view] = np.stack(pixels), np.array(of, dtype=np.int64)
    return Batch(images, rows, lesions.labels, lesions.ids, tuple(errors))


def ahead(jobs: Iterable[Callable[[], T]], *, depth: int = 3, workers: int = 2) -> Iterator[T]:
    """Run jobs in threads a few ahead of the reader, and yield their results in order.

    Memory holds at most `depth` results that were not taken yet, however many jobs there are.
    """
    queue: Iterator[Callable[[], T]] = iter(jobs)
    with ThreadPoolExecutor(workers) as pool:
        running = deque(pool.submit(job) for job in islice(queue, depth))
        try:
            while running:
                result = running.popleft().result()
                for job in islice(queue, 1):
                    running.append(pool.submit(job))
                yield result
        finally:
            for future in running:
                future.cancel()
