"""How unlike training a picture is: the score by hand, its rule, its file, and what predictions say of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dermapair
from dermapair.data.cases import read_cases
from dermapair.data.store import open_pixels
from dermapair.errors import RunError
from dermapair.inference.decisions import OutsideRule, OutsideView
from dermapair.inference.ood import OUTSIDE_FILE, Gaussian, Outside, load_outside
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import Scores, concatenate
from dermapair.inference.stream import write_predictions
from dermapair.training.outside import fit_rule
from dermapair.types import VIEWS
from inference.runs import let_judge

CHANNELS = dict.fromkeys(VIEWS, 14)


def exact() -> Gaussian:
    """Mean (1, 2) and covariance ((4, 2), (2, 2)), whose inverse is ((0.5, -0.5), (-0.5, 1))."""
    whitening = np.linalg.cholesky(np.array([[0.5, -0.5], [-0.5, 1.0]]))
    return Gaussian(np.array([1.0, 2.0], np.float32), whitening.astype(np.float32))


@pytest.fixture
def judging(run: Path, cases: Path) -> Path:
    return let_judge(run, cases)


@pytest.fixture
def predictor(judging: Path) -> Predictor:
    return dermapair.load(judging, device="cpu", precision="fp32")


def scored(predictor: Predictor, cases: Path, split: str | None = None) -> Scores:
    return concatenate(list(predictor.predict_cases(read_cases(cases), split=split)))


# --- the score and its rule ---


def test_the_score_is_the_squared_mahalanobis_distance_over_the_channels() -> None:
    """Of (3, 2): 2 * 0.5 * 2 = 2; of (1, 3): 1; of (2, 3): 0.5 - 1 + 1 = 0.5; over two channels."""
    found = exact().distance(np.array([[1.0, 2.0], [3.0, 2.0], [1.0, 3.0], [2.0, 3.0]]))
    np.testing.assert_allclose(found, [0.0, 1.0, 0.5, 0.25], atol=1e-6)


def test_a_picture_nearer_to_the_other_view_scores_ten_times_the_difference_more() -> None:
    """The other view's mean is (3, 2): of (3, 2) 1 and 0; of (2, 2) 0.25 twice; of (1, 2) 0 and 1."""
    other = Gaussian(np.array([3.0, 2.0], np.float32), exact().whitening)
    found = Outside({"clinical": exact()}, {"clinical": other})
    x = np.array([[3.0, 2.0], [2.0, 2.0], [1.0, 2.0]])
    np.testing.assert_allclose(found.score_images("clinical", x), [11.0, 0.25, 0.0], atol=1e-5)
    np.testing.assert_allclose(Outside({"clinical": exact()}).score_images("clinical", x), [1.0, 0.25, 0.0])


def test_of_several_images_the_worst_counts_and_without_one_there_is_no_score() -> None:
    features = {"clinical": np.array([[1.0, 2.0], [3.0, 2.0], [1.0, 3.0]])}
    owners = {"clinical": np.array([2, 2, 0])}
    found = Outside({view: exact() for view in VIEWS}).score(features, owners, 3)  # type: ignore[arg-type]
    np.testing.assert_allclose(found["clinical"], [0.5, np.nan, 1.0], atol=1e-6)
    assert np.isnan(found["dermoscopic"]).all() and len(found["dermoscopic"]) == 3


def test_a_p_value_counts_scores_that_are_at_least_as_high_and_one_more() -> None:
    outside = Outside({"clinical": exact()}, validation={"clinical": np.array([0.1, 0.2, 0.2, 0.9])})
    limits = OutsideView(threshold=0.2, n_lesions=4, other=False)
    rule = OutsideRule(method="mahalanobis", allowed=0.3, views={"clinical": limits})
    found = outside.judge({"clinical": np.array([0.0, 0.2, 0.21, 5.0, np.nan])}, rule)["clinical"]
    np.testing.assert_allclose(found.p_value, [1.0, 0.8, 0.4, 0.2, np.nan])
    assert found.flagged.tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(("allowed", "above"), [(0.01, 0), (0.1, 1), (0.3, 3), (0.35, 3)])
def test_the_threshold_leaves_the_allowed_share_of_validation_above_it(allowed: float, above: int) -> None:
    scores = {"clinical": np.array([*np.random.default_rng(0).permutation(10.0 + np.arange(10)), np.nan])}
    fitted = fit_rule(Outside({"clinical": exact()}), scores, allowed=allowed)  # type: ignore[arg-type]
    assert fitted
    threshold = fitted[1].views["clinical"]
    assert (scores["clinical"] > threshold.threshold).sum() == above
    assert threshold.n_lesions == 10
    np.testing.assert_array_equal(fitted[0].validation["clinical"], 10.0 + np.arange(10))


def test_a_view_that_one_part_lacks_is_not_judged() -> None:
    outside = Outside({"clinical": exact()})
    scores = {"clinical": np.array([np.nan]), "dermoscopic": np.array([1.0])}
    assert fit_rule(outside, scores, allowed=0.1) is None  # type: ignore[arg-type]


# --- its file ---


def test_what_was_saved_is_loaded(judging: Path, predictor: Predictor) -> None:
    rule, found = predictor.facts.outside, predictor.scorer.outside
    assert rule and found and set(rule.views) == set(VIEWS)
    arrays = load_file(judging / OUTSIDE_FILE)
    for view in VIEWS:
        for of in ("own", "other"):
            gaussian = getattr(found, of)[view]
            np.testing.assert_array_equal(gaussian.mean, arrays[f"{view}.{of}.mean"])
            np.testing.assert_array_equal(gaussian.whitening, arrays[f"{view}.{of}.whitening"])
        assert len(found.validation[view]) == rule.views[view].n_lesions


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def not_finite(path: Path) -> None:
    arrays = load_file(path)
    arrays["clinical.own.mean"][0] = np.nan
    save_file(arrays, path)


def of_another_network(path: Path) -> None:
    arrays = load_file(path)
    arrays["dermoscopic.other.mean"] = np.zeros(9, np.float32)
    save_file(arrays, path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (Path.unlink, "expected it there, as model.json names it; copy"),
        (cut_short, r"damaged \(.*\); copy it again"),
        (not_finite, "expected clinical.own.mean of finite numbers"),
        (of_another_network, r"expected dermoscopic.other.mean of finite numbers \(14,\).*got \(9,\); copy"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(
    spoil: Callable[[Path], None], says: str, judging: Path, predictor: Predictor
) -> None:
    spoil(judging / OUTSIDE_FILE)
    assert predictor.facts.outside
    with pytest.raises(RunError, match=says) as caught:
        load_outside(judging, predictor.facts.outside, channels=CHANNELS)
    assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match=says):
        dermapair.load(judging, device="cpu")


def test_an_older_run_says_nothing_of_it(run: Path, cases: Path, tmp_path: Path) -> None:
    content = json.loads((run / "model.json").read_text("utf-8"))
    del content["outside"], content["predict"]["outside"]
    (run / "model.json").write_text(json.dumps(content), encoding="utf-8")
    old = dermapair.load(run, device="cpu")
    assert old.predict(clinical=np.zeros((50, 50, 3), np.uint8)).outside == {}
    summary = write_predictions(old, read_cases(cases), tmp_path / "p.csv")
    assert summary["flagged"] == {} and summary["decisions"] is None


# --- what predictions say ---


def test_the_features_that_were_fitted_are_those_that_are_scored(predictor: Predictor, cases: Path) -> None:
    table = read_cases(cases)
    assert predictor.scorer.outside
    scorer, lesions = predictor.scorer, predictor.lesions(table, split="train").one_image_each(seed=0)
    turned = replace(scorer, predict=scorer.predict.model_copy(update={"views": 8}))
    source = open_pixels(table, scorer.data)
    features = [f["dermoscopic"] for f in turned.features(lesions, source)]
    expected = scorer.outside.score_images("dermoscopic", np.concatenate(features))
    for each in (scorer, turned):
        found = concatenate(list(each.score(lesions, source))).outside["dermoscopic"]
        np.testing.assert_allclose(found[~np.isnan(found)], expected, rtol=1e-4)
    assert expected.min() > 0


def test_one_lesion_and_many_are_judged_alike(predictor: Predictor, cases: Path) -> None:
    table, many = read_cases(cases), scored(predictor, cases, "test")
    judged = predictor.outside(many)
    compared = 0
    for i, lesion in enumerate(many.ids):
        rows = table.frame.with_row_index("row").filter(lesion_id=lesion)
        if rows["view"].n_unique() < len(rows):
            continue
        files = {view: table.path(row) for view, row in zip(rows["view"], rows["row"], strict=True)}
        one = predictor.predict(**files).outside
        assert set(one) == set(files)
        for view, found in one.items():
            assert found.score == pytest.approx(judged[view].score[i], rel=1e-4)
            assert found.p_value == pytest.approx(judged[view].p_value[i], abs=1 / 3)
            assert found.flagged == (found.score > predictor.facts.outside.views[view].threshold)  # type: ignore[union-attr]
            compared += 1
    assert compared > 4


def test_what_is_no_skin_is_flagged_and_said_in_the_files(
    predictor: Predictor, cases: Path, tmp_path: Path
) -> None:
    blue = np.full((64, 64, 3), (0, 0, 255), np.uint8)
    explained = predictor.explain(clinical=blue)
    found = explained.prediction.outside
    assert set(found) == {"clinical"} and found["clinical"].flagged
    n = predictor.facts.outside.views["clinical"].n_lesions  # type: ignore[union-attr]
    assert found["clinical"].p_value == pytest.approx(1 / (1 + n))
    assert any(w.startswith("clinical: unlike what the network has learned from") for w in explained.warnings)
    summary = write_predictions(predictor, read_cases(cases), tmp_path / "p.csv", split="val")
    with (tmp_path / "p.decisions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for view in VIEWS:
        flags = [row[f"{view}_flagged"] for row in rows]
        values = [row[f"{view}_outside"] for row in rows]
        n = len(values) - 1
        assert flags.count("true") == summary["flagged"][view] == n // 5
        assert flags.count("") == values.count("") == 1
        assert sorted(float(v) for v in values if v) == pytest.approx([(2 + i) / (1 + n) for i in range(n)])
    assert summary["outside_allowed"] == 0.2


def test_calibrated_or_not_the_score_is_the_same(predictor: Predictor, cases: Path) -> None:
    own, other = (scored(p, cases, "test") for p in (predictor, predictor.uncalibrated()))
    for view in VIEWS:
        np.testing.assert_array_equal(own.outside[view], other.outside[view])
