"""Which lesions make up a step, and that a sample depends on neither processes nor order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dermapair.training.feeding import epoch_steps, read_ahead
from dermapair.types import VIEWS
from training.phantoms import tiny_recipe, training_data

AUGMENT = {"mirror": True, "rotate90": True, "crop": "random", "brightness": 0.2}


@pytest.mark.parametrize(("n", "sizes"), [(12, [4, 4, 4]), (14, [4, 4, 4]), (4, [4]), (3, [3])])
def test_an_epoch_takes_whole_batches_or_all_there_is(n: int, sizes: list[int]) -> None:
    steps = epoch_steps(n, tiny_recipe(), epoch=1)
    assert [len(step) for step in steps] == sizes
    taken = np.concatenate(steps)
    assert len(set(taken.tolist())) == len(taken) and set(taken.tolist()) <= set(range(n))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    recipe = tiny_recipe()
    one, again = (epoch_steps(12, recipe, epoch=1) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    others = (
        epoch_steps(12, recipe, epoch=2),
        epoch_steps(12, recipe.model_copy(update={"seed": 1}), epoch=1),
    )
    for other in others:
        assert not np.array_equal(np.concatenate(one), np.concatenate(other))


def test_the_shares_of_two_processes_are_the_batch(cases: Path) -> None:
    recipe = tiny_recipe(augment=AUGMENT)
    data = training_data(cases, recipe)
    steps = epoch_steps(len(data.train), recipe, epoch=1)

    def pixels(rank: int, world: int) -> dict[tuple[str, str], bytes]:
        batches = read_ahead(
            data.train, data.source, recipe, steps, epoch=1, views=VIEWS, rank=rank, world_size=world
        )
        return {
            (batch.ids[row], view): image.tobytes()
            for batch in batches
            for view, images in batch.images.items()
            for row, image in zip(batch.rows[view].tolist(), images, strict=True)
        }

    one, shares = pixels(0, 1), [pixels(rank, 2) for rank in range(2)]
    assert not set(shares[0]) & set(shares[1])
    assert shares[0] | shares[1] == one


@pytest.mark.parametrize("same", [False, True])
def test_one_draw_serves_the_pair_where_asked(cases: Path, same: bool) -> None:
    recipe = tiny_recipe(augment={"brightness": 0.5, "same_for_both_views": same})
    data = training_data(cases, recipe)

    class Grey:
        def square(self, row: int) -> np.ndarray:
            return np.full((40, 40, 3), 100, np.uint8)

    steps = epoch_steps(len(data.train), recipe, epoch=1)
    equal = []
    for batch in read_ahead(data.train, Grey(), recipe, steps, epoch=1, views=VIEWS):  # type: ignore[arg-type]
        for i in set(batch.rows["clinical"]) & set(batch.rows["dermoscopic"]):
            pair = [batch.images[v][list(batch.rows[v]).index(i)] for v in VIEWS]
            equal.append(np.array_equal(*pair))
    assert len(equal) > 5
    assert all(equal) if same else not all(equal)


def test_no_augmentation_cuts_the_centre(cases: Path) -> None:
    recipe = tiny_recipe()
    data = training_data(cases, recipe)
    (batch, *_) = read_ahead(
        data.train, data.source, recipe, epoch_steps(len(data.train), recipe, epoch=1), epoch=1, views=VIEWS
    )
    i = int(batch.rows["clinical"][0])
    row = data.train.images["clinical"][data.train.ids.index(batch.ids[i])][0]
    assert np.array_equal(batch.images["clinical"][0], data.source.square(row)[4:36, 4:36])
