"""Two stages: boxes by the maps of one run, a second run on what they cut out, one predictor for both."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file

import dermapair
from dermapair.config import CropSettings, Recipe
from dermapair.data.boxes import read_box_frame, write_boxes
from dermapair.data.cases import CaseTable, read_cases, write_cases
from dermapair.data.split import Fold, split_cases
from dermapair.data.store import prepare
from dermapair.errors import LeakError, RecipeError, RunError, TableError
from dermapair.inference.boxes import find_boxes
from dermapair.inference.model import load_stage_one
from dermapair.inference.scores import concatenate, read_scores
from dermapair.report.explanation import write_explanation
from dermapair.reproduce import experiment
from dermapair.reproduce.boxes import make_boxes, run_name
from dermapair.reproduce.experiment import run_experiment
from training.phantoms import phantom_cases, register_tiny, tiny_recipe

EVERYTHING = {"whole": 0.0}
"""Every part is more than this share of the image, so that all of it is kept."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "write_report", lambda run, **_: run)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CaseTable:
    return read_cases(phantom_cases(tmp_path_factory))


@pytest.fixture
def first(table: CaseTable, tmp_path: Path, tiny: None) -> Path:
    """Stage one."""
    recipe = tiny_recipe(train={"epochs": 1}, predict={"calibrate": "none"})
    run_experiment(recipe, table, tmp_path / "first")
    return tmp_path / "first"


def boxes_of(first: Path, table: CaseTable, **keys: Any) -> Path:
    out = first.parent / "boxes.parquet"
    make_boxes(first, table, out, settings=CropSettings(**keys), device="cpu")
    return out


def second_recipe(
    first: Path, boxes: Path, *, lr: float = 0.05, calibrate: str = "temperature", **keys: Any
) -> Recipe:
    return tiny_recipe(
        predict={"calibrate": calibrate},
        crop={"run": str(first), **keys},
        data={"boxes": str(boxes)},
        optimizer={"lr": lr},
        train={"epochs": 1, "freeze_batch_norm": lr < 1e-6},
    )


def second_stage(first: Path, table: CaseTable, *, calibrate: str = "temperature", **keys: Any) -> Path:
    out, boxes = first.parent / "second", boxes_of(first, table, **keys)
    run_experiment(second_recipe(first, boxes, calibrate=calibrate, **keys), table, out)
    return out


def files_of(table: CaseTable, split: str = "test") -> tuple[str, dict[str, Path]]:
    """Return a lesion with one image of each view, and its files."""
    rows = table.frame.with_row_index("row").filter(split=split)
    for lesion in rows["lesion_id"].unique(maintain_order=True):
        of = rows.filter(lesion_id=lesion)
        if sorted(of["view"]) == ["clinical", "dermoscopic"]:
            return lesion, {view: table.path(row) for view, row in zip(of["view"], of["row"], strict=True)}
    raise AssertionError


def test_the_predictor_does_what_training_did_without_the_first_run(first: Path, table: CaseTable) -> None:
    second = second_stage(first, table)
    assert (second / "model.json").read_text().count(str(first.parent)) == 0
    shutil.rmtree(first)
    (first.parent / "boxes.parquet").unlink()
    predictor = dermapair.load(second, device="cpu", precision="fp32")
    _, trained = read_scores(second / "predictions.parquet", split="test")
    now = concatenate(list(predictor.predict_cases(table, split="test")))
    ids, expected = trained["both"]
    found = now.probabilities["both"][[now.ids.index(i) for i in ids]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    lesion, files = files_of(table)
    one = predictor.predict(**files).probabilities["both"]
    np.testing.assert_allclose(one, expected[ids.index(lesion)], atol=1e-5)


def test_what_is_unlike_training_is_seen_by_stage_one_in_the_whole_image(
    first: Path, table: CaseTable
) -> None:
    second = second_stage(first, table)
    of_one, of_two = (dermapair.load(run, device="cpu", precision="fp32") for run in (first, second))
    assert of_two.scorer.outside is None and of_two.facts.stage_one
    assert of_two.facts.stage_one.outside is None and of_two.facts.outside
    one, two = (concatenate(list(p.predict_cases(table, split="test"))) for p in (of_one, of_two))
    assert one.ids == two.ids
    for view, scores in one.outside.items():
        np.testing.assert_allclose(two.outside[view], scores, rtol=1e-3)
    _, files = files_of(table)
    alone, both = (p.predict(**files).outside for p in (of_one, of_two))
    assert set(both) == set(files)
    for view in both:
        assert both[view].score == pytest.approx(alone[view].score, rel=1e-3)
    results = json.loads((second / "results.json").read_text())
    assert results["outside"]["views"].keys() == of_two.facts.outside.views.keys()


@pytest.mark.parametrize("how", ["stage2", "mean"])
def test_each_stage_and_their_mean_are_kept(how: str, first: Path, table: CaseTable) -> None:
    second = second_stage(first, table, calibrate="none", combine=how, threshold=0.9, margin=0.0)
    frame = pl.read_parquet(second / "stages.parquet").filter(split="test")
    stage = {name: frame.filter(stage=name).drop("stage") for name in ("stage1", "stage2", "mean")}
    ours = pl.read_parquet(second / "predictions.parquet").filter(split="test")
    assert ours.equals(stage[how])
    alone = pl.read_parquet(first / "predictions.parquet").filter(split="test")
    assert alone.select("lesion_id", "readout").equals(stage["stage1"].select("lesion_id", "readout"))
    np.testing.assert_allclose(alone["cancer"], stage["stage1"]["cancer"], atol=1e-6)
    mean = (stage["stage1"]["cancer"] + stage["stage2"]["cancer"]) / 2
    np.testing.assert_allclose(mean, stage["mean"]["cancer"], atol=1e-12)
    results = json.loads((second / "results.json").read_text())
    value = {
        name: results["stages"][name]["both"]["macro_auc"]["value"] for name in ("stage1", "stage2", "mean")
    }
    assert results["readouts"]["both"]["macro_auc"]["value"] == value[how]
    gain = results["stages"]["differences"]["stage2 - stage1"]["both"]["macro_auc"]
    assert gain["value"] == pytest.approx(value["stage2"] - value["stage1"])
    predictor = dermapair.load(second, device="cpu", precision="fp32")
    lesion, files = files_of(table)
    p = predictor.predict(**files)
    for name, rows in stage.items():
        row = rows.filter(lesion_id=lesion, readout="both")
        np.testing.assert_allclose(p.stages[name]["both"], row.select(p.classes).row(0), atol=1e-5)
    np.testing.assert_allclose(p.probabilities["both"], p.stages[how]["both"])


def test_one_run_has_no_stages(first: Path, table: CaseTable) -> None:
    assert dermapair.load(first, device="cpu").predict(**files_of(table)[1]).stages == {}
    assert not (first / "stages.parquet").exists()
    assert "stages" not in json.loads((first / "results.json").read_text())


def test_boxes_in_batches_are_those_of_each_image_alone(first: Path, table: CaseTable) -> None:
    """With quarter turns averaged, several images of a lesion, and lesions that lack a view."""
    predictor = dermapair.load(first, device="cpu", precision="fp32")
    turned = predictor.scorer.predict.model_copy(update={"views": 4, "batch_size": 5})
    predictor = replace(predictor, scorer=replace(predictor.scorer, predict=turned))
    for rule in ("predicted", "weighted", "contrast"):
        settings = CropSettings(evidence=rule, threshold=0.7, margin=0.0, square=False)
        found = find_boxes(predictor, table, settings, rows=range(len(table.frame))).rows
        assert [row["image_id"] for row in found if row] and len(found) == len(table.frame)
        cut = 0
        for row in found[::5]:
            number = table.frame["image_id"].to_list().index(row["image_id"])
            explanation = predictor.explain(**{table.frame["view"][number]: table.path(number)})
            box, name = explanation.crop(table.frame["view"][number], settings)
            assert [row[key] for key in ("x0", "y0", "x1", "y1")] == pytest.approx(list(box), abs=1.01)
            assert row["class"] == name
            cut += box[2] - box[0] < 64
        assert cut, "some part is smaller than its image, else this shows nothing"


def test_an_image_that_cannot_be_read_costs_its_own_lesion(
    first: Path, table: CaseTable, tmp_path: Path
) -> None:
    second = second_stage(first, table)
    shutil.copytree(table.root, tmp_path / "copy", ignore=shutil.ignore_patterns("pixels"))
    copy = replace(read_cases(tmp_path / "copy"), root=tmp_path / "copy")
    lesion, files = files_of(copy)
    for path in files.values():
        path.write_bytes(b"nothing")
    scores = concatenate(list(dermapair.load(second, device="cpu").predict_cases(copy, split="test")))
    absent = np.isnan(scores.probabilities["both"][:, 0])
    assert [i for i, gone in zip(scores.ids, absent, strict=True) if gone] == [lesion]
    assert [name for name, _ in scores.errors] == [lesion, lesion]


@pytest.mark.parametrize("size", [(1, 60), (60, 1), (300, 20), (5000, 4000)], ids=str)
def test_images_of_any_size_and_without_evidence_are_predicted(
    size: tuple[int, int], first: Path, table: CaseTable, rng: np.random.Generator
) -> None:
    """One pixel wide, a strip, 20 megapixels; noise, one plain colour: finite scores, a part inside."""
    predictor = dermapair.load(second_stage(first, table, threshold=0.8), device="cpu", precision="fp32")
    height, width = size
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    for image in (noise, np.full_like(noise, 128)):
        p = predictor.predict(dermoscopic=image)
        assert np.isfinite(p.probabilities["both"]).all()
    explanation = predictor.explain(dermoscopic=noise[:600, :600])
    x0, y0, x1, y1 = explanation.cuts["dermoscopic"]
    assert 0 <= x0 < x1 <= min(width, 600) and 0 <= y0 < y1 <= min(height, 600)


def test_stage_two_starts_from_stage_one(first: Path, table: CaseTable) -> None:
    """Without a step and with nothing cut away, stage two is stage one."""
    boxes = boxes_of(first, table, **EVERYTHING)
    out = first.parent / "second"
    run_experiment(second_recipe(first, boxes, lr=1e-30, calibrate="none", **EVERYTHING), table, out)
    one, both = (load_file(run / "model.safetensors") for run in (first, out))
    assert set(both) == {*one, *(f"stage_one.{name}" for name in one)}
    for name, tensor in one.items():
        assert (both[f"stage_one.{name}"] == tensor).all()
        np.testing.assert_allclose(both[name], tensor, atol=1e-12)
    stages = (dermapair.load(run, device="cpu", precision="fp32") for run in (first, out))
    _, files = files_of(table)
    a, b = (p.predict(**files).probabilities for p in stages)
    for readout in a:
        np.testing.assert_allclose(b[readout], a[readout], atol=1e-6)


def test_an_explanation_shows_both_stages(first: Path, table: CaseTable, tmp_path: Path) -> None:
    keys = {"threshold": 0.9, "margin": 0.0}
    predictor = dermapair.load(second_stage(first, table, **keys), device="cpu", precision="fp32")
    lesion, files = files_of(table)
    explanation = predictor.explain(**files)
    frame = read_box_frame(tmp_path / "boxes.parquet")
    for view in files:
        cut = explanation.cuts[view]
        row = frame.row(by_predicate=pl.col("image_id") == f"{lesion}_{view}", named=True)
        assert cut == pytest.approx([row[key] for key in ("x0", "y0", "x1", "y1")])
        one = explanation.stage_one[view]
        assert row["class"] == one.classes[one.predicted(view)]
        seen = ~np.isnan(explanation.to_pixels(view, 0))
        ys, xs = np.nonzero(seen)
        assert xs.min() >= np.floor(cut[0]) and xs.max() < np.ceil(cut[2])
        assert ys.min() >= np.floor(cut[1]) and ys.max() < np.ceil(cut[3])
        assert explanation.images[view].shape == one.images[view].shape
    written = write_explanation(explanation, tmp_path / "why")
    said = json.loads((tmp_path / "why" / "explanation.json").read_text())["views"]["clinical"]["stage_one"]
    assert said == {
        "predicted": written["views"]["clinical"]["stage_one"]["predicted"],
        "cut": list(explanation.cuts["clinical"]),
        "file": "clinical_stage_one.png",
    }
    assert (tmp_path / "why" / "dermoscopic_stage_one.png").is_file()


def test_a_run_goes_on_with_its_own_boxes_only(first: Path, table: CaseTable, tmp_path: Path) -> None:
    recipe = second_recipe(first, boxes_of(first, table))

    longer = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 2})})

    def after_one(epoch: int, done: int, steps: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(longer, table, tmp_path / "second", on_step=after_one)
    frame = read_box_frame(Path(recipe.data.boxes)).with_columns(x0=pl.col("x0") * 0.5)
    write_boxes(frame.to_dicts(), Path(recipe.data.boxes), CropSettings())
    with pytest.raises(RunError, match="was started on other lesions, boxes"):
        run_experiment(longer, table, tmp_path / "second", resume=True)


def test_one_stage_has_no_first(first: Path, table: CaseTable) -> None:
    explanation = dermapair.load(first, device="cpu").explain(**files_of(table)[1])
    assert explanation.stage_one == {} and explanation.cuts == {}


def test_cross_fitted_boxes_come_from_runs_that_have_not_learned_the_lesion(
    first: Path, table: CaseTable, tmp_path: Path
) -> None:
    folds = []
    train = replace(
        table,
        frame=table.frame.filter(split="train").with_columns(split=pl.lit(None, dtype=pl.String)),
        folder=None,
    )
    train = write_cases(train, tmp_path / "train")
    for k in range(2):
        part = split_cases(train, val=0.2, test=0.15, seed=3, fold=Fold(k, 2))
        run_experiment(tiny_recipe(train={"epochs": 1}), part, tmp_path / f"fold{k}")
        folds.append(tmp_path / f"fold{k}")
    out = tmp_path / "fitted.parquet"
    summary = make_boxes(first, table, out, settings=CropSettings(), folds=folds, device="cpu")
    frame = read_box_frame(out).join(table.frame.select("image_id", "lesion_id", "split"), on="image_id")
    assert len(frame) == len(table.frame)
    assert summary["cross_fitted"] == (frame["split"] == "train").sum()
    names = [run_name(run) for run in (first, *folds)]
    for row in frame.iter_rows(named=True):
        assert row["run"] == names[row["fold"]]
        assert (row["fold"] == 0) == (row["split"] != "train")
        if row["fold"]:
            theirs = pl.read_parquet(folds[row["fold"] - 1] / "lesions.parquet")
            assert set(theirs.filter(lesion_id=row["lesion_id"])["split"]) == {"test"}
    run_experiment(second_recipe(first, out), table, tmp_path / "second")
    with pytest.raises(LeakError, match="expected a fold that has not learned lesion"):
        make_boxes(first, table, out, settings=CropSettings(), folds=folds[:1], device="cpu")
    other = split_cases(table, val=0.25, test=0.25, seed=5)
    run_experiment(tiny_recipe(train={"epochs": 1}), other, tmp_path / "knows")
    with pytest.raises(LeakError, match="expected a fold that has held out our val part"):
        make_boxes(first, table, out, settings=CropSettings(), folds=[tmp_path / "knows"], device="cpu")


def test_boxes_by_a_run_of_two_stages_are_refused(first: Path, table: CaseTable, tmp_path: Path) -> None:
    second = second_stage(first, table)
    with pytest.raises(RunError, match="second: expected a run of one stage, got one of two"):
        make_boxes(second, table, tmp_path / "b.parquet", settings=CropSettings(), device="cpu")


def test_how_stages_are_combined_does_not_change_the_boxes(first: Path, table: CaseTable) -> None:
    boxes = boxes_of(first, table)
    results = run_experiment(second_recipe(first, boxes, combine="mean"), table, first.parent / "second")
    assert results["readouts"]["both"]["accuracy"] == results["stages"]["mean"]["both"]["accuracy"]


def test_an_image_that_was_prepared_as_unreadable_is_listed_once(
    first: Path, table: CaseTable, tmp_path: Path
) -> None:
    second = second_stage(first, table)
    shutil.copytree(table.root, tmp_path / "copy", ignore=shutil.ignore_patterns("pixels"))
    copy = write_cases(replace(read_cases(tmp_path / "copy"), root=tmp_path / "copy"), tmp_path / "copy")
    lesion, files = files_of(copy)
    for path in files.values():
        path.write_bytes(b"nothing")
    predictor = dermapair.load(second, device="cpu")
    prepare(copy, predictor.stage_one.scorer.data)
    scores = concatenate(list(predictor.predict_cases(copy, split="test")))
    assert [name for name, _ in scores.errors] == [lesion, lesion], "two images, each once"


def test_warnings_of_a_stage_one_on_both_views_stand_once(first: Path, table: CaseTable) -> None:
    explanation = dermapair.load(second_stage(first, table), device="cpu").explain(**files_of(table)[1])
    assert len(set(explanation.warnings)) == len(explanation.warnings)


def test_a_stage_one_that_knows_our_test_part_is_refused(
    first: Path, table: CaseTable, tmp_path: Path
) -> None:
    other = split_cases(table, val=0.25, test=0.25, seed=5)
    other = write_cases(replace(other, folder=None), tmp_path / "other")
    recipe = second_recipe(first, boxes_of(first, table))
    with pytest.raises(LeakError, match="expected a stage one that has held out our val part"):
        run_experiment(recipe, other, tmp_path / "second")


def test_boxes_that_the_trained_run_would_not_cut_are_refused(
    first: Path, table: CaseTable, tmp_path: Path
) -> None:
    boxes = boxes_of(first, table)
    with pytest.raises(TableError, match="the same keys of"):
        run_experiment(second_recipe(first, boxes, margin=0.3), table, tmp_path / "second")
    shutil.copytree(first, tmp_path / "renamed")
    with pytest.raises(TableError, match="expected boxes of validation and test images by stage one"):
        run_experiment(second_recipe(tmp_path / "renamed", boxes), table, tmp_path / "second")


def test_a_stage_one_of_another_kind_is_refused(first: Path, table: CaseTable, tmp_path: Path) -> None:
    boxes = boxes_of(first, table)
    recipe = second_recipe(first, boxes)
    share = recipe.model_copy(update={"network": recipe.network.model_copy(update={"kind": "share"})})
    with pytest.raises(RecipeError, match=r"network\.kind = 'share', got 'triple'"):
        run_experiment(share, table, tmp_path / "second")
    task = recipe.task.model_copy(update={"groups": {"melanoma": ("melanoma",), "other": ("*",)}})
    with pytest.raises(RecipeError, match="with the classes melanoma, other, got cancer, benign"):
        run_experiment(recipe.model_copy(update={"task": task}), table, tmp_path / "second")
    second = second_stage(first, table)
    with pytest.raises(RunError, match="expected a run of one stage as stage one"):
        load_stage_one(str(second))


@pytest.mark.parametrize("keys", [{"crop": {"run": "first"}}, {"data": {"boxes": "boxes.parquet"}}])
def test_boxes_and_the_run_that_cuts_go_together(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="set both or neither"):
        tiny_recipe(**keys)
