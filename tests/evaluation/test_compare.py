"""The numbers of a comparison: equal to those of the metrics, corrected, and seeds beside sampling error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dermapair.config import Recipe
from dermapair.errors import UsageError
from dermapair.evaluation.compare import compare
from dermapair.evaluation.compared import read_compared
from dermapair.inference.decisions import Affine, Calibration
from dermapair.metrics import METRICS
from dermapair.metrics.bootstrap import bootstrap
from dermapair.metrics.comparison import delong_test, holm, mcnemar_exact, paired_bootstrap
from evaluation.compared_runs import CLASSES, IDS, TRUTH, draw, make

Y = np.array([CLASSES.index(name) for name in TRUTH])
FEW = ("accuracy", "macro_auc")


@pytest.fixture
def content(tmp_path: Path) -> dict:
    """Three runs of one recipe each."""
    runs = [make(tmp_path / name, draw(k, skill=k), recipe=Recipe(name=name)) for k, name in enumerate("abc")]
    return compare(read_compared(runs), metrics=FEW, n_samples=200)


def of(found: dict, *keys: str) -> list[float]:
    return [found[key] for key in keys]


def test_figures_and_differences_are_those_of_the_metrics(content: dict) -> None:
    for k, run in enumerate(content["runs"]):
        want = bootstrap(Y, draw(k, skill=k), groups=None, metrics=FEW, n_samples=200)
        for metric in FEW:
            figure = run["figures"][metric]
            assert of(figure, "value", "low", "high") == pytest.approx(
                [want[metric].value, want[metric].low, want[metric].high]
            )
    for k, row in enumerate(content["differences"], start=1):
        want = paired_bootstrap(
            Y, draw(0, skill=0), draw(k, skill=k), groups=None, metrics=FEW, n_samples=200
        )
        for metric in FEW:
            d = want[metric]
            assert of(row["figures"][metric], "value", "low", "high", "p_value") == pytest.approx(
                [d.value, d.low, d.high, d.p_value]
            )


def test_patients_are_drawn_as_wholes(tmp_path: Path) -> None:
    named = {lesion: f"P{k // 3}" for k, lesion in enumerate(IDS)}
    runs = [make(tmp_path / n, draw(k), patients=named) for k, n in enumerate("ab")]
    found = compare(read_compared(runs), metrics=["log_loss"], n_samples=100)
    groups = [f"p {named[lesion]}" for lesion in IDS]
    how = {"groups": groups, "metrics": ["log_loss"], "n_samples": 100}
    want = bootstrap(Y, draw(0), **how)["log_loss"], paired_bootstrap(Y, draw(0), draw(1), **how)["log_loss"]
    got = [found[key][0]["figures"]["log_loss"] for key in ("runs", "differences")]
    assert [(f["low"], f["high"]) for f in got] == [pytest.approx((w.low, w.high)) for w in want]
    assert (found["groups"], found["n_groups"]) == ("patients", 8)


def test_every_table_is_corrected_on_its_own(content: dict) -> None:
    tables = [
        [f for row in content["differences"] for f in row["figures"].values()],
        content["mcnemar"],
        [run["difference"] for row in content["aucs"] for run in row["runs"][1:]],
    ]
    assert [len(tests) for tests in tables] == [6, 2, 6]
    for tests in tables:
        assert of({"p": [t["p_holm"] for t in tests]}, "p")[0] == pytest.approx(
            holm([t["p_value"] for t in tests]).tolist()
        )


def test_mcnemar_counts_every_lesion_once(content: dict) -> None:
    row = content["mcnemar"][1]
    a, b = draw(0, skill=0).argmax(axis=1) == Y, draw(2, skill=2).argmax(axis=1) == Y
    assert of(row, "both", "only_reference", "only_run", "neither") == [
        (a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()
    ]  # fmt: skip
    assert row["p_value"] == mcnemar_exact(Y, draw(0, skill=0).argmax(1), draw(2, skill=2).argmax(1))


def test_aucs_are_compared_after_delong(content: dict) -> None:
    melanoma = content["aucs"][1]
    assert (melanoma["name"], melanoma["n"]) == ("melanoma", 8)
    assert "difference" not in melanoma["runs"][0]
    want = delong_test(Y == 1, draw(0, skill=0)[:, 1], draw(1, skill=1)[:, 1])
    assert melanoma["runs"][1]["difference"]["value"] == pytest.approx(want.value)
    assert melanoma["runs"][1]["difference"]["p_value"] == pytest.approx(want.p_value)


def test_a_target_of_several_classes_is_their_summed_probability(tmp_path: Path) -> None:
    cancer = {"cancer": ("melanoma", "other"), "melanoma": ("melanoma",)}
    runs = [make(tmp_path / name, draw(k), targets=cancer) for k, name in enumerate("ab")]
    row = compare(read_compared(runs), metrics=FEW, n_samples=50)["aucs"][-1]
    assert (row["name"], row["n"]) == ("cancer", 12)
    want = delong_test(Y > 0, draw(0)[:, 1:].sum(1), draw(1)[:, 1:].sum(1))
    assert row["runs"][1]["difference"]["value"] == pytest.approx(want.value)


def test_recipes_differ_by_key(content: dict) -> None:
    assert content["settings"] == [{"key": "name", "values": {"a": "a", "b": "b", "c": "c"}}]


def test_of_paths_in_recipes_only_the_last_part_is_told(tmp_path: Path) -> None:
    network = [{"weights": f"/home/me/{name}/net.safetensors"} for name in "xy"]
    runs = [
        make(tmp_path / n, draw(k), recipe=Recipe.model_validate({"name": "x", "network": network[k]}))
        for k, n in enumerate("ab")
    ]
    found = compare(read_compared(runs), metrics=FEW, n_samples=20)["settings"]
    assert found == [{"key": "network.weights", "values": dict.fromkeys("ab", "net.safetensors")}]


def test_equal_predictions_differ_by_nothing(tmp_path: Path) -> None:
    runs = [make(tmp_path / name, draw(1)) for name in "ab"]
    found = compare(read_compared(runs), metrics=tuple(METRICS), n_samples=50)
    for figure in found["differences"][0]["figures"].values():
        assert of(figure, "value", "low", "high", "p_holm") == [0, 0, 0, 1]
    assert found["mcnemar"][0]["p_value"] == 1


def test_a_class_without_cases_is_not_defined_and_no_test(tmp_path: Path) -> None:
    runs = [make(tmp_path / name, draw(k)[:20], ids=[f"L{i}" for i in range(20)], truth=TRUTH[:20])
            for k, name in enumerate("ab")]  # fmt: skip
    found = compare(read_compared(runs), metrics=FEW, n_samples=50)
    absent = found["aucs"][2]["runs"][1]
    assert absent["auc"]["value"] is None
    assert of(absent["difference"], "value", "p_value", "p_holm") == [None, None, None]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(("metrics", "said"), [(["acuracy"], "unknown metric 'acuracy'"), ([], "got none")])
def test_unknown_metrics_are_refused(tmp_path: Path, metrics: list[str], said: str) -> None:
    runs = [make(tmp_path / name, draw(k)) for k, name in enumerate("ab")]
    with pytest.raises(UsageError, match=f"--metrics: .*{said}"):
        compare(read_compared(runs), metrics=metrics)


def test_the_aucs_of_isic_2017_come_with_its_classes(tmp_path: Path) -> None:
    classes = ("nevus", "melanoma", "seborrheic_keratosis")
    truth = [name.replace("other", classes[2]) for name in TRUTH]
    runs = [make(tmp_path / n, draw(k), truth=truth, classes=classes) for k, n in enumerate("ab")]
    figures = compare(read_compared(runs), metrics=["accuracy"], n_samples=50)["runs"][0]["figures"]
    assert list(figures) == ["accuracy", "melanoma_auc", "seborrheic_keratosis_auc", "mean_auc"]
    each = [figures[name]["value"] for name in ("melanoma_auc", "seborrheic_keratosis_auc")]
    assert figures["mean_auc"]["value"] == pytest.approx(np.mean(each))


def test_calibrated_runs_are_told(tmp_path: Path) -> None:
    affine = Affine(scale=(1.0,) * 3, bias=(0.0,) * 3, n_lesions=9)
    calibration = Calibration(method="temperature", readouts={"both": affine})
    runs = [make(tmp_path / "a"), make(tmp_path / "b", draw(1), calibration=calibration)]
    found = compare(read_compared(runs), metrics=FEW, n_samples=50)["runs"]
    assert [run["calibrated"] for run in found] == [False, True]


# --- seeds ---


def seeds(tmp_path: Path, **recipes: tuple[int, ...]) -> list[Path]:
    """Write a run of each seed of each recipe; its predictions are drawn from both."""
    return [
        make(
            tmp_path / f"{name}{seed}",
            draw(100 * len(name) + seed, skill=len(name)),
            recipe=Recipe(name=name, seed=seed),
        )
        for name, of_recipe in recipes.items()
        for seed in of_recipe
    ]


def accuracy(name: str, seed: int) -> float:
    p = draw(100 * len(name) + seed, skill=len(name))
    return float(np.mean(p.argmax(axis=1) == Y))


def test_without_seeds_there_is_no_family(content: dict) -> None:
    assert content["families"] == content["family_differences"] == []
    assert not any(row["other_seed"] for row in content["differences"])


def test_the_spread_over_seeds_stands_beside_the_interval_over_lesions(tmp_path: Path) -> None:
    found = compare(read_compared(seeds(tmp_path, a=(0, 1, 2), bb=(0, 1, 2))), metrics=FEW, n_samples=100)
    first = found["families"][0]
    each = [accuracy("a", seed) for seed in range(3)]
    figure = first["figures"]["accuracy"]
    assert (first["family"], first["runs"], first["seeds"]) == ("a", ["a0", "a1", "a2"], [0, 1, 2])
    assert figure["value"] == pytest.approx(np.mean(each))
    assert figure["spread"] == pytest.approx(
        {"n": 3, "mean": np.mean(each), "sd": np.std(each, ddof=1), "min": min(each), "max": max(each)}
    )
    assert figure["low"] < figure["value"] < figure["high"]
    assert [row["other_seed"] for row in found["differences"]] == [True, True, False, False, False]


def test_the_interval_over_lesions_does_not_grow_with_the_spread_over_seeds(tmp_path: Path) -> None:
    """Two trainings that are right on other lesions, equally often: no lesion sways their mean."""
    p = np.eye(3)[Y]
    wrong = np.eye(3)[(Y + 1) % 3]
    half = np.arange(len(Y)) % 2 == 0
    runs = [
        make(
            tmp_path / f"s{k}",
            np.where((half == bool(k))[:, None], p, wrong),
            recipe=Recipe(seed=k, name="x"),
        )
        for k in range(2)
    ]
    figure = compare(read_compared(runs), metrics=["accuracy"], n_samples=100)["families"][0]["figures"]
    assert of(figure["accuracy"], "value", "low", "high") == [0.5, 0.5, 0.5]


def test_recipes_are_compared_by_means_and_pair_by_pair_of_a_seed(tmp_path: Path) -> None:
    found = compare(read_compared(seeds(tmp_path, a=(0, 1, 2), bb=(1, 2, 5))), metrics=FEW, n_samples=100)
    (row,) = found["family_differences"]
    figure = row["figures"]["accuracy"]
    of_a, of_b = [accuracy("a", s) for s in (0, 1, 2)], [accuracy("bb", s) for s in (1, 2, 5)]
    gaps = [accuracy("bb", s) - accuracy("a", s) for s in (1, 2)]
    assert (row["family"], row["reference"], row["seeds"]) == ("bb", "a", [1, 2])
    assert figure["value"] == pytest.approx(np.mean(of_b) - np.mean(of_a))
    assert list(figure["by_seed"]) == ["1", "2"]
    assert list(figure["by_seed"].values()) == pytest.approx(gaps)
    assert figure["spread"]["sd"] == pytest.approx(np.std(gaps, ddof=1))


def test_recipes_without_a_common_seed_have_no_pairs(tmp_path: Path) -> None:
    found = compare(read_compared(seeds(tmp_path, a=(0, 1), bb=(2, 3))), metrics=FEW, n_samples=50)
    figure = found["family_differences"][0]["figures"]["accuracy"]
    assert (figure["by_seed"], figure["spread"]) == ({}, None)


def test_families_of_one_recipe_name_are_named_by_their_first_run(tmp_path: Path) -> None:
    runs = seeds(tmp_path, a=(0, 1))
    other = Recipe.model_validate({"name": "a", "seed": 0, "train": {"epochs": 3}})
    runs.append(make(tmp_path / "longer", draw(9), recipe=other))
    found = compare(read_compared(runs), metrics=FEW, n_samples=50)
    assert [family["family"] for family in found["families"]] == ["a0", "longer"]
