"""Low-rank adapters: LoRA (Hu et al. 2021) and DoRA (Liu et al. 2024), through peft.

Adapters are put inside the model's own linear layers, so that its class and ``generate`` stay
unchanged. All weights of the base model are frozen; those that are not pretrained, such as the
head, are trained in full.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from configs.errors import ModelError
from configs.language import _
from configs.training import Adapter

HEADS = (
    "classification_head",
    "classifier",
    "head",
    "pooler",
    "pre_classifier",
    "qa_outputs",
    "score",
)
"""Names of head modules at the top level of Transformers models."""
PAIRING = re.compile(r"\.crossattention\.|^enc_to_dec_proj\.")
"""Parameters that connect the two encoders of a pair; they are not pretrained."""


def attach(model: nn.Module, adapter: Adapter, fresh: Collection[str] = ()) -> nn.Module:
    """Put the declared adapter into a model and freeze the rest of it, in place.

    A linear layer whose weights are frozen already gets no adapter, and the output layer of a
    language model never does. Parameters and modules named ``fresh`` are not pretrained and are
    trained in full; the head and the connection of a pair need not be named.

    Raises:
        ModelError: a target is no linear layer of the model, or every target is frozen.
    """
    if adapter.name == "none":
        return model
    full = {name for name, p in model.named_parameters() if p.requires_grad}
    full = {name for name in full if _trains_in_full(model, name, fresh)}
    targets = _targets(model, adapter, full)
    with _quiet():
        _inject(model, adapter, targets)
    for name, parameter in model.named_parameters():
        if name in full:
            parameter.requires_grad_(True)
    return model


def _inject(model: nn.Module, adapter: Adapter, targets: list[str]) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # only ever divided by the rank
        lora_dropout=adapter.dropout,
        use_dora=adapter.name == "dora",
        # A pattern has to match whole names; a list would match their ends.
        target_modules="|".join(map(re.escape, targets)),
    )
    inject_adapter_in_model(config, model)


def merged(model: nn.Module) -> nn.Module:
    """A deep copy with the adapter merged into its weights; the model itself without an adapter."""
    if not hasattr(model, "peft_config"):
        return model
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            plain.set_submodule(name, module.get_base_layer())
    del plain.peft_config
    return plain


def linear_layers(model: nn.Module) -> list[str]:
    """Linear layers below the head and the output layer, by full name."""
    from transformers.pytorch_utils import Conv1D

    output: Any = getattr(model, "get_output_embeddings", lambda: None)()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and module is not output
        and name.split(".")[0] not in HEADS
    ]


def _trains_in_full(model: nn.Module, name: str, fresh: Collection[str]) -> bool:
    if any(name == prefix or name.startswith(f"{prefix}.") for prefix in fresh):
        return True
    family = getattr(getattr(model, "config", None), "model_type", None)
    joins = family == "encoder-decoder" and PAIRING.search(name) is not None
    return joins or name.split(".", maxsplit=1)[0] in HEADS


def _targets(model: nn.Module, adapter: Adapter, full: set[str]) -> list[str]:
    linear = linear_layers(model)
    chosen = adapter.target_modules or tuple(linear)
    unknown = [t for t in chosen if not any(_ends(name, t) for name in linear)]
    if unknown:
        known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
        raise ModelError.at(
            "training.adapter.target_modules",
            _(
                "expected linear layers of the model, found {unknown}",
                unknown=", ".join(unknown),
            ),
            _("it has {known}", known=known),
        )
    adaptable = [
        name
        for name in linear
        if any(_ends(name, target) for target in chosen)
        and model.get_parameter(f"{name}.weight").requires_grad
        and f"{name}.weight" not in full
    ]
    if not adaptable:
        raise ModelError.at(
            "training.adapter",
            _("expected a layer to adapt, and all are frozen or trained in full"),
            _("lower training.frozen_layers, or choose other training.adapter.target_modules"),
        )
    return adaptable


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence peft's warning that GPT-2 stores its weights transposed, which it handles."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        yield
