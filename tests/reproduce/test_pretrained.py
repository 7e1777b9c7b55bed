"""Training that starts from the trunk of another run, and what it must not know."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.torch import load_file

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable, read_cases, write_cases
from dermapair.data.split import split_cases
from dermapair.errors import LeakError, RecipeError, RunError
from dermapair.reproduce import experiment
from dermapair.reproduce.experiment import run_experiment
from dermapair.training.files import check_recipe
from training.phantoms import phantom_cases, register_tiny, tiny_recipe

STILL = {"optimizer": {"lr": 1e-30}, "train": {"epochs": 1, "unfold_batch_norm": True}}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    register_tiny(monkeypatch, "tiny_bn", batch_norm=True)
    monkeypatch.setattr(experiment, "write_report", lambda run, **_: run)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CaseTable:
    return read_cases(phantom_cases(tmp_path_factory))


@pytest.fixture
def pretrained(table: CaseTable, tmp_path: Path, tiny: None) -> Path:
    """A network on one view, of other classes."""
    recipe = tiny_recipe(network={"kind": "single"}, task={"groups": {}}, train={"epochs": 1})
    run_experiment(recipe, table, tmp_path / "pretrained")
    return tmp_path / "pretrained"


def started_from(run: Path, **sections: Any) -> Recipe:
    network = sections.pop("network", {}) | {"weights": str(run)}
    return tiny_recipe(**STILL, network=network, **sections)


@pytest.mark.parametrize(("kind", "trunks"), [("triple", 1), ("sole", 2)])
def test_every_trunk_starts_from_the_runs(
    kind: str, trunks: int, pretrained: Path, table: CaseTable, tmp_path: Path
) -> None:
    """Without a step, its trunk is theirs and its classifier is not; nothing is unfolded again."""
    run_experiment(started_from(pretrained, network={"kind": kind}), table, tmp_path / "run")
    ours, theirs = (load_file(run / "model.safetensors") for run in (tmp_path / "run", pretrained))
    names = [name.removeprefix("trunks.0") for name in theirs if name.startswith("trunks.0")]
    assert names
    for k in range(trunks):
        for name in names:
            assert (ours[f"trunks.{k}{name}"] == theirs[f"trunks.0{name}"]).all()
    assert ours["heads.0.classifier.weight"].shape != theirs["heads.0.classifier.weight"].shape
    facts = json.loads((tmp_path / "run" / "model.json").read_text())
    assert facts["network"]["weights"] == "run pretrained"
    assert facts["started_from"] == "the trunk of run pretrained (15 classes), that from random weights"
    assert str(tmp_path) not in (tmp_path / "run" / "model.json").read_text()


def test_a_shorter_trunk_with_a_new_convolution_starts_from_the_runs_first_layers(
    pretrained: Path, table: CaseTable, tmp_path: Path
) -> None:
    recipe = started_from(pretrained, network={"cut": "stage1", "extra": 6})
    run_experiment(recipe, table, tmp_path / "run")
    ours, theirs = (load_file(run / "model.safetensors") for run in (tmp_path / "run", pretrained))
    trunk = [name for name in ours if name.startswith("trunks.")]
    taken = [name for name in trunk if name in theirs and ours[name].shape == theirs[name].shape]
    assert taken and all((ours[name] == theirs[name]).all() for name in taken)
    assert {name.split(".")[2] for name in set(trunk) - set(taken)} == {max(n.split(".")[2] for n in trunk)}


def test_a_run_that_knows_our_test_part_is_refused(
    pretrained: Path, table: CaseTable, tmp_path: Path
) -> None:
    other = split_cases(table, val=0.25, test=0.25, seed=5)
    other = write_cases(replace(other, folder=None), tmp_path / "other")
    with pytest.raises(LeakError, match="expected a pretrained run that has held out our val part"):
        run_experiment(started_from(pretrained), other, tmp_path / "run")


def test_what_a_run_before_the_run_has_learned_counts_too(
    pretrained: Path, table: CaseTable, tmp_path: Path
) -> None:
    """Its lesions and images: the middle run knows neither our validation nor our test part itself."""
    frame = table.frame.with_columns(pl.concat_str(pl.lit("other_"), "lesion_id").alias("lesion_id"))
    frame = frame.with_columns(pl.concat_str(pl.lit("other_"), "image_id").alias("image_id"))
    elsewhere = write_cases(replace(table, frame=frame, folder=None), tmp_path / "elsewhere")
    run_experiment(started_from(pretrained), elsewhere, tmp_path / "middle")
    before = pl.read_parquet(tmp_path / "middle" / "learned_before.parquet")
    assert set(before["split"]) == {"train", "val"}
    swapped = {"train": "test", "test": "train", "val": "val"}
    turned = table.frame.with_columns(pl.col("split").replace_strict(swapped))
    ours = write_cases(replace(table, frame=turned, folder=None), tmp_path / "ours")
    with pytest.raises(LeakError, match="middle: expected a pretrained run that has held out our"):
        run_experiment(started_from(tmp_path / "middle"), ours, tmp_path / "run")
    run_experiment(started_from(tmp_path / "middle"), table, tmp_path / "run")


def test_the_same_image_under_another_lesion_is_refused(
    pretrained: Path, table: CaseTable, tmp_path: Path
) -> None:
    """As ISIC 2017 and HAM10000 name lesions, but images alike."""
    swapped = {"train": "test", "test": "train", "val": "val"}
    frame = table.frame.with_columns(
        pl.concat_str(pl.lit("other_"), "lesion_id").alias("lesion_id"),
        pl.lit(None, dtype=pl.String).alias("patient_id"),
        pl.col("split").replace_strict(swapped),
    )
    ours = write_cases(replace(table, frame=frame, folder=None), tmp_path / "ours")
    with pytest.raises(LeakError, match=r"of its image_id, '.*' the first"):
        run_experiment(started_from(pretrained), ours, tmp_path / "run")


def test_a_run_named_by_another_path_is_the_same_recipe(
    pretrained: Path, table: CaseTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_experiment(started_from(Path("pretrained")), table, tmp_path / "run")
    check_recipe(tmp_path / "run", started_from(Path("pretrained")))
    with pytest.raises(RunError, match=r"network\.weights was 'pretrained', is 'none'"):
        check_recipe(tmp_path / "run", tiny_recipe(optimizer={"lr": 1e-30}, train={"epochs": 1}))


def test_a_run_of_another_backbone_and_a_folder_that_is_none_are_refused(
    pretrained: Path, table: CaseTable, tmp_path: Path
) -> None:
    recipe = started_from(pretrained, network={"backbone": "tiny_bn"})
    with pytest.raises(RecipeError, match="expected a run with the backbone of this recipe, got another"):
        run_experiment(recipe, table, tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="expected a finished run with manifest.json"):
        run_experiment(started_from(tmp_path / "empty"), table, tmp_path / "run")
