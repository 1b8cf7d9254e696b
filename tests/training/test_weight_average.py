from __future__ import annotations

import pytest
import torch
from torch import nn

from tasks.training.step import optimizer_step, weight_average
from tests.support import learners
from tests.support.pipelines import CONSTANT


def test_average_is_the_closed_form() -> None:
    """After n steps: d^(n-1) w_1 + (1 - d) sum of d^(n-k) w_k for k from 2."""
    decay, count = 0.7, 6
    learner = learners.learner(learners.build("bert"), ema_decay=decay, lr_scheduler=CONSTANT)
    assert learner.average is not None
    weights = []
    for batch in learners.batches(count):
        optimizer_step(learner, [batch])
        weights.append(nn.utils.parameters_to_vector(learner.model.parameters()).double())
    shares = [decay ** (count - 1)] + [(1 - decay) * decay ** (count - k) for k in range(2, 7)]
    expected = sum(share * weight for share, weight in zip(shares, weights, strict=True))
    found = nn.utils.parameters_to_vector(learner.average.module.parameters())
    assert sum(shares) == pytest.approx(1)
    assert torch.allclose(found.double(), expected, atol=1e-6)
    assert not torch.allclose(found.double(), weights[-1], atol=1e-4)


def test_buffers_of_the_average_are_the_current_ones() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = weight_average(model, 0.9)
    assert average is not None
    for _ in range(3):
        model(torch.randn(4, 2))
        average.update_parameters(model)
    for one, other in zip(model.buffers(), average.module.buffers(), strict=True):
        assert torch.equal(one, other)


def test_average_keeps_tied_weights_tied() -> None:
    average = weight_average(learners.build("gpt2-lm"), 0.9)
    assert average is not None
    assert average.module.lm_head.weight is average.module.transformer.wte.weight


def test_average_is_optional() -> None:
    learner = learners.learner(learners.build("bert"))
    assert learner.average is None
    assert learner.result is learner.model
