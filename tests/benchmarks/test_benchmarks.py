"""Every script of `benchmarks/`, run on a few small phantom lesions."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from dermapair.imaging.hair import METHODS
from imaging.hair.drawn import hairy, skin
from inference.runs import tiny_facts

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
LESIONS = 24
SMALL = ["--set", "data.size=40", "--set", "data.input=32", "--set", "train.batch_size=4"]
SPEED = {
    "bootstrap_rate": [
        "--lesions",
        "60",
        "--samples",
        "40",
        "--loop",
        "20",
        "--large",
        "900",
        "--large-samples",
        "20",
    ],
    "fuzz_images": ["--tries", "40"],
    "hair_removal": ["--rounds", "1"],
    "import_rows": ["--rows", "50"],
    "near_duplicates": ["--images", "20", "--search", "60"],
    "outside": ["--pictures", "4"],
    "prepare_rate": ["--size", "32", "--rounds", "1"],
    "predict_memory": ["--images", "600"],
    "saliency_rate": ["--backbone", "squeezenet1_1", "--input", "64", "--channels", "16", "--rounds", "1"],
    "training_rate": ["--steps", "10", "--rounds", "1", "--default-malloc", *SMALL],
    "two_images": [],
    "two_stages": ["--images", "2", "--rounds", "1"],
}
"""The arguments that make each script that `make bench` runs small."""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few_small_lesions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # no processes for a few drawings
    phantom = importlib.import_module("_phantom")
    monkeypatch.setattr(phantom, "LESIONS", LESIONS)
    monkeypatch.setattr(phantom, "SIZE_PX", 64)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Calls of `keep_freed_memory`, which would change this whole process."""
    calls: list[bool] = []
    monkeypatch.setattr("dermapair.inference.allocator.keep_freed_memory", lambda: calls.append(True))
    return calls


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kept: list[bool]) -> Any:
    def run(name: str, *arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def test_every_script_that_make_bench_runs_is_tested_here():
    assert {path.stem for path in FOLDER.glob("[!_]*.py")} == set(SPEED)


def test_prepare_rate_reports_every_way_beside_the_pillow_loop(run_script):
    found = json.loads(run_script("prepare_rate", *SPEED["prepare_rate"])[-1])
    names = {"pillow loop", "prepare, 1 thread", "prepare, a thread per core"}
    assert set(found["seconds"]) == names
    assert found["ratios"]["pillow loop / pillow loop"] == 1
    assert (found["images"], found["size"]) == (2 * LESIONS, 32)


def test_bootstrap_rate_checks_its_values_against_scikit_learn(run_script):
    beside, many = run_script("bootstrap_rate", *SPEED["bootstrap_rate"])
    assert "60 lesions, 11 classes, 40 samples" in beside
    assert "by 20 samples), values at most" in beside
    assert many.startswith("900 predictions, 20 samples: ")


def test_coverage_is_a_share_for_every_figure_and_way(run_script):
    lines = run_script("_coverage", "--sets", "3", "--samples", "30", "--truth", "3000")
    shares = [float(line.split(" +- ")[0].split()[-1]) for line in lines if " +- " in line]
    assert len(shares) == (15 + 3) + (20 + 3) + 10 + 15
    assert all(0 <= share <= 1 for share in shares)


def test_gaps_of_groups_without_one_are_counted(run_script):
    *rows, last = run_script("_gap_level", "--draws", "2", "--samples", "20")
    shares = [float(row.split()[-1]) for row in rows[1:]]
    assert set(shares) <= {0.0, 0.5, 1.0}  # of two draws
    assert json.loads(last)["highest"] == max(shares)


def test_decisions_are_fitted_and_measured_over_many_splits(run_script, tmp_path):
    """Labels drawn from the very probabilities: sets of 60% hold the truth about so often."""
    run, rng = write_run(tmp_path / "run", lesions=400, seed=0), np.random.default_rng(1)
    frame = pl.read_parquet(run / "predictions.parquet").filter(pl.col("readout") == "both")
    p = frame.select(tiny_facts().classes).to_numpy()
    named = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    truth = pl.Series("truth", [tiny_facts().classes[k] for k in named])
    frame.with_columns(truth).write_parquet(run / "predictions.parquet")
    lesions = frame.select("lesion_id", "split", patient_id=pl.lit(None, dtype=pl.String))
    lesions.write_parquet(run / "lesions.parquet")
    lines = run_script("_decisions_again", run, "--splits", "10", "--coverage", "0.6")
    coverage = next(line for line in lines if line.startswith("coverage"))
    assert float(coverage.split("mean ")[1].split(",")[0]) == pytest.approx(0.6, abs=0.05)
    assert lines[-1].endswith("of 10")


def test_outside_measures_every_score_in_every_slot(run_script):
    found = json.loads(run_script("outside", *SPEED["outside"])[-1])
    assert set(found) == {"clinical", "dermoscopic"}
    for rows in found.values():
        assert len(rows) == 11
        for row in rows.values():
            assert {"test", "wrong slot", "photographs", "noise", "plain", "text", "phantoms"} == set(row)
            assert all(0 <= value <= 1 for figures in row.values() for value in figures.values())


def test_fuzz_images_accounts_for_every_try(run_script):
    found = json.loads(run_script("fuzz_images", *SPEED["fuzz_images"])[-1])
    assert found["read"] + found["refused"] == found["tries"] == 40
    assert found["found"] == []


def test_predict_memory_keeps_freed_memory_and_goes_through_all_images(run_script, kept):
    found = json.loads(run_script("predict_memory", *SPEED["predict_memory"])[-1])
    assert kept == [True]
    images = [done for done, _ in found["resident_mib"]]
    assert images == sorted(set(images))
    assert images[-1] == 624  # whole copies of the 48 pictures
    assert found["growth_mib"] == pytest.approx(found["resident_mib"][-1][1] - found["resident_mib"][1][1])


def test_import_rows_reports_seconds_and_memory_for_files_and_hdf5(run_script):
    found = json.loads(run_script("import_rows", *SPEED["import_rows"])[-1])
    assert found["rows"] == 50
    for name in ("seconds", "peak_mib"):
        assert set(found[name]) == {"files", "hdf5"}
        assert all(value > 0 for values in found[name].values() for value in values)


def test_near_duplicates_counts_what_was_planted_and_times_the_search(run_script):
    found = json.loads("\n".join(run_script("near_duplicates", *SPEED["near_duplicates"])))
    assert found["planted"]["images"] == 20
    assert len(found["planted"]["recall_by_change"]) == 8
    assert 0.5 < found["planted"]["recall"] <= 1
    assert found["search"]["thumbnails"] == 60
    assert found["search"]["peak_mib"] >= found["search"]["peak_mib_before"] > 0


def test_two_stages_are_timed_beside_one(run_script):
    found = json.loads(run_script("two_stages", *SPEED["two_stages"])[-1])
    times = found["milliseconds"]
    assert set(times) == {"stage one", "two stages"} and min(times.values()) > 0
    assert found["ratio"] == round(times["two stages"] / times["stage one"], 2)
    assert found["images"] == 2


def test_training_rate_reports_each_feed_in_each_precision(run_script, kept):
    found = json.loads(run_script("training_rate", *SPEED["training_rate"])[-1])
    assert kept == []  # --default-malloc
    feeds = {f"{p} {feed}" for p in ("bf16", "fp32") for feed in ("memory", "mirror", "recipe")}
    assert set(found["images_per_s"]) == feeds
    assert set(found["ratios"]) == {
        *(f"{p} {feed} / {p} memory" for p in ("bf16", "fp32") for feed in ("mirror", "recipe")),
        "bf16 memory / fp32 memory",
    }
    assert found["timed_steps"] == 2
    assert all(value > 0 for value in found["images_per_s"].values())


def test_training_rate_refuses_too_few_steps_to_time_any(run_script, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_script("training_rate", "--steps", "8")
    assert "--steps from 9" in capsys.readouterr().err


def test_saliency_rate_reports_maps_and_pooling(run_script):
    found = json.loads(run_script("saliency_rate", *SPEED["saliency_rate"])[-1])
    assert {"forward and maps, 8 pairs / forward, 8 pairs", "CAM-BP by outer products / CAM-BP"} <= set(
        found["ratios"]
    )
    assert found["bytes for one image"] == {"CAM-BP": 4 * 16 * (16 + 196), "by outer products": 4 * 196 * 256}


def test_hair_removal_scores_every_method(run_script):
    lines = [json.loads(line) for line in run_script("hair_removal", *SPEED["hair_removal"])]
    assert [line["method"] for line in lines] == list(METHODS)
    assert all(line["images"] > 0 and line["images_per_s"] > 0 and 0 <= line["dice"] <= 1 for line in lines)


def test_hair_is_scored_on_the_images_that_were_not_learned_from(tmp_path, run_script, capsys):
    for kind in ("real", "triplets"):
        (tmp_path / kind).mkdir()
    image, mask = hairy(2.0)
    for name in ("a", "b"):
        Image.fromarray(image).save(tmp_path / "real" / f"{name}.jpg", quality=95)
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "real" / f"{name}_hair.png")
    for kind, pixels in (("hairy", image), ("clean", skin(2.0))):
        Image.fromarray(pixels).save(tmp_path / "triplets" / f"a_{kind}.jpg", quality=95)
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "triplets" / "a_hair.png")
    lines = [json.loads(line) for line in run_script("hair_removal", tmp_path, "--rounds", "1")]
    learned = next(line for line in lines if line["method"] == "learned")
    assert learned["images"] == 1
    assert learned["dice"] > 0.5 and learned["psnr_inside_db"] > 20 and learned["clean_touched_percent"] < 2
    examples = importlib.import_module("_train_hair").read_examples(tmp_path / "real")
    assert len(examples) == 1
    network = importlib.import_module("_train_hair").train(examples, steps=2, seed=0)
    assert all(bool(p.isfinite().all()) for p in network.parameters())


@pytest.mark.filterwarnings("ignore")  # of the libraries
def test_only_our_maps_of_two_images_are_right_and_ours_of_one_equal_theirs(run_script):
    """Four libraries, with the extra `bench`; without it, ours alone is in the tests of `saliency`."""
    for name in ("torchcam", "captum", "pytorch_grad_cam", "monai"):
        pytest.importorskip(name)
    found = json.loads(run_script("two_images", *SPEED["two_images"])[-1])
    verdicts = {name: library["verdict"] for name, library in found["libraries"].items()}
    assert verdicts == {
        "dermapair": "right: a map for each image",
        "torch-cam": "one map, of the second image",
        "captum": "one map, of the second image",
        "grad-cam": "one map, of the first image",
        "MONAI": "one map, of neither image",
    }
    assert max(found["one image"].values()) < 1e-5


# --- comparing runs ---


def write_run(folder: Path, *, lesions: int, seed: int) -> Path:
    """Write what the comparison reads; the first lesion lacks its clinical image."""
    facts, rng = tiny_facts(), np.random.default_rng(seed)
    folder.mkdir()
    (folder / "model.json").write_text(facts.model_dump_json(), encoding="utf-8")
    figure = {"value": 0.5, "low": 0.25, "high": None}
    figures = dict.fromkeys(("accuracy", "macro_auc", "macro_f1"), figure)
    (folder / "results.json").write_text(json.dumps({"readouts": {"both": figures}}), encoding="utf-8")
    rows = [
        {"lesion_id": f"l{i:02d}", "readout": readout, "split": "test", "truth": facts.classes[i % 3]}
        | dict(zip(facts.classes, rng.dirichlet(np.ones(3)).tolist(), strict=True))
        for readout in ("clinical", "dermoscopic", "both")
        for i in range(lesions)
        if i or readout != "clinical"
    ]
    pl.DataFrame(rows).write_parquet(folder / "predictions.parquet")
    return folder
