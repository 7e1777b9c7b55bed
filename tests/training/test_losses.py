"""Costs by hand, and the normalisation that makes several processes agree with one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dermapair.config import LossSettings
from dermapair.training.losses import PairLoss, class_weights, log_prior, row_losses

CPU = torch.device("cpu")


def pair_loss(labels: list[int], k: int = 2, **settings: object) -> PairLoss:
    return PairLoss(LossSettings.model_validate(settings), np.array(labels), k, CPU)


@pytest.mark.parametrize(
    ("kind", "smoothing", "want"),
    [("l2", 0.0, 0.75), ("ce", 0.0, math.log(4)), ("l2", 0.2, 0.48), ("ce", 0.2, math.log(4))],
)
def test_the_loss_of_equal_logits_is_known(kind: str, smoothing: float, want: float) -> None:
    """p = 1/4 each; one-hot: (3/4)^2 + 3/16; smoothed target 0.85, 0.05: 0.6^2 + 3 * 0.2^2."""
    loss = row_losses(torch.zeros(2, 4), torch.tensor([0, 3]), kind=kind, label_smoothing=smoothing)
    assert loss.tolist() == pytest.approx([want, want])


def test_l2_is_taken_on_the_softmax() -> None:
    logits = torch.tensor([[math.log(0.7), math.log(0.2), math.log(0.1)]])
    assert row_losses(logits, torch.tensor([1]), kind="l2").item() == pytest.approx(0.49 + 0.64 + 0.01)


@pytest.mark.parametrize("kind", ["l2", "ce"])
def test_a_perfect_one_hot_costs_nothing_and_has_no_gradient(kind: str) -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0], [0.0, 0.0, 200.0]], requires_grad=True)
    loss = row_losses(logits, torch.tensor([0, 2]), kind=kind)
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
    assert not logits.grad.any()


@pytest.mark.parametrize("kind", ["l2", "ce"])
def test_a_wrong_answer_has_a_gradient_that_helps(kind: str) -> None:
    logits = torch.tensor([[0.0, 1.0]], requires_grad=True)
    row_losses(logits, torch.tensor([0]), kind=kind).sum().backward()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


@pytest.mark.parametrize(
    ("kind", "want"),
    [
        ("none", [1.0, 1.0, 0.0]),
        ("balanced", [2 / 3, 2.0, 0.0]),
        ("sqrt", [4 / (math.sqrt(3) + 1) / math.sqrt(3), 4 / (math.sqrt(3) + 1), 0.0]),
    ],
)
def test_class_weights_have_mean_1_over_the_lesions(kind: str, want: list[float]) -> None:
    labels = np.array([0, 0, 0, 1])
    weights = class_weights(labels, 3, kind=kind)
    assert weights == pytest.approx(want)
    assert weights[labels].mean() == pytest.approx(1.0)


def test_the_prior_counts_one_case_more_of_each_class() -> None:
    assert log_prior(np.array([0, 0, 0, 1]), 3) == pytest.approx(np.log([4 / 7, 2 / 7, 1 / 7]))


def test_the_cost_is_a_sum_over_views_with_alpha_on_cross() -> None:
    loss = pair_loss([0, 1], kind="l2", alpha=1.5)
    logits = {"clinical": torch.zeros(3, 2), "dermoscopic": torch.zeros(2, 2), "cross": torch.zeros(1, 2)}
    rows = {
        "clinical": torch.tensor([0, 1, 2]),
        "dermoscopic": torch.tensor([0, 3]),
        "cross": torch.tensor([0]),
    }
    sums = loss.sums(logits, rows, torch.tensor([0, 1, 0, 1]))
    assert {r: s.item() for r, s in sums.items()} == {"clinical": 1.5, "dermoscopic": 1.0, "cross": 0.5}
    own = {"clinical": 3.0, "dermoscopic": 2.0, "cross": 1.0}
    assert loss.total(sums, own).item() == pytest.approx(0.5 + 0.5 + 1.5 * 0.5)
    everywhere = {"clinical": 6.0, "dermoscopic": 8.0, "cross": 2.0}
    assert loss.total(sums, everywhere).item() == pytest.approx(0.25 + 0.125 + 1.5 * 0.25)


def test_alpha_0_leaves_the_third_sub_network_out() -> None:
    loss = pair_loss([0, 1], alpha=0.0)
    sums = {"clinical": torch.tensor(1.0), "cross": torch.tensor(100.0)}
    assert loss.total(sums, {"clinical": 2.0, "cross": 1.0}).item() == pytest.approx(0.5)


def test_shares_of_a_batch_add_up_to_its_cost() -> None:
    loss = pair_loss(
        [0, 0, 1], kind="ce", class_weights="balanced", label_smoothing=0.1, logit_adjustment=1.0
    )
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 0])
    counts = {"clinical": 5.0}
    whole = loss.total(loss.sums({"clinical": logits}, {"clinical": torch.arange(5)}, labels), counts)
    parts = [
        loss.total(
            loss.sums({"clinical": logits[s]}, {"clinical": torch.arange(len(labels[s]))}, labels[s]), counts
        )
        for s in (slice(0, 2), slice(2, 5))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_class_weights_multiply_the_rows_of_their_class() -> None:
    loss = pair_loss([0, 0, 0, 1], kind="l2", class_weights="balanced")
    sums = loss.sums(
        {"clinical": torch.zeros(2, 2)}, {"clinical": torch.tensor([0, 1])}, torch.tensor([0, 1])
    )
    assert sums["clinical"].item() == pytest.approx(0.5 * 2 / 3 + 0.5 * 2)


def test_logit_adjustment_adds_tau_log_prior_in_training() -> None:
    loss = pair_loss([0, 0, 0, 1], kind="ce", logit_adjustment=2.0)
    sums = loss.sums({"clinical": torch.zeros(1, 2)}, {"clinical": torch.tensor([0])}, torch.tensor([1]))
    prior = np.array([4 / 6, 2 / 6]) ** 2
    assert sums["clinical"].item() == pytest.approx(-math.log(prior[1] / prior.sum()), rel=1e-6)


@pytest.mark.parametrize("kind", ["l2", "ce"])
def test_half_precision_logits_cost_what_their_float_copies_do(kind: str) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.tensor([0, 1, 2, 0])
    half = row_losses(logits, labels, kind=kind)
    assert half.dtype == torch.float32
    assert torch.equal(half, row_losses(logits.float(), labels, kind=kind))
