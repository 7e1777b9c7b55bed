"""What follows a training: what it decides is stored, judged, and can be fitted again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dermapair.config import PredictSettings
from dermapair.data.cases import CaseTable, read_cases
from dermapair.errors import LeakError, RunError
from dermapair.inference.model import read_facts
from dermapair.inference.scores import read_scores
from dermapair.reproduce.experiment import run_experiment
from dermapair.reproduce.recalibrate import recalibrate
from training.phantoms import phantom_cases, register_tiny, tiny_recipe

TARGETS = {"benign": ("benign",), "cancer": ("cancer",)}
FITTED = ("calibration", "targets", "operating_points", "conformal", "outside")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_cases(tmp_path_factory)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


@pytest.fixture(scope="module")
def trained(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        register_tiny(patch)
        recipe = tiny_recipe(train={"epochs": 1}, task={"targets": TARGETS})
        out = tmp_path_factory.mktemp("trained") / "run"
        run_experiment(recipe, read_cases(cases), out)
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def results_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "results.json").read_text("utf-8"))
    return content


def test_a_training_stores_what_it_decides_and_what_that_reached(trained: Path) -> None:
    facts, results = read_facts(trained), results_of(trained)
    assert facts.calibration and set(facts.calibration.readouts) == {
        "clinical",
        "dermoscopic",
        "cross",
        "both",
    }
    assert facts.targets == TARGETS
    names = [f"{t}_{rule}" for t in TARGETS for rule in ("sensitivity_90", "sensitivity_95", "youden")]
    assert [point.name for point in facts.operating_points] == names == list(results["operating_points"])
    assert facts.conformal and results["conformal"]["least"] == facts.conformal.least
    assert set(results["targets"]) == set(TARGETS)
    assert facts.outside and results["outside"]["method"] == facts.outside.method
    for view, limits in facts.outside.views.items():
        assert results["outside"]["views"][view]["threshold"] == limits.threshold
    assert (trained / "outside.safetensors").exists()
    temperature = results["calibration"]["readouts"]["both"]["temperature"]
    assert temperature == pytest.approx(1 / facts.calibration.readouts["both"].scale[0])


def test_points_reach_their_sensitivity_on_validation_and_are_counted_on_test(trained: Path) -> None:
    facts, results = read_facts(trained), results_of(trained)
    frame = pl.read_parquet(trained / "predictions.parquet").filter(readout="both")
    for point in facts.operating_points:
        if point.rule != "youden":
            assert point.sensitivity[0] >= int(point.rule.split()[-1]) / 100
        for split, reached in (
            ("val", point.sensitivity[0]),
            ("test", results["operating_points"][point.name]["sensitivity"]["value"]),
        ):
            mine = frame.filter(pl.col("split") == split, pl.col("truth").is_in(point.classes))
            called = point.decide(mine.select(facts.classes).to_numpy(), facts.classes)
            assert called.mean() == pytest.approx(reached)


def test_an_older_run_gets_the_very_decisions_that_training_would_have_stored(run: Path, cases: Path) -> None:
    want, results = read_facts(run), results_of(run)
    predictions = pl.read_parquet(run / "predictions.parquet")
    old = json.loads((run / "model.json").read_text("utf-8"))
    (run / "model.json").write_text(json.dumps({k: v for k, v in old.items() if k not in FITTED}), "utf-8")
    seen: list[tuple[int, int]] = []
    again = recalibrate(run, read_cases(cases), progress=lambda done, total: seen.append((done, total)))
    got = read_facts(run)
    assert got.targets == want.targets
    assert got.outside and want.outside and got.outside.views.keys() == want.outside.views.keys()
    for view, limits in got.outside.views.items():
        assert limits.threshold == pytest.approx(want.outside.views[view].threshold, rel=1e-3)
    assert got.conformal and want.conformal
    assert got.conformal.least == pytest.approx(want.conformal.least, abs=1e-5)
    for a, b in zip(got.operating_points, want.operating_points, strict=True):
        assert a.threshold == pytest.approx(b.threshold, abs=1e-5)
    after = pl.read_parquet(run / "predictions.parquet")
    np.testing.assert_allclose(
        after.select(want.classes).to_numpy(), predictions.select(want.classes).to_numpy(), atol=1e-4
    )
    assert again["readouts"]["both"]["accuracy"] == results["readouts"]["both"]["accuracy"]
    assert seen[-1][0] == seen[-1][1]
    assert (run / "report.html").stat().st_size > 1000


def test_without_calibration_the_probabilities_are_the_networks_own(run: Path, cases: Path) -> None:
    temperature = 1 / read_facts(run).calibration.readouts["both"].scale[0]  # type: ignore[union-attr]
    _, before = read_scores(run / "predictions.parquet", split="test")
    results = recalibrate(run, read_cases(cases), how=PredictSettings(calibrate="none", coverage=0.5))
    assert read_facts(run).calibration is None and results["calibration"] is None
    assert results["conformal"]["wanted"] == 0.5
    _, after = read_scores(run / "predictions.parquet", split="test")
    whole = [after["both"][0].index(lesion) for lesion in after["cross"][0]]
    sharper = after["both"][1][whole] ** (1 / temperature)
    np.testing.assert_allclose(
        before["both"][1][whole], sharper / sharper.sum(axis=1, keepdims=True), atol=1e-4
    )


def test_without_a_share_that_is_allowed_nothing_judges_pictures(run: Path, cases: Path) -> None:
    results = recalibrate(run, read_cases(cases), how=PredictSettings(outside=0))
    assert results["outside"] is None and read_facts(run).outside is None
    assert not (run / "outside.safetensors").exists()


def test_an_exchanged_training_part_is_refused_too(run: Path, cases: Path) -> None:
    table = read_cases(cases)
    first = table.frame.filter(split="train")["lesion_id"][0]
    less = table.frame.filter(pl.col("lesion_id") != first)
    with pytest.raises(LeakError, match=f"whose part train differs in 1 lesions, {first!r}"):
        recalibrate(run, CaseTable(less, table.root, table.diagnoses, table.manifest, table.folder))


def test_another_split_is_refused(run: Path, cases: Path) -> None:
    table = read_cases(cases)
    first = table.frame.filter(split="train")["lesion_id"][0]
    split = pl.when(pl.col("lesion_id") == first).then(pl.lit("val")).otherwise("split").alias("split")
    moved = CaseTable(
        table.frame.with_columns(split), table.root, table.diagnoses, table.manifest, table.folder
    )
    with pytest.raises(
        LeakError, match=f"whose part (train|val) differs in 1 lesions, {first!r} among them; take"
    ):
        recalibrate(run, moved)


def test_an_unfinished_run_is_refused(run: Path, cases: Path) -> None:
    (run / "manifest.json").unlink()
    with pytest.raises(RunError, match="expected a finished run with manifest.json"):
        recalibrate(run, read_cases(cases))
