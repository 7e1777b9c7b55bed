"""Lesions of a split, batches of their pixels, and jobs run ahead of their reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from data.tables import DIAGNOSES, folder_of_pictures, row, table
from dermapair.config import DataSettings, TaskSettings
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Lesions, ahead, make_batch, select_lesions
from dermapair.data.store import FileSource
from dermapair.data.task import UNKNOWN, build_task
from dermapair.errors import TableError

PLAIN = build_task(TaskSettings(), DIAGNOSES)


def views(image: str, lesion: str, view: str, **values: object) -> dict[str, object]:
    return row(image, lesion_id=lesion, view=view, split="train", **values)


@pytest.fixture
def cases() -> CaseTable:
    return table(
        [
            views("a0", "A", "clinical", patient_id="P", diagnosis="MEL"),
            views("b0", "B", "dermoscopic", patient_id="P", row="extra"),
            views("a1", "A", "dermoscopic", patient_id="P", diagnosis="MEL"),
            views("a2", "A", "clinical", patient_id="P", diagnosis="MEL"),
            views("a3", "A", "dermoscopic", patient_id="P", diagnosis=None),
            views("c0", "C", "clinical", diagnosis=None),
            row("d0", lesion_id="D", split="test", diagnosis="DF"),
        ]
    )


def test_lesions_hold_their_rows_by_view_in_the_order_of_the_table(cases: CaseTable) -> None:
    got = select_lesions(cases, PLAIN, split="train")
    assert got.ids == ("A", "B", "C")
    assert got.images == {"clinical": ((0, 3), (), (5,)), "dermoscopic": ((2, 4), (1,), ())}
    assert got.labels.tolist() == [0, 1, UNKNOWN]
    assert got.groups[0] == got.groups[1] != got.groups[2]
    assert select_lesions(cases, PLAIN, split=None).ids == ("A", "B", "C", "D")


def test_lesions_without_a_wanted_view_are_left_out(cases: CaseTable) -> None:
    got = select_lesions(cases, PLAIN, split="train", views=("dermoscopic",))
    assert got.ids == ("B", "A")
    assert got.images == {"clinical": ((), ()), "dermoscopic": ((1,), (2, 4))}


def test_lesions_that_the_task_drops_are_left_out_and_unknown_ones_stay(cases: CaseTable) -> None:
    task = build_task(TaskSettings(drop=("NV",)), DIAGNOSES)
    got = select_lesions(cases, task, split="train")
    assert got.ids == ("A", "C")
    assert got.labels.tolist() == [0, UNKNOWN]


def test_a_split_without_lesions_is_refused(cases: CaseTable) -> None:
    with pytest.raises(TableError, match="split 'val' has no lesion with a clinical or dermoscopic image"):
        select_lesions(cases, PLAIN, split="val")
    with pytest.raises(TableError, match="split 'test' has no lesion with a clinical image"):
        select_lesions(cases, PLAIN, split="test", views=("clinical",))


def test_pairs_are_every_pairing_of_a_lesions_images_with_their_owner(cases: CaseTable) -> None:
    pairs, owner = select_lesions(cases, PLAIN, split="train").pairs()
    assert owner.tolist() == [0, 0, 0, 0, 1, 2]
    assert pairs.ids == ("A", "A", "A", "A", "B", "C")
    assert pairs.images["clinical"] == ((0,), (0,), (3,), (3,), (), (5,))
    assert pairs.images["dermoscopic"] == ((2,), (4,), (2,), (4,), (1,), ())
    assert pairs.labels.tolist() == [0, 0, 0, 0, 1, UNKNOWN]


def test_swapping_exchanges_the_views_and_nothing_else(cases: CaseTable) -> None:
    lesions = select_lesions(cases, PLAIN, split="train")
    swapped = lesions.swapped()
    assert swapped.images == {"clinical": ((2, 4), (1,), ()), "dermoscopic": ((0, 3), (), (5,))}
    assert (swapped.ids, swapped.labels.tolist()) == (lesions.ids, lesions.labels.tolist())
    assert swapped.swapped().images == lesions.images


def test_one_image_of_each_view_is_drawn_by_seed_alone(cases: CaseTable) -> None:
    lesions = select_lesions(cases, PLAIN, split="train")
    drawn = [lesions.one_image_each(seed=seed).images for seed in range(30)]
    assert drawn == [lesions.one_image_each(seed=seed).images for seed in range(30)]
    assert {images["clinical"][0] for images in drawn} == {(0,), (3,)}
    assert {images["dermoscopic"][0] for images in drawn} == {(2,), (4,)}
    assert all(images["clinical"][1:] == ((), (5,)) for images in drawn)


def test_taking_and_leaving_out_keep_lesions_whole(cases: CaseTable) -> None:
    lesions = select_lesions(cases, PLAIN, split="train")
    taken = lesions.take([2, 0])
    assert taken.ids == ("C", "A")
    assert taken.images["clinical"] == ((5,), (0, 3))
    assert taken.labels.tolist() == [UNKNOWN, 0]
    assert len(lesions.take([])) == 0
    left = lesions.without({0, 5})
    assert left.ids == ("A", "B"), "C has no image left"
    assert left.images == {"clinical": ((3,), ()), "dermoscopic": ((2, 4), (1,))}


def test_a_batch_holds_the_pixels_there_are_and_lists_those_there_are_not(tmp_path: Path) -> None:
    cases = folder_of_pictures(tmp_path, 4)
    cases.path(2).write_bytes(b"no picture")
    lesions = Lesions(
        ("A", "B", "C"),
        np.array([0, 1, 1]),
        np.arange(3),
        {"clinical": ((), (), ()), "dermoscopic": ((0, 1), (2,), (3,))},
    )
    source = FileSource(cases, DataSettings(size=16, input=16))
    seen = []

    def change(square: np.ndarray, view: str, lesion: int) -> np.ndarray:
        seen.append((view, lesion))
        return square[:8, :8]

    batch = make_batch(lesions, source, views=("clinical", "dermoscopic"), change=change)
    assert list(batch.images) == ["dermoscopic"]
    assert batch.rows["dermoscopic"].tolist() == [0, 0, 2]
    assert seen == [("dermoscopic", 0), ("dermoscopic", 0), ("dermoscopic", 2)]
    want = np.stack([source.square(i)[:8, :8] for i in (0, 1, 3)])
    np.testing.assert_array_equal(batch.images["dermoscopic"], want)
    assert (batch.ids, batch.labels.tolist()) == (("A", "B", "C"), [0, 1, 1])
    ((lesion, reason),) = batch.errors
    assert lesion == "B"
    assert "i2.png" in reason


def counted(n: int, started: list[int]) -> Iterator[Callable[[], int]]:
    def job(i: int) -> int:
        time.sleep(0.002 * (n - i) / n)  # later ones are quicker, so order is not that of finishing
        return i

    for i in range(n):
        started.append(i)
        yield lambda i=i: job(i)


def test_results_come_in_order_and_never_more_than_depth_ahead_of_the_reader() -> None:
    started: list[int] = []
    got = []
    for result in ahead(counted(20, started), depth=4, workers=3):
        got.append(result)
        assert len(started) - len(got) <= 4
        time.sleep(0.001)
    assert got == list(range(20))


def test_jobs_are_run_ahead_while_the_reader_is_busy() -> None:
    second = threading.Event()
    jobs = [lambda: 0, second.set, lambda: 2]
    results = ahead(jobs, depth=2, workers=2)
    assert next(results) == 0
    assert second.wait(5), "the second job runs before it is asked for"
    results.close()


def test_no_jobs_give_no_results() -> None:
    assert list(ahead([])) == []


def test_an_error_reaches_the_reader_in_its_turn_and_ends_the_jobs() -> None:
    def fails() -> int:
        raise ValueError("job 2 failed")

    started: list[int] = []
    many = counted(1000, started)
    jobs = (fails if i == 2 else job for i, job in enumerate(many))
    results = ahead(jobs, depth=3)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="job 2 failed"):
        next(results)
    assert len(started) <= 5


def test_a_reader_that_stops_early_ends_the_jobs() -> None:
    started: list[int] = []
    results = ahead(counted(1000, started), depth=3)
    next(results)
    results.close()
    assert len(started) <= 4
