"""The Gaussian that is fitted to features, and which features those are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dermapair
from dermapair.data.cases import read_cases
from dermapair.data.lesions import Lesions
from dermapair.data.store import PixelSource, open_pixels
from dermapair.inference.forward import Scorer
from dermapair.training import outside
from dermapair.training.outside import gaussian, with_gaussians
from dermapair.types import VIEWS
from inference.runs import save_tiny_run


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + 3.0


def test_it_finds_mean_and_covariance_of_many_images(rng: np.random.Generator) -> None:
    covariance = np.array([[4.0, 2.0], [2.0, 2.0]])
    x = rng.multivariate_normal([1.0, 2.0], covariance, 200_000)
    found = gaussian(x)
    np.testing.assert_allclose(found.mean, [1.0, 2.0], atol=0.02)
    inverse = found.whitening.astype(float) @ found.whitening.T.astype(float)
    np.testing.assert_allclose(inverse, np.linalg.inv(covariance), atol=0.02)


def test_scores_do_not_depend_on_scale_place_and_turn_of_the_features(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    probes = rng.normal(size=(20, 5)) * 5
    moved = gaussian(features @ turn * 3.0 - 7.0)
    np.testing.assert_allclose(
        moved.distance(probes @ turn * 3.0 - 7.0), gaussian(features).distance(probes), rtol=1e-4
    )


def test_fewer_images_than_channels_do(rng: np.random.Generator) -> None:
    found = gaussian(rng.normal(size=(6, 40)))
    assert np.isfinite(found.distance(rng.normal(size=(3, 40)))).all()
    assert found.distance(np.full((1, 40), 9.0))[0] > 10 * found.distance(np.zeros((1, 40)))[0]


def test_a_channel_that_is_always_the_same_does_no_harm(features: np.ndarray) -> None:
    features[:, 2] = 0.0
    assert np.isfinite(gaussian(features).distance(features)).all()


def means(scorer: Scorer, lesions: Lesions, source: PixelSource) -> dict[str, np.ndarray]:
    found = list(scorer.features(lesions, source))
    return {v: np.concatenate([f[v] for f in found if v in f]).mean(axis=0) for v in scorer.network.views}


@pytest.mark.parametrize("kind", ["sole", "share"])
def test_the_other_view_is_learned_as_each_views_own_trunk_sees_it(
    kind: str, cases: Path, tmp_path: Path
) -> None:
    table = read_cases(cases)
    predictor = dermapair.load(save_tiny_run(tmp_path / "run", kind=kind), device="cpu", precision="fp32")
    scorer, lesions = predictor.scorer, predictor.lesions(table, split="train").one_image_each(seed=3)
    source = open_pixels(table, scorer.data)
    for parameter in scorer.network.trunks[-1].parameters():  # two trunks begin alike
        parameter.data.mul_(1.5)
    found = with_gaussians(scorer, lesions, source, seed=3).outside
    assert found
    own, other = means(scorer, lesions, source), means(scorer, lesions.swapped(), source)
    for view in VIEWS:
        np.testing.assert_allclose(found.own[view].mean, own[view], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.other[view].mean, other[view], rtol=1e-5, atol=1e-7)
    assert np.allclose(own["clinical"], other["dermoscopic"]) == (kind == "share")


def test_a_network_of_one_view_knows_no_other_and_of_many_lesions_some_are_drawn(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_cases(cases)
    predictor = dermapair.load(save_tiny_run(tmp_path / "run", kind="single"), device="cpu", precision="fp32")
    lesions = predictor.lesions(table, split="train")
    source = open_pixels(table, predictor.scorer.data)
    seen: list[int] = []
    real = Scorer.features
    monkeypatch.setattr(Scorer, "features", lambda s, of, x: (seen.append(len(of)), real(s, of, x))[1])
    found = with_gaussians(predictor.scorer, lesions, source, seed=0).outside
    assert found and set(found.own) == {"dermoscopic"} and not found.other
    monkeypatch.setattr(outside, "MOST", 5)
    with_gaussians(predictor.scorer, lesions, source, seed=0)
    assert seen == [len(lesions), 5]


@pytest.mark.parametrize("features", [np.ones((1, 4)), np.eye(4)[:2], np.ones((6, 4))])
def test_too_few_or_equal_images_have_no_gaussian(features: np.ndarray) -> None:
    assert gaussian(features) is None
