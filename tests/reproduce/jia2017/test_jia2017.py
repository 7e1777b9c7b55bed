"""The reproduction of Jia & Shen 2017 end to end on a few phantom lesions, and its parts by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dermapair.cli.reproduce import _base
from dermapair.config import Recipe, load_recipe
from dermapair.data.boxes import read_box_frame, write_boxes
from dermapair.data.cases import CaseTable, read_cases, write_cases
from dermapair.errors import RunError, UsageError
from dermapair.models import build_network
from dermapair.reproduce import experiment
from dermapair.reproduce.jia2017 import figures, plan
from dermapair.reproduce.jia2017.page import reproduce
from dermapair.reproduce.jia2017.plan import planned, recipe_of
from dermapair.saliency.grid import measure_grid
from training.phantoms import phantom_cases, register_tiny, tiny_recipe

GROUPS = {"nevus": ["blue_naevus"], "melanoma": ["melanoma", "bcc"], "seborrheic_keratosis": ["scc"]}
ABLATIONS = ("hair", "crops cross-fitted")


def base(**sections: Any) -> Recipe:
    everything = {
        "task": {"groups": GROUPS},
        "network": {"kind": "single"},
        "train": {"epochs": 1, "keep": "last"},
        "crop": {"threshold": 0.8},
    }
    return tiny_recipe(**{**everything, **sections})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CaseTable:
    """Phantom lesions with enough of the ISIC classes in each part; the dermoscopic images only."""
    made = read_cases(phantom_cases(tmp_path_factory))
    frame = made.frame.filter(view="dermoscopic")
    names = ("melanoma", "blue_naevus", "scc")
    frame = frame.with_columns(
        diagnosis=pl.Series([names[i % 3] for i in range(len(frame))]),
        split=pl.Series([("train", "train", "train", "val", "test")[i // 3 % 5] for i in range(len(frame))]),
    )
    return write_cases(replace(made, frame=frame, folder=None), tmp_path_factory.mktemp("isic") / "cases")


@pytest.fixture(scope="module")
def done(
    table: CaseTable, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], list[str]]:
    """A finished reproduction: its folder, its content and what it said."""
    with pytest.MonkeyPatch.context() as patch:
        register_tiny(patch)
        patch.setattr(experiment, "write_report", lambda *_, **__: None)
        out, said = tmp_path_factory.mktemp("jia2017"), []
        content = reproduce(base(), table, out, masks=table, ablations=ABLATIONS, say=said.append)
        return out, content, said


def test_everything_is_trained_once_and_written(done: tuple[Path, dict[str, Any], list[str]]) -> None:
    out, content, said = done
    trained = [line.removeprefix("training ") for line in said if line.startswith("training")]
    folds = [f"{prefix}-{k}" for prefix in ("fold", "masks") for k in range(plan.FOLDS)]
    expected = {"stage1", "scratch", "hair", "stage2", "control", "hair-2", "fitted-2", *folds}
    assert sorted(trained) == sorted(expected)
    assert json.loads((out / "reproduce.json").read_text()) == content
    page = (out / "reproduce.html").read_text()
    for words in (
        "Table 1",
        "0.858",
        "0.857",
        "0.829",
        "control over stage 1",
        "random weights",
        "1 melanoma",
    ):
        assert words in page
    assert page.count("data:image/jpeg") == 4 * len(content["figure_2"]["images"]) + 2 * figures.MISSED


def test_test_comes_first_and_every_stage_is_listed(done: tuple[Path, dict[str, Any], list[str]]) -> None:
    _, content, _ = done
    assert list(content["parts"]) == ["test", "val"]
    rows = [(row["part"], row["stage"]) for row in content["table_1"]]
    assert rows == [(p, s) for p in ("test", "val") for s in ("stage1", "stage2", "mean", "control")]
    paper = {(row["part"], row["stage"]): row["paper"] for row in content["table_1"]}
    assert paper["val", "stage1"]["mean_auc"] == 0.821 and paper["val", "stage2"]["mean_auc"] == 0.858
    assert paper["test", "stage2"]["mean_auc"] == 0.829 and paper["val", "control"] is None


def test_gains_are_the_differences_of_the_table(done: tuple[Path, dict[str, Any], list[str]]) -> None:
    _, content, _ = done
    values = {(r["part"], r["stage"]): r["aucs"]["mean_auc"]["value"] for r in content["table_1"]}
    gains = {(r["part"], r["gain"]): r["difference"]["mean_auc"]["value"] for r in content["gains"]}
    for part in ("test", "val"):
        stage_1 = values[part, "stage1"]
        assert gains[part, "stage 2 over stage 1"] == pytest.approx(values[part, "stage2"] - stage_1)
        assert gains[part, "mean of both over stage 1"] == pytest.approx(values[part, "mean"] - stage_1)
        control = values[part, "control"]
        assert gains[part, "stage 2 over the control"] == pytest.approx(values[part, "stage2"] - control)


def test_each_image_is_measured_by_the_run_that_has_not_seen_it(
    done: tuple[Path, dict[str, Any], list[str]], table: CaseTable
) -> None:
    out, content, _ = done
    images = content["masks"]["images"]
    assert sorted(each["image_id"] for each in images) == sorted(table.frame["image_id"])
    for each in images:
        lesions = pl.read_parquet(out / "runs" / f"masks-{each['fold']}" / "lesions.parquet")
        of = table.frame.filter(image_id=each["image_id"])["lesion_id"][0]
        assert lesions.filter(lesion_id=of)["split"].to_list() == ["test"]
    worst = content["figure_4"]["images"]
    assert [each["kept"] for each in worst] == sorted(each["kept"] for each in images)[: figures.MISSED]


def test_prepared_parts_of_one_training_do_not_stay(
    done: tuple[Path, dict[str, Any], list[str]], table: CaseTable
) -> None:
    kept = [json.loads(path.read_text()) for path in table.folder.glob("pixels/*/manifest.json")]
    assert {manifest["settings"]["boxes"] for manifest in kept} == {""}
    assert {manifest["settings"]["hair"] for manifest in kept} == {"none", "dullrazor"}


def test_what_is_done_is_not_done_again(
    done: tuple[Path, dict[str, Any], list[str]], table: CaseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, content, _ = done
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "train", lambda *_, **__: pytest.fail("trained again"))
    said: list[str] = []
    assert reproduce(base(), table, out, masks=table, ablations=ABLATIONS, say=said.append) == content
    assert said == []
    with pytest.raises(RunError, match=r"was started with another recipe \(loss\.alpha was 1\.5, is 2\.0\)"):
        reproduce(base(loss={"alpha": 2.0}), table, out)


def test_a_part_without_a_truth_is_left_out_and_masks_are_not_needed(
    table: CaseTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "write_report", lambda *_, **__: None)
    unknown = pl.when(pl.col("split") == "test").then(None).otherwise(pl.col("diagnosis"))
    blind = replace(table, frame=table.frame.with_columns(diagnosis=unknown), folder=None)
    content = reproduce(base(), write_cases(blind, tmp_path / "cases"), tmp_path / "out", ablations=())
    assert list(content["parts"]) == ["val"] and content["masks"] is None
    page = (tmp_path / "out" / "reproduce.html").read_text()
    assert "The official test part is not in this case folder" in page and "Not measured" in page
    assert "The training from scratch was left out" in page


def test_a_part_that_lacks_a_class_has_figures_that_are_not_defined(
    table: CaseTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "write_report", lambda *_, **__: None)
    nevi = pl.when(pl.col("split") == "test").then(pl.lit("blue_naevus")).otherwise(pl.col("diagnosis"))
    poor = replace(table, frame=table.frame.with_columns(diagnosis=nevi), folder=None)
    content = reproduce(base(), write_cases(poor, tmp_path / "cases"), tmp_path / "out", ablations=())
    row = content["table_1"][0]
    assert row["part"] == "test" and row["aucs"]["mean_auc"] == dict.fromkeys(("value", "low", "high"))
    assert "They lack a class" in (tmp_path / "out" / "reproduce.html").read_text()


def test_boxes_and_runs_of_another_stage_one_are_not_taken(
    table: CaseTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "write_report", lambda *_, **__: None)
    out, said = tmp_path / "out", []
    reproduce(base(), table, out, ablations=())
    old = read_box_frame(out / "boxes" / "stage2.parquet").with_columns(run=pl.lit("stage1:of old"))
    write_boxes(old.to_dicts(), out / "boxes" / "stage2.parquet", base().crop)
    shutil.rmtree(out / "runs" / "stage2")
    reproduce(base(), table, out, ablations=(), say=said.append)
    assert said == ["cutting by the maps of stage1", "training stage2"]
    manifest = json.loads((out / "runs" / "control" / "manifest.json").read_text())
    (out / "runs" / "control" / "manifest.json").write_text(json.dumps({**manifest, "stage_one": "old"}))
    with pytest.raises(RunError, match=r"control: goes on from another stage one \(old, now stage1:"):
        reproduce(base(), table, out, ablations=())


@pytest.mark.parametrize("backbone", ["squeezenet1_1", "mobilenetv2_100", "resnet18"])
def test_the_papers_head_stands_on_another_backbone(backbone: str) -> None:
    recipe = _base("jia2017", "jia2017", backbone, 0, ["network.weights=none"])
    network = build_network(recipe.network, 3)
    assert (recipe.network.extra, network.trunks[0].channels) == (1024, 1024)
    measure_grid(network.trunks[0], stage=-1, side=224)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"task": {"groups": {"a": ["melanoma"], "b": ["*"]}}},
            "expected the classes melanoma and seborrheic",
        ),
        ({"network": {"kind": "triple"}}, r"expected a network on one view .*, got triple"),
    ],
)
def test_what_is_not_the_papers_is_refused(
    sections: dict[str, Any], message: str, table: CaseTable, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        reproduce(base(**sections), table, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_case_folder_without_masks_is_refused(table: CaseTable, tmp_path: Path) -> None:
    without = replace(table, frame=table.frame.drop("mask"))
    with pytest.raises(UsageError, match="expected a case folder with lesion masks"):
        reproduce(base(), table, tmp_path, masks=without)


@pytest.mark.parametrize("hair", ["none", "dullrazor", "learned"])
def test_every_ablation_changes_something(hair: str) -> None:
    start = base(data={"size": 40, "input": 32, "hair": hair}, crop={"threshold": 0.5, "margin": 0.3})
    every = planned(start, ("all",))
    unchanged = recipe_of(start, "x", {})
    for second in every.seconds:
        changed = recipe_of(start, "x", second.keys)
        assert (changed != unchanged) == (second.name not in (plan.SECOND, "fitted-2"))
    assert len({second.change for second in every.seconds}) == len(every.seconds) - 1
    with pytest.raises(UsageError, match="unknown ablation 'hare'"):
        planned(start, ("hare",))


def test_the_papers_recipe_is_the_paper() -> None:
    recipe = load_recipe("jia2017")
    network, data = recipe.network, recipe.data
    assert (network.backbone, network.extra, network.unpadded, network.dropout) == ("vgg16", 1024, 2, 0.5)
    assert (data.size, data.input, data.hair) == (256, 224, "dullrazor")
    assert (recipe.predict.views, recipe.predict.crop) == (2, "five"), "ten views"
    assert (recipe.augment.crop, recipe.augment.rotate90, recipe.augment.mirror) == ("five", True, True)
    assert (recipe.crop.evidence, recipe.crop.threshold, recipe.crop.combine) == ("predicted", 0.2, "stage2")


def test_the_surest_right_image_of_each_class_is_shown() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.95, 0.05]])
    found = figures.surest((["a", "b", "c", "d"], p), {"a": 0, "b": 0, "c": 0, "d": 1}, ("x", "y"))
    assert found == [{"class": "x", "lesion": "a", "probability": 0.9}]
