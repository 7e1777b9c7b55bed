"""One experiment end to end on phantom lesions: its files, their order, and what they say."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file

import dermapair
from dermapair.config import Recipe, load_recipe
from dermapair.data.cases import CaseTable, read_cases
from dermapair.data.split import split_cases
from dermapair.data.store import prepare
from dermapair.errors import LeakError, RunError, TableError
from dermapair.inference.scores import concatenate, read_scores
from dermapair.reproduce import experiment
from dermapair.reproduce.experiment import run_experiment
from dermapair.reproduce.held_out import with_cam_source
from training.phantoms import phantom_cases, register_tiny, tiny_recipe

READOUTS = {"clinical", "dermoscopic", "cross", "both"}


def write_page(run: Path, **_: Any) -> Path:
    """The page has tests of its own; here it only shows that the manifest comes after it."""
    assert not (run / "manifest.json").exists()
    (run / "report.html").write_text("page", encoding="utf-8")
    return run / "report.html"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_cases(tmp_path_factory)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "write_report", write_page)


def recipe(**sections: Any) -> Recipe:
    return tiny_recipe(**{"train": {"epochs": 1}, **sections})


@pytest.fixture(scope="module")
def done(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished run of one epoch, and what the call returned."""
    with pytest.MonkeyPatch.context() as patch:
        register_tiny(patch)
        patch.setattr(experiment, "write_report", write_page)
        out = tmp_path_factory.mktemp("experiment") / "run"
        return out, run_experiment(recipe(), read_cases(cases), out, accelerator="cpu")


def test_a_run_has_all_its_files_and_the_manifest_last(done: tuple[Path, Any]) -> None:
    out, _ = done
    files = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert set(files) == {
        *("recipe.toml", "model.safetensors", "model.json", "journal.jsonl", "predictions.parquet"),
        *("results.json", "lesions.parquet", "report.html", "outside.safetensors"),
        *("checkpoints", "manifest.json"),
    }
    assert max(files, key=lambda name: files[name]) == "manifest.json"


def test_results_have_the_fields_of_the_contract(done: tuple[Path, dict[str, Any]]) -> None:
    out, returned = done
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results == json.loads(json.dumps(returned))
    assert set(results) >= {"task", "classes", "n_lesions", "split", "readouts", "missing_view"}
    assert (results["task"], results["classes"]) == ("diagnosis", ["cancer", "benign"])
    assert results["split"] == "test" and results["n_lesions"] > 0
    assert results["missing_view"] == {"clinical": 1, "dermoscopic": 1}
    assert set(results["readouts"]) == READOUTS
    for figures in results["readouts"].values():
        for name in ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1"):
            assert set(figures[name]) == {"value", "low", "high"}
        assert set(figures["per_class"]) == {"cancer", "benign"}
        for of in figures["per_class"].values():
            assert set(of) >= {"n", "recall", "auc"}
    assert results["readouts"]["both"]["n_lesions"] == results["n_lesions"]
    assert results["readouts"]["cross"]["n_lesions"] == results["n_lesions"] - 2


def test_predictions_are_those_of_the_model_that_was_saved(done: tuple[Path, Any], cases: Path) -> None:
    out, _ = done
    frame = pl.read_parquet(out / "predictions.parquet")
    assert frame.columns == ["lesion_id", "readout", "split", "truth", "cancer", "benign"]
    assert set(frame["split"]) == {"val", "test"} and set(frame["truth"]) <= {"cancer", "benign"}
    table = read_cases(cases)
    scores = concatenate(list(dermapair.load(out, device="cpu").predict_cases(table, split="test")))
    classes, by = read_scores(out / "predictions.parquet")
    assert classes == scores.classes == ("cancer", "benign")
    for readout, (ids, p) in by.items():
        for name, row in zip(ids, p, strict=True):
            if name in scores.ids:
                want = scores.probabilities[readout][scores.ids.index(name)]
                np.testing.assert_allclose(row, want, atol=1e-6)


def test_the_accuracy_is_that_of_the_predictions(done: tuple[Path, dict[str, Any]]) -> None:
    out, results = done
    both = pl.read_parquet(out / "predictions.parquet").filter(split="test", readout="both")
    says = np.array(["cancer", "benign"])[both.select("cancer", "benign").to_numpy().argmax(axis=1)]
    value = results["readouts"]["both"]["accuracy"]["value"]
    assert value == pytest.approx((says == both["truth"].to_numpy()).mean())


def test_the_manifest_says_where_the_numbers_come_from(done: tuple[Path, Any]) -> None:
    manifest = json.loads((done[0] / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["schema_version"] == 1 and manifest["seed"] == 0 and manifest["best_epoch"] == 1
    assert manifest["validation"]["metric"] == "log_loss" and math.isfinite(manifest["validation"]["value"])
    assert manifest["data"]["adapter"] == "phantom" and manifest["data"]["train_lesions"] > 0
    state = load_file(done[0] / "model.safetensors")
    assert manifest["network"] == {"kind": "triple", "parameters": manifest["network"]["parameters"]}
    assert 0 < manifest["network"]["parameters"] <= sum(t.numel() for t in state.values())
    assert manifest["versions"]["torch"] and manifest["machine"]["precision"] == "fp32"


def test_the_resolved_recipe_is_the_one_that_ran(done: tuple[Path, Any]) -> None:
    assert load_recipe(done[0] / "recipe.toml") == recipe()


def test_a_finished_run_is_refused(done: tuple[Path, Any], cases: Path) -> None:
    with pytest.raises(RunError, match="holds a finished run"):
        run_experiment(recipe(), read_cases(cases), done[0], accelerator="cpu")


@pytest.mark.parametrize("kind", ["single", "sole", "share"])
def test_every_kind_of_network_runs_to_its_end(kind: str, cases: Path, tmp_path: Path) -> None:
    settings = recipe(network={"kind": kind, "view": "clinical", "combine": "fitted"})
    results = run_experiment(settings, read_cases(cases), tmp_path / "run", accelerator="cpu")
    assert set(results["readouts"]) == {"single": {"clinical", "both"}}.get(kind, READOUTS - {"cross"})
    assert (tmp_path / "run" / "manifest.json").is_file()
    facts = json.loads((tmp_path / "run" / "model.json").read_text(encoding="utf-8"))
    assert sum(facts["combine_weights"].values()) == pytest.approx(1.0)
    if kind == "single":
        assert results["readouts"]["both"] == results["readouts"]["clinical"]


def with_frame(cases: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> CaseTable:
    table = read_cases(cases)
    return replace(table, frame=change(table.frame))


def test_without_a_test_part_results_are_of_validation(cases: Path, tmp_path: Path) -> None:
    table = with_frame(cases, lambda f: f.filter(pl.col("split") != "test"))
    assert run_experiment(recipe(), table, tmp_path / "run", accelerator="cpu")["split"] == "val"


def test_a_test_part_without_truth_is_predicted_and_not_scored(cases: Path, tmp_path: Path) -> None:
    hidden = pl.when(pl.col("split") == "test").then(None).otherwise(pl.col("diagnosis")).alias("diagnosis")
    table = with_frame(cases, lambda f: f.with_columns(hidden))
    assert run_experiment(recipe(), table, tmp_path / "run", accelerator="cpu")["split"] == "val"
    frame = pl.read_parquet(tmp_path / "run" / "predictions.parquet").filter(split="test")
    assert len(frame) and frame["truth"].is_null().all()


@pytest.mark.parametrize("missing", ["train", "val"])
def test_a_missing_split_is_said(missing: str, cases: Path, tmp_path: Path) -> None:
    table = with_frame(cases, lambda f: f.filter(pl.col("split") != missing))
    with pytest.raises(TableError, match=f"split '{missing}' has no lesion"):
        run_experiment(recipe(), table, tmp_path / "run", accelerator="cpu")


def test_lesions_without_a_diagnosis_are_counted_not_trained_on(cases: Path, tmp_path: Path) -> None:
    table = read_cases(cases)
    one = table.frame.filter(split="train")["lesion_id"][0]
    unknown = pl.when(pl.col("lesion_id") == one).then(None).otherwise(pl.col("diagnosis")).alias("diagnosis")
    table = replace(table, frame=table.frame.with_columns(unknown))
    run_experiment(recipe(), table, tmp_path / "run", accelerator="cpu")
    data = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))["data"]
    assert data["lesions_without_diagnosis"] == {"train": 1, "val": 0}
    assert data["train_lesions"] == table.frame.filter(split="train")["lesion_id"].n_unique() - 1


def test_a_lesion_in_two_splits_never_gets_this_far(cases: Path) -> None:
    with pytest.raises(LeakError, match="lies in the splits"):
        with_frame(cases, lambda f: f.with_columns(pl.Series("split", ["train", *f["split"][:-1]])))


def test_a_prepared_store_with_a_bad_image_trains_without_it(cases: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(cases, tmp_path / "cases", ignore=shutil.ignore_patterns("pixels"))
    table = read_cases(copy)
    row = table.frame.with_row_index("row").filter(split="train")["row"][0]
    table.path(row).write_bytes(b"no picture")
    prepare(table, recipe().data, workers=1)
    run_experiment(recipe(), table, tmp_path / "run", accelerator="cpu")
    data = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))["data"]
    assert list(data["unreadable_images"]) == [table.frame["image_id"][row]]


def test_a_cam_network_travels_with_the_run_that_uses_it(cases: Path, tmp_path: Path) -> None:
    table = read_cases(cases)
    source = tmp_path / "maps"
    run_experiment(recipe(network={"kind": "share"}), table, source, accelerator="cpu")
    weighted = recipe(network={"pooling": "cam_bp", "cam_source": str(source)})
    out = tmp_path / "run"
    run_experiment(weighted, table, out, accelerator="cpu")
    assert str(tmp_path) not in (out / "model.json").read_text(), "it may be given to others"
    weights, trained = (load_file(folder / "model.safetensors") for folder in (out, source))
    for name, value in trained.items():
        assert np.array_equal(weights[f"cam.network.{name}"], value), "frozen"
    shutil.rmtree(source)
    again = concatenate(list(dermapair.load(out, precision="fp32").predict_cases(table, split="test")))
    written = read_scores(out / "predictions.parquet", split="test")[1]["both"]
    assert list(written[0]) == list(again.ids)
    np.testing.assert_allclose(written[1], again.probabilities["both"], atol=1e-6)


@pytest.mark.parametrize(
    ("theirs", "ours", "refused"),
    [("train", "val", True), ("train", "test", True), ("val", "test", True), ("val", "val", False)],
)
@pytest.mark.parametrize("column", ["lesion_id", "patient_id"])
def test_a_cam_network_that_has_learned_what_is_to_be_tested_is_refused(
    cases: Path, tmp_path: Path, theirs: str, ours: str, refused: bool, column: str
) -> None:
    table = read_cases(cases)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "manifest.json").write_text("{}")
    mine = table.frame.filter(split=ours)["lesion_id"][0]
    shared = (
        {"lesion_id": mine, "patient_id": None}
        if column == "lesion_id"
        else {"lesion_id": "x", "patient_id": "P"}
    )
    if column == "patient_id":
        patients = pl.when(pl.col("lesion_id") == mine).then(pl.lit("P")).alias("patient_id")
        table = replace(table, frame=table.frame.with_columns(patients))
    other = pl.DataFrame({**shared, "split": theirs}, schema_overrides={"patient_id": pl.String})
    other.write_parquet(tmp_path / "maps" / "lesions.parquet")
    weighted = recipe(network={"pooling": "cam_bp", "cam_source": str(tmp_path / "maps")})
    if not refused:
        assert with_cam_source(weighted, table).network.cam_source == str(tmp_path / "maps")
        return
    with pytest.raises(
        LeakError, match=rf"held out our {ours} part, got one that has learned 1 of its {column}, '"
    ):
        with_cam_source(weighted, table)


def test_a_cam_network_of_another_split_is_refused_before_anything_is_trained(
    cases: Path, tmp_path: Path
) -> None:
    table, source = read_cases(cases), tmp_path / "maps"
    run_experiment(recipe(network={"kind": "share"}, train={"epochs": 1}), table, source, accelerator="cpu")
    weighted = recipe(network={"pooling": "cam_bp", "cam_source": str(source)})
    with pytest.raises(LeakError, match="got one that has learned"):
        run_experiment(
            weighted, split_cases(table, val=0.25, test=0.25, seed=5), tmp_path / "run", accelerator="cpu"
        )
    assert not (tmp_path / "run").exists()
    (source / "lesions.parquet").unlink()
    with pytest.raises(RunError, match=r"lesions\.parquet: expected the lesions of a run"):
        run_experiment(weighted, table, tmp_path / "run", accelerator="cpu")


def test_the_heads_of_a_networks_own_maps_are_trained_and_in_the_journal(cases: Path, tmp_path: Path) -> None:
    own = recipe(network={"pooling": "cam_bp"}, train={"epochs": 3}, optimizer={"lr": 0.2})
    run_experiment(own, read_cases(cases), tmp_path / "run", accelerator="cpu")
    lines = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert set(lines[0]["loss"]) == {"clinical", "dermoscopic", "cross", "cam_clinical", "cam_dermoscopic"}
    assert lines[-1]["loss"]["cam_clinical"] < lines[0]["loss"]["cam_clinical"]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert set(results["readouts"]) == READOUTS, "these heads are no readouts"


def test_a_missing_cam_network_is_refused_before_anything_is_trained(cases: Path, tmp_path: Path) -> None:
    nowhere = recipe(network={"pooling": "cam_bp", "cam_source": str(tmp_path / "nowhere")})
    with pytest.raises(RunError, match=r"nowhere: expected a finished run with manifest\.json"):
        run_experiment(nowhere, read_cases(cases), tmp_path / "run", accelerator="cpu")
