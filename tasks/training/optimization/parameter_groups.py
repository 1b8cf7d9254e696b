"""Groups of parameters with the same learning rate, weight decay and kind of update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from configs.schema import Training
from tasks.training.model import layers

Groups = list[dict[str, Any]]
HIDDEN_MATRICES = "hidden_matrices"
"""Key of a group: whether it holds the weight matrices of hidden layers, and nothing else."""
NORMALIZATIONS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)
OWN_NORMALIZATIONS = ("LayerNorm", "RMSNorm")
"""How the class names of Transformers' own normalizations end, such as T5's."""


def parameter_groups(model: nn.Module, training: Training, split: bool = False) -> Groups:
    """Group the trainable parameters.

    Biases and normalization weights are not decayed. A parameter below ``d`` layers learns at
    ``learning_rate * layerwise_lr_decay ** d`` (Howard and Ruder 2018); the layers of a decoder are
    counted from its own top.

    With ``split``, the matrices of hidden layers are in separate groups.

    Returns:
        Groups with ``params``, ``lr``, ``weight_decay`` and ``HIDDEN_MATRICES``; none is empty.
    """
    declared = training.optimizer
    lengths = layers.stacks(name for name, _ in model.named_parameters())
    exempt, embeddings = _parameters_of(model, _normalizes), _parameters_of(model, _embeds)
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = layers.depth(name, lengths) if declared.layerwise_lr_decay < 1 else 0
        rate = training.learning_rate * declared.layerwise_lr_decay**depth
        plain = name in exempt or name.rsplit(".", 1)[-1] == "bias"
        decay = 0.0 if plain else declared.weight_decay
        inside = parameter.ndim == 2 and name not in embeddings and layers.layer_of(name)
        hidden = split and bool(inside)
        group = {"params": [], "lr": rate, "weight_decay": decay, HIDDEN_MATRICES: hidden}
        groups.setdefault((rate, decay, hidden), group)["params"].append(parameter)
    return list(groups.values())


def _parameters_of(model: nn.Module, wanted: Callable[[nn.Module], bool]) -> set[str]:
    """Names of the parameters that the wanted modules own directly."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if wanted(module)
        for name, _ in module.named_parameters(recurse=False)
    }


def _normalizes(module: nn.Module) -> bool:
    return isinstance(module, NORMALIZATIONS) or type(module).__name__.endswith(OWN_NORMALIZATIONS)


def _embeds(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding)
