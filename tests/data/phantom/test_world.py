"""The probabilities of the phantom world and the best accuracies that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from dermapair.data.phantom.world import (
    CLINICAL,
    DERMOSCOPIC,
    PHANTOM,
    READOUTS,
    VIEWS,
    Attribute,
    Diagnosis,
    World,
    bayes_accuracies,
    cancer_bayes_accuracies,
    joint,
    posterior,
    sample,
)
from dermapair.errors import UsageError

SHAPE = Attribute("shape", ("round", "jagged"), (CLINICAL,))
DOTS = Attribute("dots", ("no", "yes"), (DERMOSCOPIC,))


def _tiny(benign_prior: float = 0.6) -> World:
    benign = Diagnosis(
        "benign", "Benign", benign_prior, False, {"shape": {"round": 0.9}, "dots": {"no": 0.8}}
    )
    cancer = Diagnosis("cancer", "Cancer", 0.4, True, {"shape": {"round": 0.5}, "dots": {"no": 0.1}})
    return World((benign, cancer), (SHAPE, DOTS))


def test_bayes_accuracies_of_a_tiny_world_are_those_found_by_hand() -> None:
    # clinical: max(.54, .20) + max(.06, .20); dermoscopic: max(.48, .04) + max(.12, .36)
    # both: round-no .432|.02, round-yes .108|.18, jagged-no .048|.02, jagged-yes .012|.18
    accuracies = bayes_accuracies(_tiny())
    assert accuracies == pytest.approx({CLINICAL: 0.74, DERMOSCOPIC: 0.84, "both": 0.84, "cross": 0.84})


def test_two_classes_give_the_cancer_task_the_same_accuracy() -> None:
    assert cancer_bayes_accuracies(_tiny()) == pytest.approx(bayes_accuracies(_tiny()))


def test_posterior_of_a_tiny_world_is_that_found_by_hand() -> None:
    seen = {"shape": "jagged", "dots": "no"}
    np.testing.assert_allclose(posterior(seen, "both", _tiny()), [0.048 / 0.068, 0.020 / 0.068])
    np.testing.assert_allclose(posterior(seen, CLINICAL, _tiny()), [0.06 / 0.26, 0.20 / 0.26])


def test_attributes_out_of_a_readouts_sight_do_not_move_its_posterior() -> None:
    _, seen = sample(PHANTOM, np.random.default_rng(0))
    clinical_only = {a.name: seen[a.name] for a in PHANTOM.visible(CLINICAL)}
    np.testing.assert_array_equal(posterior(seen, CLINICAL), posterior(clinical_only, CLINICAL))


@pytest.fixture(scope="module")
def cases() -> list[tuple[Diagnosis, dict[str, str]]]:
    rng = np.random.default_rng(1)
    return [sample(PHANTOM, rng) for _ in range(1500)]


@pytest.mark.parametrize("readout", [CLINICAL, DERMOSCOPIC, "both"])
def test_bayes_accuracy_agrees_with_monte_carlo(
    readout: str, cases: list[tuple[Diagnosis, dict[str, str]]]
) -> None:
    codes = [d.code for d in PHANTOM.diagnoses]
    hits = [codes[posterior(seen, readout).argmax()] == diagnosis.code for diagnosis, seen in cases]
    expected = bayes_accuracies()[readout]
    assert abs(np.mean(hits) - expected) < 4 * np.sqrt(expected * (1 - expected) / len(cases))


@pytest.mark.parametrize("readout", READOUTS)
def test_joint_probabilities_sum_to_the_priors(readout: str) -> None:
    np.testing.assert_allclose(joint(PHANTOM, readout).sum(axis=1), PHANTOM.priors)


def test_the_pair_is_clearly_needed() -> None:
    accuracies = bayes_accuracies()
    assert 0.55 < accuracies[CLINICAL] < 0.68
    assert 0.62 < accuracies[DERMOSCOPIC] < 0.75
    assert 0.85 < accuracies["both"] < 0.93
    assert accuracies["cross"] == accuracies["both"]


def test_fifteen_diagnoses_of_which_three_are_cancers() -> None:
    assert [d.code for d in PHANTOM.diagnoses if d.cancer] == ["melanoma", "bcc", "scc"]
    assert len({d.code for d in PHANTOM.diagnoses}) == 15


def test_each_view_alone_shows_something_the_other_does_not() -> None:
    only = {view: [a.name for a in PHANTOM.attributes if a.views == (view,)] for view in VIEWS}
    assert only == {
        CLINICAL: ["elevation", "surface", "surroundings"],
        DERMOSCOPIC: ["pattern", "vessels", "white"],
    }


def test_priors_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(UsageError, match=r"priors must sum to 1, got 0\.9"):
        _tiny(benign_prior=0.5)


def test_probabilities_over_one_are_refused() -> None:
    looks = {"shape": {"round": 0.9, "jagged": 0.3}}
    with pytest.raises(UsageError, match=r"diagnosis x: the probabilities of shape must sum to 1, got 1\.2"):
        World((Diagnosis("x", "X", 1.0, False, looks),), (SHAPE,))


@pytest.mark.parametrize(
    ("looks", "message"), [({"size": {}}, "attribute 'size'"), ({"shape": {"big": 1}}, "'big'")]
)
def test_unknown_names_are_refused(looks: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(UsageError, match=f"unknown .*{message}; known: "):
        World((Diagnosis("x", "X", 1.0, False, looks),), (SHAPE,))


def test_posterior_refuses_what_it_cannot_read() -> None:
    with pytest.raises(UsageError, match="unknown shape None; known: jagged, round"):
        posterior({}, CLINICAL, _tiny())
    with pytest.raises(UsageError, match="unknown readout 'all'"):
        posterior({}, "all", _tiny())


def test_posterior_refuses_an_impossible_combination() -> None:
    world = World((Diagnosis("x", "X", 1.0, False, {"shape": {"round": 1.0}}),), (SHAPE,))
    with pytest.raises(UsageError, match="no diagnosis of this world can look like"):
        posterior({"shape": "jagged"}, CLINICAL, world)
