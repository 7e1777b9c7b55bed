"""Maps against masks: a network whose maps are known to be true, missing views, and what cannot be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.tables import save
from dermapair.data.cases import read_cases
from dermapair.data.masks import read_mask
from dermapair.errors import UsageError
from dermapair.evaluation.maps import measure_maps
from dermapair.inference.model import weights_digest
from dermapair.inference.predictor import load
from dermapair.metrics.saliency import box_iou, mass_inside, pointing_game
from evaluation.dark import dark_predictor, dark_squares
from inference.runs import save_tiny_run

pytestmark = pytest.mark.usefixtures("tiny")
CORNERS = [(24, 24), (4, 4), (40, 20), (10, 44)]


def test_a_true_map_beats_chance_and_the_middle(tmp_path: Path) -> None:
    table = dark_squares(tmp_path, CORNERS)
    measured = measure_maps(dark_predictor(tmp_path / "run"), table)
    view = measured["views"]["dermoscopic"]
    own, baselines = view["readouts"]["own"], view["baselines"]
    assert (view["n"], own["n"], own["without_evidence"]) == (4, 4, 0)
    assert own["pointing_game"] == {
        "value": 1.0,
        "low": pytest.approx(0.5101, abs=1e-4),  # Wilson, 4 of 4
        "high": 1.0,
    }
    assert baselines["middle"]["pointing_game"]["value"] == 0.25  # one square of four holds the middle
    # The run's input is the middle 32 of a prepared 40: 51.2 of 64 pixels, the 51 whose centres lie within.
    seen = np.zeros((64, 64), dtype=bool)
    seen[6:58, 6:58] = True
    shares = [read_mask(table, row)[seen].mean() for row in range(4)]
    assert baselines["chance"]["mass_inside"]["value"] == pytest.approx(np.mean(shares), abs=0.002)
    assert own["mass_inside"]["low"] > baselines["chance"]["mass_inside"]["high"]
    assert own["over"]["chance"]["box_iou"]["low"] > 0
    gain = own["box_iou"]["value"] - baselines["middle"]["box_iou"]["value"]
    assert own["over"]["middle"]["box_iou"]["value"] == pytest.approx(gain)
    assert set(view["readouts"]) == {"own"} and measured["errors"] == []


def test_each_readout_has_the_figures_of_its_own_maps_for_the_class_of_the_view(
    tmp_path: Path, cases: Path
) -> None:
    predictor, table = load(save_tiny_run(tmp_path / "run"), device="cpu"), read_cases(cases)
    measured = measure_maps(predictor, table, split="test", seed=3)
    lesions = predictor.lesions(table, split="test").one_image_each(seed=3)
    expected: dict[str, list[tuple[float, float, float]]] = {"own": [], "cross": [], "both": []}
    for clinical, dermoscopic in zip(lesions.images["clinical"], lesions.images["dermoscopic"], strict=True):
        if not clinical:
            continue
        other = table.path(dermoscopic[0]) if dermoscopic else None
        e = predictor.explain(clinical=table.path(clinical[0]), dermoscopic=other)
        mask, k = read_mask(table, clinical[0]), e.predicted("clinical")
        for name in ("own", "cross", "both") if other else ("own",):
            readout = "clinical" if name == "own" else name
            values = e.to_pixels("clinical", k, readout=readout)
            box = e.box("clinical", k, readout=readout)
            figures = pointing_game(values, mask), mass_inside(values, mask), box_iou(box, mask)
            expected[name].append(figures)
    view = measured["views"]["clinical"]
    assert len(expected["own"]) == len(expected["cross"]) + 1 == view["n"]  # one lesion lacks the other view
    for name, rows in expected.items():
        found, columns = view["readouts"][name], np.array(rows).T
        assert found["n"] == len(rows)
        assert found["without_evidence"] == np.isnan(columns[1]).sum()
        for key, column in zip(("pointing_game", "mass_inside", "box_iou"), columns, strict=True):
            if np.isfinite(column).any():
                assert found[key]["value"] == pytest.approx(np.nanmean(column))
    json.dumps(measured, allow_nan=False)


def test_what_cannot_be_read_is_listed_and_the_others_are_measured(tmp_path: Path) -> None:
    table = dark_squares(tmp_path, CORNERS)
    (tmp_path / "i1.png").write_bytes(b"noise")
    save(tmp_path / "m2.png", np.full((20, 64), 255, dtype=np.uint8))
    measured = measure_maps(dark_predictor(tmp_path / "run"), table, faithful=4)
    assert [lesion for lesion, _ in measured["errors"]] == ["i1", "i2"]
    assert "expected a mask of 64 x 64 pixels" in measured["errors"][1][1]
    assert [row["lesion_id"] for row in measured["lesions"]] == ["i0", "i3"]
    assert measured["views"]["dermoscopic"]["n"] == 2
    assert measured["faithfulness"]["dermoscopic"]["n"] == 3  # needs no mask


def test_a_view_that_cannot_be_read_does_not_cost_the_other(tmp_path: Path, cases: Path) -> None:
    predictor, table = load(save_tiny_run(tmp_path / "run"), device="cpu"), read_cases(cases)
    views = (
        table.frame.group_by("lesion_id", maintain_order=True)
        .agg("view")
        .filter(pl.col("view").list.len() == 2)
    )
    lesion = views["lesion_id"][0]
    both = next(i for i, path in enumerate(table.frame["path"]) if path.endswith(f"{lesion}_dermoscopic.jpg"))
    broken = table.frame["path"].to_list()
    broken[both] = "nowhere.png"
    frame = table.frame.with_columns(pl.Series("path", broken))
    broken_table = replace(table, frame=frame.filter(pl.col("lesion_id") == lesion))
    measured = measure_maps(predictor, broken_table, faithful=1)
    assert {view: f["n"] for view, f in measured["faithfulness"].items()} == {"clinical": 1}
    assert measured["weights"] == weights_digest(tmp_path / "run")
    assert [name for name, _ in measured["errors"]] == [lesion]
    assert {row["view"] for row in measured["lesions"] if row["lesion_id"] == lesion} == {"clinical"}


def test_the_interval_of_hits_counts_patients_where_they_are_known(tmp_path: Path) -> None:
    table, predictor = dark_squares(tmp_path, CORNERS), dark_predictor(tmp_path / "run")
    one = table.frame.with_columns(pl.lit("P1").alias("patient_id"))
    own = [
        measure_maps(predictor, each)["views"]["dermoscopic"]["readouts"]["own"]["pointing_game"]
        for each in (table, replace(table, frame=one))
    ]
    assert [f["value"] for f in own] == [1.0, 1.0]
    assert own[1]["low"] == pytest.approx(0.2065, abs=1e-4) and own[1]["low"] < own[0]["low"]  # 1 of 1


def test_a_limit_draws_lesions_by_seed_and_progress_reaches_its_end(tmp_path: Path) -> None:
    table, predictor = dark_squares(tmp_path, CORNERS), dark_predictor(tmp_path / "run")
    steps: list[tuple[int, int]] = []
    draws = [
        [row["lesion_id"] for row in measure_maps(predictor, table, limit=2, seed=seed)["lesions"]]
        for seed in (0, 0, *range(1, 6))
    ]
    assert draws[0] == draws[1] and all(len(drawn) == 2 for drawn in draws)
    assert len({tuple(drawn) for drawn in draws}) > 1
    measure_maps(predictor, table, limit=3, faithful=1, progress=lambda *step: steps.append(step))
    assert steps == [(i, 7) for i in range(1, 8)]


def test_a_table_without_masks_has_faithfulness_alone(tmp_path: Path) -> None:
    table = dark_squares(tmp_path, CORNERS)
    bare = replace(table, frame=table.frame.drop("mask"))
    predictor = dark_predictor(tmp_path / "run")
    with pytest.raises(UsageError, match="expected lesion masks in the column mask, got none"):
        measure_maps(predictor, bare)
    measured = measure_maps(predictor, bare, faithful=2)
    assert measured["views"] == {} and measured["lesions"] == []
    assert measured["faithfulness"]["dermoscopic"]["n"] == 2
