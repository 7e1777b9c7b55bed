"""Which lesions make up each step, and their augmented pixels, read ahead in threads.

Every draw comes from (seed, epoch, lesion, view), so it depends neither on threads nor on processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dermapair.augment import apply, draw
from dermapair.config import Recipe
from dermapair.data.lesions import Batch, Lesions, ahead, make_batch
from dermapair.data.store import PixelSource
from dermapair.types import VIEWS, RGBImage, View

Indices = NDArray[np.int64]


def epoch_steps(n: int, recipe: Recipe, *, epoch: int) -> list[Indices]:
    """Return the lesions of each step of an epoch: all in a new order, a last incomplete batch left out.

    With fewer lesions than one batch, that batch is all of them.
    """
    order = np.random.default_rng([recipe.seed, epoch]).permutation(n)
    size = recipe.train.batch_size
    return [order[i : i + size] for i in range(0, n - size + 1, size)] or [order]


def read_ahead(
    lesions: Lesions,
    source: PixelSource,
    recipe: Recipe,
    steps: Sequence[Indices],
    *,
    epoch: int,
    views: Sequence[View],
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Yield this process's share of each step's batch, augmented."""
    read = partial(_read, lesions, source, recipe, epoch, views)
    return ahead(partial(read, step[rank::world_size]) for step in steps)


def _read(
    lesions: Lesions, source: PixelSource, recipe: Recipe, epoch: int, views: Sequence[View], indices: Indices
) -> Batch:
    """Read and augment the images of some lesions."""

    def change(square: RGBImage, view: View, i: int) -> RGBImage:
        stream = 0 if recipe.augment.same_for_both_views else VIEWS.index(view)
        rng = np.random.default_rng([recipe.seed, epoch, int(indices[i]), stream])
        data = recipe.data
        return apply(
            square, draw(rng, recipe.augment, size=data.size, input_side=data.input), input_side=data.input
        )

    return make_batch(lesions.take(indices), source, views=views, change=change)
