"""The loop: what it keeps, what it says, how it goes on, when it stops."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dermapair.config import Recipe
from dermapair.errors import DermapairError, RecipeError, RunError, TrainingError
from dermapair.metrics import METRICS
from dermapair.models import BACKBONES
from dermapair.training import checkpoint as checkpoint_module
from dermapair.training.checkpoint import load_checkpoint, read_lines
from dermapair.training.feeding import epoch_steps
from dermapair.training.loop import train
from dermapair.training.state import Trained, TrainingData
from dermapair.training.validation import readout_weights, score_all
from models.tiny import tiny_network, tiny_trunk
from training.phantoms import Spoiled, tiny_recipe, training_data

EVERYTHING: dict[str, dict[str, Any]] = {
    "network": {"backbone": "tiny_bn", "dropout": 0.3},
    "optimizer": {"name": "adamw", "lr": 0.01, "clip_norm": 1.0},
    "schedule": {"warmup_epochs": 1},
    "train": {"epochs": 3, "ema": 0.7},
    "augment": {"mirror": True, "rotate90": True, "crop": "random", "brightness": 0.2},
}
"""Whatever carries state from one epoch to the next."""


def run(
    recipe: Recipe,
    cases: Path,
    out: Path,
    *,
    change: Callable[[TrainingData], TrainingData] | None = None,
    **how: Any,
) -> Trained:
    data = training_data(cases, recipe)
    return train(recipe, change(data) if change else data, out, accelerator="cpu", **how)


def state(trained: Trained) -> dict[str, torch.Tensor]:
    return trained.scorer.network.state_dict()


def assert_same(one: Trained, two: Trained) -> None:
    assert (one.epoch, one.value) == (two.epoch, two.value)
    other = state(two)
    for name, value in state(one).items():
        assert torch.equal(value, other[name]), name


def timeless(line: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in line.items() if k not in ("train_s", "waited_s", "val_s", "images_per_s")}


class Stop(Exception):
    """As if the process were killed."""


def stop_after(epoch: int) -> Callable[[dict[str, Any]], None]:
    def report(line: dict[str, Any]) -> None:
        if line["epoch"] == epoch:
            raise Stop

    return report


# --- what it keeps and writes ---


@pytest.mark.parametrize("kind", ["single", "sole", "share", "triple"])
def test_the_journal_has_a_complete_line_for_every_epoch(kind: str, cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(network={"kind": kind, "view": "dermoscopic"})
    reported: list[dict[str, Any]] = []
    steps: list[tuple[int, int, int]] = []
    data = training_data(cases, recipe)
    if kind == "single":
        having = np.flatnonzero([bool(rows) for rows in data.train.images["dermoscopic"]])
        data = replace(data, train=data.train.take(having))
    trained = train(
        recipe, data, tmp_path, accelerator="cpu", report=reported.append, on_step=lambda *s: steps.append(s)
    )
    lines = read_lines(tmp_path / "journal.jsonl")
    said = json.loads(json.dumps(reported), parse_constant=lambda name: None)  # NaN is null in the file
    assert lines == said
    assert [line["epoch"] for line in lines] == [1, 2]
    readouts = trained.scorer.network.readouts
    n = len(epoch_steps(len(data.train), recipe, epoch=1))
    assert steps == [(epoch, step, n) for epoch in (1, 2) for step in range(1, n + 1)]
    for line in lines:
        assert set(line["loss"]) == set(readouts)
        assert set(line["val"]) == {*readouts, "both"}
        assert all(set(of) == set(METRICS) for of in line["val"].values())
        assert all(math.isfinite(x) and x > 0 for x in line["loss"].values())
        assert line["train_s"] >= line["waited_s"] >= 0 and line["val_s"] > 0 and line["images_per_s"] > 0
        assert line["unreadable"] == {}
        assert line["best_epoch"] in (1, 2)
    assert lines[0]["lr"] > lines[1]["lr"] > 0  # cosine


def test_the_last_epoch_is_kept_where_validation_chooses_nothing(cases: Path, tmp_path: Path) -> None:
    settings = {"epochs": 4, "metric": "accuracy"}
    best = run(tiny_recipe(optimizer={"lr": 2.0}, train=settings), cases, tmp_path / "best")
    last = run(
        tiny_recipe(optimizer={"lr": 2.0}, train={**settings, "keep": "last"}), cases, tmp_path / "last"
    )
    assert (best.epoch, last.epoch) == (1, 4), "all epochs are equally good, and the first is taken"
    assert any((value != state(best)[name]).any() for name, value in state(last).items())
    with pytest.raises(ValueError, match=r'waits for a better epoch, but train\.keep is "last"'):
        tiny_recipe(train={"keep": "last", "patience": 2})


def test_a_metric_that_is_not_defined_stops_only_what_is_chosen_by_it(cases: Path, tmp_path: Path) -> None:
    """One validation lesion has no AUC."""

    def one(data: TrainingData) -> TrainingData:
        return replace(data, val=data.val.take([0]))

    settings = {"epochs": 1, "metric": "macro_auc"}
    with pytest.raises(TrainingError, match="macro_auc is not defined"):
        run(tiny_recipe(train=settings), cases, tmp_path / "best", change=one)
    kept = run(tiny_recipe(train={**settings, "keep": "last"}), cases, tmp_path / "last", change=one)
    assert kept.epoch == 1 and math.isnan(kept.value)


@pytest.mark.parametrize(("metric", "best"), [("log_loss", min), ("accuracy", max)])
def test_the_best_epoch_is_kept(metric: str, best: Callable[..., float], cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(train={"epochs": 4, "metric": metric}, optimizer={"lr": 0.5})
    trained = run(recipe, cases, tmp_path)
    values = [line["val"]["both"][metric] for line in read_lines(tmp_path / "journal.jsonl")]
    assert trained.value == best(values)
    assert trained.epoch == values.index(best(values)) + 1  # the first of equals
    data = training_data(cases, recipe)
    scores = score_all(trained.scorer, data.val, data.source)
    assert METRICS[metric](data.val.labels, scores.probabilities["both"]) == pytest.approx(trained.value)
    assert not any(module.training for module in trained.scorer.network.modules())


def test_training_lowers_the_loss(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(train={"epochs": 6}, schedule={"name": "constant"}, network={"backbone": "tiny_bn"})
    run(recipe, cases, tmp_path)
    lines = read_lines(tmp_path / "journal.jsonl")
    assert all(lines[-1]["loss"][r] < lines[0]["loss"][r] for r in ("clinical", "dermoscopic", "cross"))


def test_training_stops_early_where_nothing_gets_better(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(train={"epochs": 9, "patience": 2, "metric": "accuracy"}, optimizer={"lr": 1e-12})
    trained = run(recipe, cases, tmp_path)
    assert trained.epoch == 1
    assert len(read_lines(tmp_path / "journal.jsonl")) == 3


def test_the_same_seed_gives_the_same_weights(cases: Path, tmp_path: Path) -> None:
    one, two = (run(tiny_recipe(**EVERYTHING), cases, tmp_path / name) for name in ("a", "b"))
    assert_same(one, two)


def test_the_callers_random_state_is_left_alone(cases: Path, tmp_path: Path) -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(tiny_recipe(**EVERYTHING), cases, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_averaged_weights_are_the_ones_that_are_kept(cases: Path, tmp_path: Path) -> None:
    """With decay 1 the average stays at the weights after the first step."""
    recipe = tiny_recipe(train={"ema": 1.0, "metric": "accuracy"}, optimizer={"lr": 0.1})
    trained = run(recipe, cases, tmp_path)
    saved = load_checkpoint(tmp_path / "checkpoints" / "last.pt")
    assert saved is not None
    kept = {name: saved["average"][f"module.{name}"] for name in state(trained)}
    assert all(torch.equal(value, kept[name]) for name, value in state(trained).items())
    assert not all(torch.equal(value, kept[name]) for name, value in saved["network"].items())


def test_frozen_layers_of_a_run_are_those_it_started_from(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(network={"backbone": "tiny_bn"}, train={"freeze_until": "stage2"})
    trained = run(recipe, cases, tmp_path)
    start = tiny_trunk(batch_norm=True).state_dict()
    for name, value in trained.scorer.network.trunks[0].state_dict().items():
        same = torch.equal(value, start[name])
        assert same if name.split(".")[1] in ("0", "1") else not same, name


@pytest.mark.parametrize(("combine", "cross"), [("equal", 1.0), ("loss", 1.5), ("fitted", 1.0)])
def test_the_recipe_weights_the_readouts_of_both(combine: str, cross: float) -> None:
    recipe = tiny_recipe(network={"combine": combine})
    got = readout_weights(recipe, tiny_network("triple"))
    assert got == {"clinical": 1.0, "dermoscopic": 1.0, "cross": cross}


# --- going on ---


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_stopped_run_goes_on_to_the_same_result(epoch: int, cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(**EVERYTHING)
    unbroken = run(recipe, cases, tmp_path / "unbroken")
    with pytest.raises(Stop):
        run(recipe, cases, tmp_path / "broken", report=stop_after(epoch))
    with (tmp_path / "broken" / "journal.jsonl").open("a") as file:
        file.write('{"epoch": 3, "loss"')  # the line that the kill cut off
    assert_same(run(recipe, cases, tmp_path / "broken", resume=True), unbroken)
    one, two = (read_lines(tmp_path / name / "journal.jsonl") for name in ("broken", "unbroken"))
    assert [timeless(line) for line in one] == [timeless(line) for line in two]


def test_a_run_stopped_before_its_first_checkpoint_starts_again(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()

    def stop(*step: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        run(recipe, cases, tmp_path / "broken", on_step=stop)
    assert_same(run(recipe, cases, tmp_path / "broken", resume=True), run(recipe, cases, tmp_path / "new"))


def test_resuming_what_never_began_begins(cases: Path, tmp_path: Path) -> None:
    assert run(tiny_recipe(), cases, tmp_path / "new", resume=True).epoch


def test_a_run_that_ended_without_its_manifest_only_chooses_again(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    first = run(recipe, cases, tmp_path)
    steps: list[int] = []
    assert_same(run(recipe, cases, tmp_path, resume=True, on_step=lambda *s: steps.append(s)), first)
    assert not steps


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"epochs": 5}}, r"another recipe \(train\.epochs was 2, is 5\)"),
        ({"optimizer": {"lr": 0.01}}, r"another recipe \(optimizer\.lr was 0\.05, is 0\.01\)"),
        (
            {"network": {"backbone": "tiny_bn"}},
            r"another recipe \(network\.backbone was 'tiny', is 'tiny_bn'\)",
        ),
        ({"train": {"precision": "bf16"}}, r"another recipe \(train\.precision was 'fp32', is 'bf16'\)"),
    ],
)
def test_another_recipe_is_refused_naming_the_key(
    sections: dict[str, Any], said: str, cases: Path, tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        run(tiny_recipe(), cases, tmp_path, report=stop_after(1))
    with pytest.raises(RunError, match=said):
        run(tiny_recipe(**sections), cases, tmp_path, resume=True)


def test_another_seed_is_another_recipe(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tiny_recipe(), cases, tmp_path, report=stop_after(1))
    with pytest.raises(RunError, match="another recipe .seed was 0, is 4"):
        run(tiny_recipe().model_copy(update={"seed": 4}), cases, tmp_path, resume=True)


@pytest.mark.parametrize("part", ["train", "val"])
def test_other_data_are_refused(part: str, cases: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tiny_recipe(), cases, tmp_path, report=stop_after(1))

    def fewer(data: TrainingData) -> TrainingData:
        return replace(data, **{part: getattr(data, part).take(range(5))})

    with pytest.raises(RunError, match="was started on other lesions, boxes or another split"):
        run(tiny_recipe(), cases, tmp_path, resume=True, change=fewer)


def test_a_half_made_run_is_not_overwritten(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tiny_recipe(), cases, tmp_path, report=stop_after(1))
    with pytest.raises(RunError, match="holds a half-made run; go on with --resume"):
        run(tiny_recipe(), cases, tmp_path)


@pytest.mark.parametrize("resume", [False, True])
def test_a_finished_run_is_not_touched(resume: bool, cases: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="holds a finished run; choose another folder"):
        run(tiny_recipe(), cases, tmp_path, resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]


def test_a_measured_precision_stays_with_the_run(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dermapair.training import loop

    recipe = tiny_recipe(train={"precision": "auto"})
    monkeypatch.setattr(loop, "measure_precision", lambda *_, **__: {"fp32": 1.0, "bf16": 2.0})
    with pytest.raises(Stop):
        run(recipe, cases, tmp_path, report=stop_after(1))
    assert 'precision = "bf16"' in (tmp_path / "recipe.toml").read_text()
    monkeypatch.setattr(loop, "measure_precision", lambda *_, **__: {"fp32": 9.0, "bf16": 2.0})
    assert run(recipe, cases, tmp_path, resume=True).recipe.train.precision == "bf16"


def test_a_full_disk_in_the_second_epoch_costs_that_epoch_only(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, save, calls = tiny_recipe(**EVERYTHING), torch.save, []

    def full_at_the_second(obj: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(obj, file)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module.torch, "save", full_at_the_second)
        with pytest.raises(TrainingError, match="No space left"):
            run(recipe, cases, tmp_path / "full")
    left = load_checkpoint(tmp_path / "full" / "checkpoints" / "last.pt")
    assert left is not None and left["epoch"] == 1
    assert_same(run(recipe, cases, tmp_path / "full", resume=True), run(recipe, cases, tmp_path / "roomy"))


# --- when it stops ---


def broken_trunk(weights: str) -> nn.Module:
    trunk = tiny_trunk()
    nn.init.constant_(trunk.units[0][0].bias, math.nan)
    return trunk


def test_a_loss_that_is_not_finite_names_the_lesions(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, "broken", broken_trunk)
    recipe = tiny_recipe(network={"backbone": "broken"})
    with pytest.raises(TrainingError, match=r"the loss is not finite .*nan.*lower optimizer\.lr") as raised:
        run(recipe, cases, tmp_path)
    ids = training_data(cases, recipe).train.ids
    first = [ids[i] for i in epoch_steps(len(ids), recipe, epoch=1)[0]]
    assert f"for the lesions {', '.join(first)};" in str(raised.value)


@pytest.mark.parametrize("batch_size", [4, 100])
def test_an_absurd_learning_rate_stops_with_a_sentence(batch_size: int, cases: Path, tmp_path: Path) -> None:
    """With one step in the epoch, validation is the first to see the ruined weights."""
    recipe = tiny_recipe(optimizer={"lr": 1e30}, train={"batch_size": batch_size})
    with pytest.raises(DermapairError, match=r"not finite.*lower optimizer\.lr"):
        run(recipe, cases, tmp_path)


def test_a_metric_that_is_not_defined_stops_after_one_epoch(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(train={"metric": "macro_auc", "epochs": 50})

    def one_class(data: TrainingData) -> TrainingData:
        same = np.flatnonzero(data.val.labels == data.val.labels[0])
        return replace(data, val=data.val.take(same))

    with pytest.raises(TrainingError, match=r"both macro_auc is not defined: the validation part has \["):
        run(recipe, cases, tmp_path, change=one_class)


def test_a_readout_that_the_network_lacks_is_refused_first(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(network={"kind": "share"}, train={"readout": "cross"})
    with pytest.raises(
        RecipeError, match=r"unknown train\.readout of a share network 'cross'; known: both, clin"
    ):
        run(recipe, cases, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_metric_is_refused_first(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown train\.metric 'auc'; known: accuracy"):
        run(tiny_recipe(train={"metric": "auc"}), cases, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_processes_than_lesions_in_a_step_are_refused(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"train\.batch_size: expected a lesion for each of 2 processes"):
        run(tiny_recipe(train={"batch_size": 1}), cases, tmp_path, devices=2)


# --- bad images ---


def test_an_unreadable_image_costs_that_image_and_is_listed(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(train={"epochs": 1})
    ids: list[str] = []

    def spoil(data: TrainingData) -> TrainingData:
        i = next(i for i, rows in enumerate(data.train.images["clinical"]) if rows)
        ids.append(data.train.ids[i])
        return replace(data, source=Spoiled(data.source, frozenset(data.train.images["clinical"][i])))

    run(recipe, cases, tmp_path, change=spoil)
    (line,) = read_lines(tmp_path / "journal.jsonl")
    assert set(line["unreadable"]) == set(ids)
    assert "got noise" in line["unreadable"][ids[0]]


def test_a_batch_without_a_readable_image_is_no_step(cases: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(optimizer={"weight_decay": 0.5}, train={"epochs": 1})

    def spoil(data: TrainingData) -> TrainingData:
        rows = {row for of in data.train.images.values() for image_rows in of for row in image_rows}
        return replace(data, source=Spoiled(data.source, frozenset(rows)))

    trained = run(recipe, cases, tmp_path, change=spoil)
    start = tiny_trunk().state_dict()
    trunk = trained.scorer.network.trunks[0].state_dict()
    assert all(torch.equal(value, start[name]) for name, value in trunk.items())
    (line,) = read_lines(tmp_path / "journal.jsonl")
    assert line["loss"] == {} and len(line["unreadable"]) == 8  # both steps of 4 lesions


def test_the_tables_own_diagnoses_are_classes_where_the_recipe_groups_nothing(
    cases: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(task={"groups": {}}, train={"epochs": 1, "metric": "accuracy"})
    trained = run(recipe, cases, tmp_path)
    data = training_data(cases, recipe)
    assert trained.scorer.classes == data.task.diagnoses
    assert score_all(trained.scorer, data.val, data.source).probabilities["both"].shape == (7, 15)
