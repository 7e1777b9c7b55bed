"""Bilinear pooling and CAM-BP: the identities of Ge et al. 2017, eq. 6."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from dermapair.models.cam import CLASS_RULES, cell_weights, class_maps, normalised, on_grid
from dermapair.models.poolings import POOLINGS, bilinear

N, D, H, W, K = 3, 5, 4, 6, 4


def features(seed: int = 0) -> torch.Tensor:
    return torch.randn(N, D, H, W, generator=torch.Generator().manual_seed(seed))


def some_saliency() -> torch.Tensor:
    return normalised(torch.rand(N, H, W, generator=torch.Generator().manual_seed(1)))


def double_loop(f: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(len(f), f.shape[1], f.shape[1])
    for i in range(f.shape[2]):
        for j in range(f.shape[3]):
            outer = torch.einsum("nd,ne->nde", f[:, :, i, j], f[:, :, i, j])
            total += a[:, i, j, None, None] * outer
    return total


def test_the_product_is_the_double_loop_of_eq_6() -> None:
    torch.testing.assert_close(
        bilinear(features(), some_saliency()), double_loop(features(), some_saliency()), atol=1e-5, rtol=0
    )


def test_uniform_saliency_is_plain_bilinear_pooling() -> None:
    uniform = torch.full((N, H, W), 1 / (H * W))
    torch.testing.assert_close(bilinear(features(), uniform), bilinear(features()), atol=1e-6, rtol=0)
    plain, weighted = POOLINGS["bp"](D, 0), POOLINGS["cam_bp"](D, 0)
    torch.testing.assert_close(weighted(features(), uniform), plain(features()), atol=1e-6, rtol=0)


def test_saliency_at_one_cell_is_the_outer_product_there() -> None:
    one = torch.zeros(N, H, W)
    one[:, 2, 3] = 1
    f = features()[:, :, 2, 3]
    torch.testing.assert_close(bilinear(features(), one), torch.einsum("nd,ne->nde", f, f))


def test_memory_grows_with_channels_squared_and_not_with_cells_times_that() -> None:
    def allocated(d: int, side: int) -> int:
        f, a = torch.rand(2, d, side, side), torch.rand(2, side, side)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            bilinear(f, a)
        return sum(max(0, event.self_cpu_memory_usage) for event in seen.key_averages())

    for d, side in ((64, 14), (128, 14), (64, 28)):
        assert 4 * 2 * d * d <= allocated(d, side) <= 4 * 2 * (d * d + d * side**2) + 1024


def test_the_product_is_symmetric_and_positive_semi_definite() -> None:
    product = bilinear(features(), some_saliency())
    torch.testing.assert_close(product, product.transpose(1, 2))
    assert (torch.linalg.eigvalsh(product.double()) > -1e-5).all()


@pytest.mark.parametrize("name", sorted(POOLINGS))
@pytest.mark.parametrize("zero", ["features", "maps", "both", "neither"])
def test_gradients_are_finite_also_for_zeros(name: str, zero: str) -> None:
    f = (torch.zeros(N, D, H, W) if zero in ("features", "both") else features()).requires_grad_()
    maps = torch.zeros(N, K, H, W) if zero in ("maps", "both") else torch.randn(N, K, H, W)
    vector = POOLINGS[name](D, 0)(f, cell_weights(maps, torch.zeros(N, K), classes="sum"))
    assert vector.shape == (N, POOLINGS[name](D, 0).width)
    assert torch.isfinite(vector).all()
    (vector * torch.randn_like(vector)).sum().backward()
    assert torch.isfinite(f.grad).all()


@pytest.mark.parametrize("name", ["bp", "cam_bp"])
def test_a_bilinear_vector_has_length_1_and_keeps_the_signs(name: str) -> None:
    vector = POOLINGS[name](D, 0)(features() * 10, some_saliency())
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(N), atol=1e-3, rtol=0)
    product = bilinear(features(), some_saliency() if name == "cam_bp" else None).flatten(1)
    assert torch.equal(vector.sign(), product.sign())


def test_projection_shortens_the_vector() -> None:
    pooling = POOLINGS["cam_bp"](D, 2)
    assert pooling.width == 4
    assert pooling(features(), some_saliency()).shape == (N, 4)


def test_saliency_of_another_grid_is_resized_and_sums_to_1() -> None:
    coarse = normalised(torch.rand(N, 2, 3))
    fine = on_grid(coarse, (H, W))
    assert fine.shape == (N, H, W)
    torch.testing.assert_close(fine.sum((1, 2)), torch.ones(N))
    assert on_grid(fine, (H, W)) is fine
    pooled = POOLINGS["cam_bp"](D, 0)(features(), coarse)
    torch.testing.assert_close(pooled, POOLINGS["cam_bp"](D, 0)(features(), fine))


@pytest.mark.parametrize("classes", sorted(CLASS_RULES))
def test_saliency_is_a_distribution_over_cells(classes: str) -> None:
    maps, logits = torch.randn(N, K, H, W, requires_grad=True), torch.randn(N, K)
    a = cell_weights(maps, logits, classes=classes)
    assert (a >= 0).all()
    torch.testing.assert_close(a.sum((1, 2)), torch.ones(N))
    assert not a.requires_grad, "saliency carries no gradient"


@pytest.mark.parametrize("classes", sorted(CLASS_RULES))
def test_no_positive_evidence_is_uniform_saliency(classes: str) -> None:
    a = cell_weights(-torch.rand(N, K, H, W), torch.randn(N, K), classes=classes)
    torch.testing.assert_close(a, torch.full((N, H, W), 1 / (H * W)))


def test_the_class_rules_by_hand() -> None:
    maps = torch.tensor([[[[3.0, -1.0]], [[-2.0, 1.0]]]])  # two classes, one row of two cells
    logits = torch.log(torch.tensor([[0.25, 0.75]]))

    def got(classes: str) -> list[float]:
        return cell_weights(maps, logits, classes=classes)[0, 0].tolist()

    assert got("sum") == pytest.approx([3 / 4, 1 / 4])
    assert got("plain-sum") == pytest.approx([1.0, 0.0])
    assert got("predicted") == pytest.approx([0.0, 1.0])
    assert got("probability-weighted") == pytest.approx([0.5, 0.5])


def test_the_mean_of_a_class_map_is_the_logit_without_bias() -> None:
    weight = torch.randn(K, D)
    maps = class_maps(features(), weight)
    torch.testing.assert_close(maps.mean((2, 3)), features().mean((2, 3)) @ weight.T, atol=1e-5, rtol=0)
