from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax, one_hot

from tasks.applications.shared.losses import cross_entropy_sum

CLASS_WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)


def sample(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 5, 4, generator=generator, dtype=torch.float64) * 3
    return logits, torch.randint(4, (6, 5), generator=generator)


def reference_focal(
    logits: torch.Tensor, targets: torch.Tensor, gamma: float, alpha: torch.Tensor
) -> torch.Tensor:
    """As torchvision's ``sigmoid_focal_loss``, for one of several classes."""
    hot = one_hot(targets, logits.shape[-1]).double()
    probabilities = torch.softmax(logits, dim=-1)
    p_t = (probabilities * hot).sum(-1)
    alpha_t = (alpha * hot).sum(-1)
    return (alpha_t * (1 - p_t) ** gamma * -torch.log(p_t)).sum()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_loss_is_equation_five(gamma: float, weighted: bool) -> None:
    logits, targets = sample()
    alpha = CLASS_WEIGHTS if weighted else torch.ones(4, dtype=torch.float64)
    weights = CLASS_WEIGHTS if weighted else None
    found = cross_entropy_sum(logits, targets, weights=weights, focal_gamma=gamma)
    expected = reference_focal(logits, targets, gamma, alpha)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradient_of_the_focal_loss_is_that_of_the_formula(gamma: float) -> None:
    found, expected = (sample()[0].requires_grad_() for _ in range(2))
    targets = sample()[1]
    cross_entropy_sum(found, targets, weights=CLASS_WEIGHTS, focal_gamma=gamma).backward()
    reference_focal(expected, targets, gamma, CLASS_WEIGHTS).backward()
    assert torch.allclose(found.grad, expected.grad, rtol=1e-9, atol=1e-12)


def test_gamma_zero_is_cross_entropy() -> None:
    logits, targets = sample()
    plain = cross_entropy_sum(logits, targets, weights=CLASS_WEIGHTS)
    focal = cross_entropy_sum(logits, targets, weights=CLASS_WEIGHTS, focal_gamma=0.0)
    assert focal.item() == pytest.approx(plain.item(), rel=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, CLASS_WEIGHTS])
def test_cross_entropy_is_that_of_torch(smoothing: float, weights: torch.Tensor | None) -> None:
    logits, targets = sample()
    found = cross_entropy_sum(logits, targets, weights=weights, label_smoothing=smoothing)
    expected = cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        weight=weights,
        label_smoothing=smoothing,
        reduction="sum",
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-14)


@pytest.mark.parametrize("gamma", [None, 2.0])
@pytest.mark.parametrize("ignored", [-100, 2])
def test_ignored_targets_count_for_nothing(gamma: float | None, ignored: int) -> None:
    logits, targets = sample()
    targets[0, :3] = ignored
    kept = targets != ignored
    found = cross_entropy_sum(logits, targets, focal_gamma=gamma, ignore_index=ignored)
    expected = cross_entropy_sum(logits[kept], targets[kept], focal_gamma=gamma)
    assert found.item() == pytest.approx(expected.item(), rel=1e-14)


@pytest.mark.parametrize("gamma", [None, 2.0])
def test_half_precision_is_summed_in_float32(gamma: float | None) -> None:
    logits, targets = sample()
    half = logits.bfloat16()
    found = cross_entropy_sum(half, targets, weights=CLASS_WEIGHTS, focal_gamma=gamma)
    expected = cross_entropy_sum(half.float(), targets, weights=CLASS_WEIGHTS, focal_gamma=gamma)
    assert found.dtype == torch.float32
    assert found.item() == expected.item()


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("margin", [0.0, 60.0, 300.0, -300.0])
def test_certain_predictions_have_finite_gradients(gamma: float, margin: float) -> None:
    logits = torch.tensor([[margin, 0.0, 0.0]], requires_grad=True)
    loss = cross_entropy_sum(logits, torch.tensor([0]), focal_gamma=gamma)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_easy_targets_are_weighed_down_more() -> None:
    logits = torch.tensor([[4.0, 0.0], [0.0, 4.0]])
    shares = []
    for row in range(2):
        one = logits[row : row + 1], torch.tensor([0])
        shares.append((cross_entropy_sum(*one, focal_gamma=2.0) / cross_entropy_sum(*one)).item())
    p_easy = log_softmax(logits[0], 0)[0].exp().item()
    assert shares == pytest.approx([(1 - p_easy) ** 2, p_easy**2], rel=1e-5)
