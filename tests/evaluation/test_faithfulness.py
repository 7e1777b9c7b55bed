"""Deletion, insertion and randomised weights, on a network that is known to follow its map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dermapair.evaluation.faithfulness import (
    LEVELS,
    STEPS,
    _randomised,
    _ranks,
    _sequence,
    measure_faithfulness,
)
from evaluation.dark import dark_predictor, dark_squares

pytestmark = pytest.mark.usefixtures("tiny")


def test_ranks_put_the_largest_first_and_draw_ties() -> None:
    rng = np.random.default_rng(0)
    values = np.array([[0.1, 3.0], [2.0, -1.0]])
    assert _ranks(values, rng).tolist() == [[0.5, 0.0], [0.25, 0.75]]
    tied = [_ranks(np.zeros((2, 2)), rng).ravel().tolist() for _ in range(20)]
    assert all(sorted(ranks) == [0, 0.25, 0.5, 0.75] for ranks in tied) and len({*map(tuple, tied)}) > 5


def test_deletion_ends_at_the_blurred_image_and_insertion_begins_there() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    rank = np.arange(400).reshape(20, 20) / 400
    deletion, insertion = (_sequence(image, rank, insert=insert) for insert in (False, True))
    assert deletion.shape == (STEPS + 1, 20, 20, 3) and deletion.dtype == np.uint8
    np.testing.assert_array_equal(deletion[0], image)
    np.testing.assert_array_equal(insertion[-1], image)
    np.testing.assert_array_equal(deletion[-1], insertion[0])
    assert deletion[-1].std() < image.std() / 2
    assert (deletion[1][1:] == image[1:]).all() and (deletion[1][0] == insertion[0][0]).all()  # a row of 20


def test_a_network_that_follows_its_map_loses_more_by_the_map_than_by_chance(tmp_path: Path) -> None:
    table = dark_squares(tmp_path, [(24, 24), (12, 30), (30, 14)])
    lesions = {f"i{i}": {"dermoscopic": table.path(i)} for i in range(3)}
    found = measure_faithfulness(
        dark_predictor(tmp_path / "run"), lesions, groups=np.arange(3), seed=0, errors=[]
    )["dermoscopic"]
    for order in ("shuffled", "middle"):
        assert found["deletion"]["over"][order]["high"] < 0
        assert found["insertion"]["over"][order]["low"] > 0
    assert set(found["randomised"]) == {*LEVELS, "shuffled"}
    assert all(0 <= each["value"] <= 1 for each in found["randomised"].values())


def test_the_trained_network_and_the_global_generator_stay_as_they_were(tmp_path: Path) -> None:
    predictor, table = dark_predictor(tmp_path / "run"), dark_squares(tmp_path, [(24, 24)])
    network = predictor.scorer.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    files = {"i0": {"dermoscopic": table.path(0)}}
    runs = [
        measure_faithfulness(predictor, files, groups=np.zeros(1, dtype=np.int64), seed=1, errors=[])
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_levels_draw_ever_more_weights_anew(tmp_path: Path) -> None:
    predictor = dark_predictor(tmp_path / "run")
    trained = {name: value.clone() for name, value in predictor.scorer.network.state_dict().items()}
    weights = {name for name in trained if name.endswith("weight")}
    changed = {}
    for level, other in _randomised(predictor, seed=0):
        state = other.scorer.network.state_dict()
        changed[level] = {name for name in weights if not torch.equal(trained[name], state[name])}
    assert list(changed) == list(LEVELS)
    assert changed["classifier"] == {"heads.0.classifier.weight"}
    assert changed["last_half"] == weights - {"trunks.0.units.0.0.weight"}  # of three units the last two
    assert changed["everything"] == weights


def test_an_unreadable_image_is_listed(tmp_path: Path) -> None:
    errors: list[tuple[str, str]] = []
    files = {"lost": {"dermoscopic": tmp_path / "nowhere.png"}}
    predictor = dark_predictor(tmp_path / "run")
    assert measure_faithfulness(predictor, files, groups=np.zeros(1, int), seed=0, errors=errors) == {}
    assert errors[0][0] == "lost" and "nowhere.png" in errors[0][1]
