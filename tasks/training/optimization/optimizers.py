"""Optimizers by name: how to build each, its memory per parameter and its computations.

To add one, add an entry to ``OPTIMIZERS``, or name an ``OptimizerFactory`` in an entry point of the
group ``onestep.optimizers``; ``training.optimizer.name`` then takes its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from configs.schema import Training
from tasks.extensions import Extensions

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.optim import Optimizer

    from tasks.training.optimization.parameter_groups import Groups


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixUpdate:
    """How an optimizer updates the matrices of hidden layers, if not as other parameters.

    Attributes:
        moments: state tensors per matrix, each of the matrix's size.
        compute: the computation of one update of a matrix, so that it can be timed.
    """

    moments: int
    compute: Callable[[torch.Tensor], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerFactory:
    """An optimizer.

    Attributes:
        build: from parameter groups, which hold ``lr`` and ``weight_decay``, and the
            hyperparameters by name. It imports heavy libraries itself.
        hyperparameters: the fields of ``training.optimizer`` that ``build`` takes.
        moments: state tensors per parameter, each of the parameter's size.
        matrices: for the matrices of hidden layers, if it updates them differently; they are then
            in separate groups, marked ``hidden_matrices``.
    """

    build: Callable[..., Optimizer]
    hyperparameters: tuple[str, ...] = ()
    moments: int
    matrices: MatrixUpdate | None = None


def build(model: nn.Module, training: Training) -> Optimizer:
    """Build the declared optimizer for the trainable parameters of a model."""
    from tasks.training.optimization.parameter_groups import parameter_groups

    factory = OPTIMIZERS.load(training.optimizer.name)
    groups = parameter_groups(model, training, split=factory.matrices is not None)
    chosen = {name: getattr(training.optimizer, name) for name in factory.hyperparameters}
    return factory.build(groups, **chosen)


def _adam(groups: Groups, betas: tuple[float, float], epsilon: float) -> Optimizer:
    import torch

    return torch.optim.Adam(groups, betas=betas, eps=epsilon, fused=_has_fused_kernel(groups))


def _adamw(groups: Groups, betas: tuple[float, float], epsilon: float) -> Optimizer:
    import torch

    return torch.optim.AdamW(groups, betas=betas, eps=epsilon, fused=_has_fused_kernel(groups))


def _has_fused_kernel(groups: Groups) -> bool:
    return groups[0]["params"][0].device.type in {"cpu", "cuda"}


def _sgd(groups: Groups, betas: tuple[float, float]) -> Optimizer:
    import torch

    return torch.optim.SGD(groups, momentum=betas[0])


def _adafactor(groups: Groups) -> Optimizer:
    """Use the declared rate instead of one derived from the step and the weights."""
    from transformers.optimization import Adafactor

    optimizer: Optimizer = Adafactor(  # type: ignore[no-untyped-call]
        groups, scale_parameter=False, relative_step=False, warmup_init=False
    )
    return optimizer


def _lion(groups: Groups, betas: tuple[float, float]) -> Optimizer:
    from pytorch_optimizer import Lion

    return Lion(groups, betas=betas)


def _muon(groups: Groups, betas: tuple[float, float], epsilon: float) -> Optimizer:
    """Updates of matrices are scaled to the size of AdamW's (Liu et al. 2025, equation 4)."""
    from pytorch_optimizer import Muon

    for group in groups:
        group["use_muon"] = group["hidden_matrices"]
        if group["use_muon"]:
            group |= {"momentum": betas[0], "use_adjusted_lr": True}
        else:
            group |= {"betas": betas, "eps": epsilon}
    return Muon(groups)


def _orthogonalize(matrix: torch.Tensor) -> Any:
    from pytorch_optimizer.optimizer.utils.matrix import zero_power_via_newton_schulz_5

    return zero_power_via_newton_schulz_5(matrix)


OPTIMIZERS: Final = Extensions(
    "onestep.optimizers",
    {
        # It keeps one row and one column per matrix, which is negligible.
        "adafactor": OptimizerFactory(build=_adafactor, moments=0),
        "adam": OptimizerFactory(build=_adam, hyperparameters=("betas", "epsilon"), moments=2),
        "adamw": OptimizerFactory(build=_adamw, hyperparameters=("betas", "epsilon"), moments=2),
        "lion": OptimizerFactory(build=_lion, hyperparameters=("betas",), moments=1),
        "muon": OptimizerFactory(
            build=_muon,
            hyperparameters=("betas", "epsilon"),
            moments=2,
            matrices=MatrixUpdate(moments=1, compute=_orthogonalize),
        ),
        "sgd": OptimizerFactory(build=_sgd, hyperparameters=("betas",), moments=1),
    },
)
