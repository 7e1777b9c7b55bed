"""The reproduction of Ge et al. 2017 end to end on a few phantom lesions, and its parts by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermapair.config import Recipe
from dermapair.data.cases import read_cases
from dermapair.errors import RunError, UsageError
from dermapair.inference.model import read_facts
from dermapair.reproduce import experiment
from dermapair.reproduce.ge2017 import plan
from dermapair.reproduce.ge2017.collect import Scored, collect
from dermapair.reproduce.ge2017.figure3 import chosen
from dermapair.reproduce.ge2017.page import reproduce
from dermapair.reproduce.ge2017.plan import Choices, Planned, grouping, maps_of, planned, recipe_of
from dermapair.types import VIEWS
from training.phantoms import phantom_cases, register_tiny, tiny_recipe


def base(**sections: Any) -> Recipe:
    everything = {"train": {"epochs": 1}, "task": {"groups": {}}, "optimizer": {"lr": 0.05}}
    return tiny_recipe(**{**everything, **sections})


CHOICES = Choices(seeds=(0, 1), comparator="tiny", cam_backbone="tiny", ablations=())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """A finished reproduction: its folder, its content and what it said."""
    with pytest.MonkeyPatch.context() as patch:
        register_tiny(patch)
        patch.setattr(experiment, "write_report", lambda *_, **__: None)
        out, said = tmp_path_factory.mktemp("ge2017"), []
        table = read_cases(phantom_cases(tmp_path_factory))
        content = reproduce(base(), table, out, choices=CHOICES, say=said.append)
        return out, content, said


def test_everything_is_trained_once_and_written(done: tuple[Path, dict[str, Any], list[str]]) -> None:
    out, content, said = done
    assert len(said) == 2 * 5 + 2, "five networks for each seed, and the two comparators"
    assert json.loads((out / "reproduce.json").read_text()) == content
    page = (out / "reproduce.html").read_text()
    for words in (
        "Table 1",
        "Share-Net above Sole-Net",
        "melanoma against benign",
        "61.2",
        "random ones",
        "Sole-Net of the same",
    ):
        assert words in page
    rows = {(row["network"], row["readout"]): row for row in content["table_1"]}
    assert len(rows[plan.TRIPLE_CAM, "cross"]["seeds"]) == 2
    assert rows[plan.TRIPLE_CAM, "both"]["paper"] == 0.70
    assert rows[plan.RESNET_BP, "both"]["paper"] is None


def test_what_is_done_is_not_done_again(
    done: tuple[Path, dict[str, Any], list[str]],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, content, _ = done
    register_tiny(monkeypatch)
    monkeypatch.setattr(experiment, "train", lambda *_, **__: pytest.fail("trained again"))
    said: list[str] = []
    table = read_cases(phantom_cases(tmp_path_factory))
    assert reproduce(base(), table, out, choices=CHOICES, say=said.append) == content
    assert said == []


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (base(train={"epochs": 7}), r"was started with another recipe \(train\.epochs was 1, is 7\)"),
        (base(loss={"alpha": 2.0}), r"was started with another recipe \(loss\.alpha was 1\.5, is 2\.0\)"),
    ],
)
def test_finished_runs_of_other_settings_are_refused(
    done: tuple[Path, dict[str, Any], list[str]],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    start: Recipe,
    message: str,
) -> None:
    register_tiny(monkeypatch)
    with pytest.raises(RunError, match=message):
        reproduce(start, read_cases(phantom_cases(tmp_path_factory)), done[0], choices=CHOICES)


def test_finished_runs_of_another_split_are_refused(
    done: tuple[Path, dict[str, Any], list[str]],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register_tiny(monkeypatch)
    table = read_cases(phantom_cases(tmp_path_factory))
    again = replace(table, manifest={**table.manifest, "split": {"val": 0.25, "test": 0.25, "seed": 9}})
    with pytest.raises(RunError, match=r"was trained on other data \(split was"):
        reproduce(base(), again, done[0], choices=CHOICES)


def test_exchanged_views_change_nothing_for_share_net(done: tuple[Path, dict[str, Any], list[str]]) -> None:
    _, content, _ = done
    drop = next(row["drop"] for row in content["swap"] if row["network"] == plan.SHARE)
    rows = {r["readout"]: r["accuracy"]["value"] for r in content["table_1"] if r["network"] == plan.SHARE}
    assert drop["both"]["value"] == 0
    assert drop["clinical"]["value"] == pytest.approx(rows["clinical"] - rows["dermoscopic"])


def test_a_cam_network_like_sole_net_is_not_trained_twice(
    done: tuple[Path, dict[str, Any], list[str]],
) -> None:
    out, _, _ = done
    for seed in CHOICES.seeds:
        facts = read_facts(out / "runs" / f"triple-net-cam-bp-seed{seed}")
        assert facts.network.cam_source == f"run sole-net-seed{seed}"
        assert facts.cam is not None and facts.cam[0].kind == "sole"


def test_a_cam_network_is_planned_before_those_that_need_it() -> None:
    runs = planned(base(), Choices((0, 1), "resnet50", "", ablations=("all",)))
    folders = [run.folder for run in runs]
    assert len(set(folders)) == len(folders)
    for i, run in enumerate(runs):
        if run.needs_maps:
            assert maps_of(run, runs).folder == f"cam-network-seed{run.seed}"
            assert f"cam-network-seed{run.seed}" in folders[:i]
    googlenet = recipe_of(base(), runs[0], maps="")
    assert (googlenet.network.backbone, googlenet.network.cut, googlenet.network.extra) == (
        "googlenet",
        "inception4e",
        1024,
    )


@pytest.mark.parametrize(("backbone", "tap"), [("vgg16", "stage4"), ("resnet18", "stage-2")])
def test_every_ablation_changes_something_and_is_valid(backbone: str, tap: str) -> None:
    start = base(network={"backbone": backbone, "tap": tap})
    runs = planned(start, Choices((0,), "resnet50", "", ablations=("all",)))
    unchanged = {r.network: recipe_of(start, r, maps="m") for r in runs if not r.change}
    changed = [run for run in runs if run.change]
    assert len(changed) >= 8
    for run in changed:
        recipe = recipe_of(start, run, maps="m")
        assert recipe.model_dump(exclude={"name"}) != unchanged[run.network].model_dump(exclude={"name"})
    assert ("head fc4096" in {run.change for run in changed}) == (backbone == "vgg16")


def one_hot(classes: list[int], sure: float = 0.8) -> np.ndarray:
    return np.eye(3)[classes] * (sure - 0.1) + 0.1


def by_hand(networks: tuple[str, ...]) -> tuple[list[Planned], Scored]:
    """Four lesions of the classes 0, 0, 1, 2; clinical names 2 of them rightly, dermoscopic 3, both 4."""
    runs = [Planned(name, 0, {}) for name in networks]
    scores = {
        "clinical": one_hot([0, 1, 1, 0], 0.5),
        "dermoscopic": one_hot([0, 0, 0, 2], 0.6),
        "both": one_hot([0, 0, 1, 2]),
    }
    every = {run.folder: scores for run in runs}
    turned = {run.folder: {**scores, "both": scores["clinical"]} for run in runs}
    fitted = {run.folder: {"clinical": 0.0, "dermoscopic": 1.0} for run in runs}
    labels = np.array([0, 0, 1, 2])
    return runs, Scored(
        ("a", "b", "c", "d"), labels, np.arange(4), ("mel", "bcc", "nv"), every, turned, fitted
    )


EVERY = (*plan.TABLE_1, plan.RESNET, plan.RESNET_BP)


def test_the_figures_by_hand() -> None:
    runs, scored = by_hand(EVERY)
    content = collect(scored, runs, cancers=["mel", "bcc"], melanoma="mel", alpha=1.5)
    rows = {(r["network"], r["readout"]): r["accuracy"]["value"] for r in content["table_1"]}
    assert [rows[plan.SOLE, r] for r in (*VIEWS, "both")] == [0.5, 0.75, 1.0]
    claims = {row["claim"]: row for row in content["orderings"]}
    gain = claims["Sole-Net: both above its better view (dermoscopic)"]
    assert (gain["value"], gain["paper"]) == (0.25, pytest.approx(0.081))
    assert claims["both: Triple-Net above Share-Net"]["value"] == 0
    relative = {row["claim"]: row for row in content["relative"]}
    sole = relative["Sole-Net: both over the mean of its views"]
    assert sole["value"] == pytest.approx(1 / 0.625 - 1)
    assert sole["paper"] == pytest.approx(0.162, abs=1e-3), "the paper says nearly 16%"
    tasks = {row["task"]: (row["n"], row["accuracy"]["value"]) for row in content["tasks"]}
    assert tasks == {
        "all classes": (4, 1.0),
        "cancer against the rest": (4, 1.0),
        "melanoma against benign": (3, 1.0),  # the basal cell carcinoma is left out
    }
    assert content["swap_difference"]["value"] == 0
    weights = {row["weights"]: row["accuracy"]["value"] for row in content["weights_of_both"]}
    assert weights["fitted on validation"] == 0.75


def test_lesions_of_figure_3_follow_the_rule() -> None:
    runs, scored = by_hand(EVERY)
    entries = chosen(scored, runs[0])
    # b and d are named wrongly by the clinical view alone, c by the dermoscopic one; a by none.
    assert {(e["lesion"], e["wrong"], e["named"]) for e in entries} == {
        ("b", "clinical", "bcc"),
        ("c", "dermoscopic", "mel"),
        ("d", "clinical", "mel"),
    }


def test_an_unknown_grouping_is_asked_for() -> None:
    assert grouping("milk10k", ("BCC", "MEL", "SCCKA", "MAL_OTH", "NV"), (), "")[1] == "MEL"
    with pytest.raises(UsageError, match=r"expected --cancers and --melanoma for data of the adapter 'csv'"):
        grouping("csv", ("a", "b"), (), "")
    with pytest.raises(UsageError, match=r"--melanoma: expected one of the cancers b, got 'a'"):
        grouping("csv", ("a", "b"), ("b",), "a")
    with pytest.raises(UsageError, match=r"unknown class 'x'; known: a, b"):
        grouping("csv", ("a", "b"), ("x",), "a")


def test_some_ablations_are_chosen_by_how_their_names_begin() -> None:
    def changes(*begin: str) -> list[str]:
        return [r.change for r in planned(base(), Choices((0,), "resnet50", "tiny", begin)) if r.change]

    assert changes() == []
    assert changes("loss", "plain") == ["plain bilinear pooling", "loss l2"]
    assert len(changes("all")) == 10
    with pytest.raises(UsageError, match=r"unknown ablation 'lose'; known: alpha 0\.5"):
        changes("lose")
