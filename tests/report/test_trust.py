"""What a reader finds of probabilities, decisions and unfamiliar images, from the real evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermapair.data.task import Task
from dermapair.evaluation.calibration import evaluate_calibration
from dermapair.evaluation.decisions import evaluate_decisions
from dermapair.evaluation.evaluate import Truth
from dermapair.inference.decisions import Affine, Calibration
from dermapair.inference.model import read_facts
from dermapair.inference.scores import softmax
from dermapair.report import write_report
from dermapair.report.failures import missed
from dermapair.report.read import read_run
from dermapair.report.trust import trust_parts
from dermapair.training.fit import fit_conformal, fit_points
from report.run_folder import CLASSES, LABELS, make_run

TARGETS = {"nevus": ("nevus",)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that is measured of its decisions."""
    folder = make_run(tmp_path_factory.mktemp("trust") / "run")
    rows, p = read_run(folder, manifest=None).scored("both")
    ids = rows["lesion_id"].to_list()
    of = dict(zip(ids, LABELS.tolist(), strict=True))
    task = Task("diagnosis", CLASSES, {name: name for name in CLASSES}, CLASSES)
    truth = Truth("test", task, of, {lesion: i for i, lesion in enumerate(ids)}, {})
    calibration = Calibration(
        method="temperature", readouts={"both": Affine(scale=(0.5,) * 3, bias=(0.0,) * 3, n_lesions=36)}
    )
    facts = read_facts(folder).model_copy(
        update={
            "targets": TARGETS,
            "operating_points": fit_points(p, LABELS, CLASSES, TARGETS),
            "conformal": fit_conformal(p, LABELS, coverage=0.9),
        }
    )
    (folder / "model.json").write_text(facts.model_dump_json(), encoding="utf-8")
    after = {"both": (ids, softmax(0.5 * np.log(p)))}
    more: dict[str, Any] = evaluate_decisions((ids, p), truth, facts, n_samples=50)
    more["calibration"] = evaluate_calibration({"both": (ids, p)}, after, truth, calibration, n_samples=50)
    flagged = {"value": 0.0278, "low": 0.005, "high": 0.142}
    views = {"clinical": {"n": 36, "flagged": flagged, "threshold": 3.0, "allowed": 0.01}}
    more["outside"] = {"method": "mahalanobis", "views": views}
    results = json.loads((folder / "results.json").read_text("utf-8")) | more
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return write_report(run).read_text("utf-8")


def test_calibration_is_shown_before_and_after_with_its_floor(run: Path, page: str) -> None:
    found = read_run(run, manifest=None).results["calibration"]["readouts"]["both"]
    assert "<strong>before calibration</strong>" in page and "<strong>after calibration</strong>" in page
    assert page.count("Reliability diagram") == 2
    assert f"<td>{found['temperature']:.3f}</td>" in page
    assert f"it would be {found['after']['if_perfect']['value']:.3f}" in page


def test_every_operating_point_stands_beside_what_it_promised(run: Path, page: str) -> None:
    files = read_run(run, manifest=None)
    parts = trust_parts(files)
    assert parts is not None
    assert [row["name"] for row in parts["points"]] == [
        "nevus sensitivity 90", "nevus sensitivity 95", "nevus youden",
    ]  # fmt: skip
    row = parts["points"][0]
    assert row["validation"]["sensitivity"]["value"] >= 0.9
    assert f"<td>{row['threshold']:.4f}</td>" in page
    assert "hold at this part's share of cases only" in page


def test_decision_curves_say_where_the_model_is_of_use(page: str) -> None:
    assert page.count("Decision curve of nevus") == 1
    assert "treat none" in page


def test_sets_are_counted_by_class_and_classes_without_a_case_left_out(run: Path, page: str) -> None:
    parts = trust_parts(read_run(run, manifest=None))
    assert parts is not None
    assert [row["name"] for row in parts["conformal"]["rows"]] == list(CLASSES[:2])
    assert "not in each class" in page
    assert f"<td>{parts['conformal']['rows'][0]['covered']}</td>" in page


def test_flagged_images_stand_beside_the_share_that_is_allowed(page: str) -> None:
    assert "Images that are not like those it knows" in page
    assert "<td>0.010</td><td>0.028" in page


def test_missed_cases_are_those_below_the_threshold_the_least_probable_first(run: Path) -> None:
    """The points were fitted on these very lesions: 95% of 30 nevi are found, one is missed."""
    found = missed(read_run(run, manifest=None), 5)
    (rows,) = found.values()
    assert list(found) == ["Missed at the operating point nevus sensitivity 95"]
    assert len(rows) == 1
    assert rows[0]["truth"] == "nevus"
    files = read_run(run, manifest=None)
    lesions, p = files.scored("both")
    nevi = lesions["truth"] == "nevus"
    assert rows[0]["p_truth"] == p[nevi.to_numpy(), 0].min()


def test_a_run_without_any_of_it_says_how_to_measure_it(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path / "run")).read_text("utf-8")
    assert "were not measured; run <code>dermapair calibrate RUN --data CASES</code>" in text
    assert 'id="decisions"' not in text
