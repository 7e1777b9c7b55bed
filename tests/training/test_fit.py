"""What is fitted on validation: weights of the readouts in `both`, calibration, operating points, sets."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dermapair.inference.decisions import Affine, calibrated
from dermapair.inference.scores import Array, Scores, combine, softmax
from dermapair.metrics.classification import log_loss
from dermapair.training.fit import fit_calibration, fit_conformal, fit_points, fit_weights


def test_the_known_best_weight_is_found() -> None:
    """Two readouts that are right in turn: with p and 1 - p the best weight is the share of each."""
    n, right = 100, 70
    labels = np.zeros(n, dtype=np.int64)
    sure, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    first = np.array([sure] * right + [wrong] * (n - right))
    weights = fit_weights({"clinical": first, "dermoscopic": 1 - first}, labels)
    assert weights["clinical"] == pytest.approx(0.7, abs=1e-3)
    assert sum(weights.values()) == pytest.approx(1.0)


def test_a_readout_that_knows_nothing_gets_almost_no_weight(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, size=200)
    good = softmax(np.eye(3)[labels] * 4 + rng.normal(size=(200, 3)))
    bad = softmax(rng.normal(size=(200, 3)) * 4)
    assert fit_weights({"clinical": good, "cross": bad}, labels)["cross"] < 0.1


def test_missing_views_and_lost_lesions_do_not_disturb_the_fit(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, size=60)
    each = {
        r: softmax(np.eye(3)[labels] * k + rng.normal(size=(60, 3)))
        for r, k in (("clinical", 1), ("cross", 3))
    }
    want = fit_weights(each, labels)
    lost = {r: np.concatenate([p, np.full((5, 3), np.nan)]) for r, p in each.items()}
    got = fit_weights(lost, np.concatenate([labels, np.zeros(5, dtype=np.int64)]))
    assert got == pytest.approx(want, abs=1e-6)


def test_fitted_weights_are_never_worse_than_equal_ones(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, size=80)
    each = {
        r: softmax(rng.normal(size=(80, 3)) + k * np.eye(3)[labels])
        for r, k in (("clinical", 0.5), ("cross", 2))
    }
    rows = np.arange(80)
    fitted = -np.log(combine(each, fit_weights(each, labels))[rows, labels]).mean()
    equal = -np.log(combine(each, {"clinical": 1.0, "cross": 1.0})[rows, labels]).mean()
    assert fitted <= equal + 1e-9


def scores(z: Array, **more: Array) -> Scores:
    """Scores of a network of one view from its logits (N, K), and of further readouts."""
    logits = {"dermoscopic": z, "both": z} | more
    ids = tuple(f"l{i}" for i in range(len(z)))
    names = tuple("abcdefgh"[: z.shape[1]])
    return Scores(ids, names, {r: softmax(v) for r, v in logits.items()}, logits)


def drawn(rng: np.random.Generator, *, n: int = 20_000, k: int = 3) -> tuple[Array, NDArray[np.int64]]:
    """Logits (N, K), and labels drawn from their very softmax."""
    z = rng.normal(size=(n, k)) * 2
    return z, (softmax(z).cumsum(axis=1) < rng.uniform(size=(n, 1))).sum(axis=1)


def everyone(z: Array) -> NDArray[np.bool_]:
    return np.ones(len(z), dtype=bool)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(temperature: float, rng: np.random.Generator) -> None:
    z, labels = drawn(rng)
    found = fit_calibration(scores(z * temperature), labels, method="temperature", lesions=everyone(z))
    assert found is not None
    assert 1 / found.readouts["both"].scale[0] == pytest.approx(temperature, rel=0.05)
    assert found.readouts["both"].n_lesions == len(z)


def test_temperature_changes_no_answer_and_no_scaling_has_a_higher_loss(rng: np.random.Generator) -> None:
    z, labels = drawn(rng, n=500)
    own = scores(z * 3)
    losses = {}
    for method in ("temperature", "vector"):
        after = calibrated(own, fit_calibration(own, labels, method=method, lesions=everyone(z)))
        losses[method] = log_loss(labels, after.probabilities["both"])
        if method == "temperature":
            answers = (each.probabilities["both"].argmax(axis=1) for each in (own, after))
            np.testing.assert_array_equal(*answers)
        np.testing.assert_allclose(softmax(after.logits["both"]), after.probabilities["both"])
    assert losses["vector"] < losses["temperature"] < log_loss(labels, own.probabilities["both"])


def test_vector_scaling_mends_a_shifted_class_and_keeps_one_without_a_case(rng: np.random.Generator) -> None:
    z, labels = drawn(rng, k=4)
    kept = labels != 3
    z, labels = z[kept], labels[kept]
    z[:, 3] = rng.normal(size=len(z)) - 6  # as a network that has learned that there are none
    shifted = z + np.array([1.5, 0, 0, 0])
    found = fit_calibration(scores(shifted), labels, method="vector", lesions=everyone(z))
    assert found is not None
    bias = np.array(found.readouts["both"].bias)
    assert bias[0] - bias[1] == pytest.approx(-1.5, abs=0.15)
    assert np.isfinite(bias).all()


def test_calibration_leaves_out_unknown_lesions_and_absent_readouts(rng: np.random.Generator) -> None:
    z, labels = drawn(rng, n=400)
    want = fit_calibration(scores(z), labels, method="temperature", lesions=everyone(z))
    more = np.concatenate([z, 50 * rng.normal(size=(100, 3))])
    known = np.arange(500) < 400
    absent = np.where(known[:, None], more, np.nan)
    all_labels = np.concatenate([labels, np.full(100, -1)])
    given = scores(more, cross=absent, clinical=np.full_like(more, np.nan))
    got = fit_calibration(given, all_labels, method="temperature", lesions=known)
    assert want is not None and got is not None
    assert got.readouts["both"] == want.readouts["both"] == got.readouts["cross"]
    assert got.readouts["clinical"] == Affine(scale=(1, 1, 1), bias=(0, 0, 0), n_lesions=0)
    assert fit_calibration(given, all_labels, method="none", lesions=known) is None


def test_operating_points_of_a_case_by_hand() -> None:
    """Melanoma scores: cases .9 .8 .7 .2, others .75 .3 .1 .1 .05 .05."""
    cases, others = [0.9, 0.8, 0.7, 0.2], [0.75, 0.3, 0.1, 0.1, 0.05, 0.05]
    score = np.array(cases + others)
    p = np.stack([score / 2, 1 - score, score / 2], axis=1)  # two classes make the target
    labels = np.array([0, 2, 0, 2] + [1] * 6)
    points = {x.name: x for x in fit_points(p, labels, ("a", "b", "c"), {"mel": ("a", "c"), "none": ("b",)})}
    assert [name for name in points if name.startswith("mel")] == [
        "mel_sensitivity_90", "mel_sensitivity_95", "mel_youden",
    ]  # fmt: skip
    ninety, youden = points["mel_sensitivity_90"], points["mel_youden"]
    assert (ninety.sensitivity[0], ninety.specificity[0]) == (1.0, pytest.approx(4 / 6))
    assert 0.1 < ninety.threshold < 0.2
    assert (youden.sensitivity[0], youden.specificity[0]) == (
        1.0,
        pytest.approx(4 / 6),
    )  # 0.667 against 0.583
    assert (youden.cases, youden.others, youden.target, youden.classes) == (4, 6, "mel", ("a", "c"))
    np.testing.assert_array_equal(ninety.decide(p, ("a", "b", "c")), score > 0.15)
    np.testing.assert_allclose(ninety.probability(p, ("a", "b", "c")), score)
    assert ninety.sensitivity[1] < 1.0  # four of four are no certainty


def test_a_target_without_a_case_has_no_operating_point() -> None:
    p = np.array([[0.5, 0.5], [0.2, 0.8]])
    assert fit_points(p, np.array([1, 1]), ("a", "b"), {"mel": ("a",)}) == ()


@pytest.mark.parametrize(("n", "rank"), [(19, 2), (20, 2), (8, 0), (9, 1)])
def test_the_least_probability_of_a_conformal_set_is_the_right_order_statistic(n: int, rank: int) -> None:
    of_truth = np.linspace(0.1, 0.9, n)
    p = np.stack([of_truth, 1 - of_truth], axis=1)
    found = fit_conformal(p[::-1], np.zeros(n, dtype=np.int64), coverage=0.9)
    assert found.least == (of_truth[rank - 1] if rank else 0.0)
    assert found.n_lesions == n


def test_conformal_sets_cover_new_lesions_as_often_as_wanted(rng: np.random.Generator) -> None:
    z, labels = drawn(rng, n=200 * 600)
    p = softmax(z)  # 200 draws of 100 lesions to fit on and 500 to test
    found = []
    for start in range(0, len(z), 600):
        fitted = fit_conformal(p[start : start + 100], labels[start : start + 100], coverage=0.9)
        new = slice(start + 100, start + 600)
        found.append(fitted.contains(p[new])[np.arange(500), labels[new]].mean())
    assert 0.895 < np.mean(found) < 0.915  # (1 - rank / (n + 1)) = 0.901 for 100


def test_the_combined_readout_is_calibrated_on_lesions_that_have_several(rng: np.random.Generator) -> None:
    """Of single views it takes over their own scaling, so they must not decide about pairs."""
    z, labels = drawn(rng, n=4000)
    pair = np.arange(4000) % 4 == 0
    both = np.where(pair[:, None], z, 3 * z)  # pairs say the truth, single views are too sure
    dermoscopic = np.where(pair[:, None], z, np.nan)
    found = fit_calibration(
        scores(both, clinical=both, dermoscopic=dermoscopic),
        labels,
        method="temperature",
        lesions=everyone(z),
    )
    assert found is not None
    assert found.readouts["both"].n_lesions == pair.sum()
    assert found.readouts["both"].scale[0] == pytest.approx(1.0, abs=0.1)
    one_view = scores(both, clinical=both, dermoscopic=np.full_like(both, np.nan))
    alone = fit_calibration(one_view, labels, method="temperature", lesions=everyone(z))
    assert alone is not None
    assert alone.readouts["both"] == alone.readouts["clinical"]


def test_points_count_patients_in_their_interval(rng: np.random.Generator) -> None:
    score = rng.random(200)
    p, labels = np.stack([score, 1 - score], axis=1), (rng.random(200) > score).astype(np.int64)
    own, shared = (
        fit_points(p, labels, ("a", "b"), {"a": ("a",)}, groups=groups)[0]
        for groups in (None, np.arange(200) // 10)
    )
    assert own.threshold == shared.threshold
    assert own.sensitivity[0] == pytest.approx(shared.sensitivity[0])
    assert shared.sensitivity[1] < own.sensitivity[1]
