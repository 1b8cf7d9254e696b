"""Hold the weights of a pretrained model against the architecture that its config declares.

The architecture is built without memory, and Transformers itself decides by which names and
conversions the weights of the files are loaded into it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from configs.errors import ModelError, Problem
from configs.language import _, english, translated
from tasks.applications.base import Head
from tasks.training.model import position_fit, tokenizer_fit, weight_files
from tasks.training.model.build import AUTO_CLASSES, register_activations
from tasks.training.model.initial_model import InitialModel

WRITERS: Final = ("seq2seq", "causal")
"""Heads that are pretrained; all others are new for each problem."""
POOLER: Final = "pooler"
"""A layer between encoder and head, which models saved without a head may lack."""
BUFFERS: Final = re.compile(
    r"(^|\.)(masked_bias|position_ids|token_type_ids|inv_freq|causal_mask|attn(\.attention)?\.bias)$"
)
"""Constants that earlier versions of Transformers saved with the weights."""
SHOWN: Final = 8
FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TOGETHER: Final = english("take config.json and the weights from one save_pretrained()")


def check(base: InitialModel, head: Head) -> None:
    """Compare weights, config and tokenizer of a pretrained model, or of both sides of a pair.

    Only a head that is new to the model may have no weights.

    Raises:
        ModelError: a tensor is missing, has another shape, is left over or is not finite, or the
            tokenizer has more tokens than the model has embeddings, or other special tokens.
    """
    register_activations()
    sides = [(base, AUTO_CLASSES[head], head not in WRITERS)]
    if base.decoder is not None:
        sides = [(base, "AutoModel", True), (base.decoder, "AutoModelForCausalLM", True)]
    problems = [problem for side in sides for problem in _problems(*side)]
    if problems:
        raise ModelError(problems)


def _problems(base: InitialModel, kind: str, new_head: bool) -> Iterator[Problem]:
    import transformers

    assert base.path is not None
    config_file = base.path / "config.json"
    files = weight_files.loaded(base.path, base.config)
    try:
        tensors = {name: tensor for file in files for name, tensor in _headers(file)}
        config = AutoConfig.from_pretrained(base.path, local_files_only=True)
        with torch.device("meta"):
            model = getattr(transformers, kind).from_config(config)
        report = _report(model, tensors)
    except Exception as error:
        # Libraries raise exceptions of every kind for a field that is null or out of range.
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        message = _(
            "no {family} model can be built from it: {reason}", family=base.family, reason=reason
        )
        # A library that is missing is named by the reason.
        advice = "" if isinstance(error, ImportError) else TOGETHER
        yield Problem(str(config_file), message, advice)
        return
    where = str(files[0] if len(files) == 1 else base.path)
    yield from _differences(where, model, report, tensors, new_head)
    yield from _not_finite(files, report["unexpected_keys"])
    yield from position_fit.problems(base.path, files, model)
    yield from tokenizer_fit.problems(base.path, model)


def _headers(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Name, shape and type of each tensor, without its values."""
    from safetensors.torch import _TYPES

    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    for name, tensor in header.items():
        if name != "__metadata__":
            dtype = _TYPES[tensor["dtype"]]
            yield name, torch.empty(tensor["shape"], dtype=dtype, device="meta")


def _report(model: PreTrainedModel, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What Transformers reports on loading tensors without values into an architecture."""
    kind: Any = type(model)
    _model, report = kind.from_pretrained(
        None,
        config=model.config,
        state_dict=tensors,
        device_map="meta",
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    return dict(report)


def _differences(
    where: str,
    model: PreTrainedModel,
    report: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    new_head: bool,
) -> Iterator[Problem]:
    """The tensors that do not fit, at most a few of them and a count of the others."""
    body = _Body(model, new_head)
    absent = report["missing_keys"] - _computed(model)
    missing = sorted(name for name in absent if body.needs(name))
    if missing and (wrapper := _wrapper(missing, report["unexpected_keys"], body)):
        message = _(
            "the names of the weights have {wrapper!r} added, as a wrapper of models does",
            wrapper=wrapper,
        )
        advice = _("save the model inside of the wrapper, by its save_pretrained()")
        yield Problem(where, message, advice)
        return
    lines = [
        *_misshapen(report, body),
        *_lacking(missing, model),
        *_left_over(report, body, tensors),
    ]
    yield from (Problem(where, line, translated(TOGETHER)) for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield Problem(where, _("and {lines} other tensors do not fit", lines=len(lines) - SHOWN))


def _misshapen(report: dict[str, Any], body: _Body) -> Iterator[str]:
    for name, found, declared in sorted(report["mismatched_keys"]):
        if body.needs(name):
            yield _(
                "{name}: config.json declares shape {declared}, the weights have {found}",
                name=name,
                declared=list(declared),
                found=list(found),
            )


def _lacking(missing: list[str], model: PreTrainedModel) -> Iterator[str]:
    declared = model.state_dict()
    for name in missing:
        shape = list(declared[name].shape)
        yield _(
            "{name}: config.json declares shape {shape}, the weights lack it",
            name=name,
            shape=shape,
        )


def _left_over(
    report: dict[str, Any], body: _Body, tensors: dict[str, torch.Tensor]
) -> Iterator[str]:
    for name in sorted(report["unexpected_keys"]):
        if name in body and not BUFFERS.search(name):
            yield _(
                "{name}: config.json declares no such layer, the weights have {tensors}",
                name=name,
                tensors=_shape(name, tensors),
            )


def _computed(model: PreTrainedModel) -> set[str]:
    """The weights of sinusoidal tables, which need not be saved."""
    return {
        f"{name}.weight"
        for name, module in model.named_modules()
        if "Sinusoidal" in type(module).__name__
    }


def _shape(name: str, tensors: dict[str, torch.Tensor]) -> str:
    return _("shape {shape}", shape=list(tensors[name].shape)) if name in tensors else "it"


class _Body:
    """The parameters of an architecture below its head, by name.

    A new head, for which the model alone has no layers, is left out.
    """

    def __init__(self, model: PreTrainedModel, new_head: bool) -> None:
        self.new_head = new_head
        self.prefix = f"{model.base_model_prefix}."
        self.layers = self._layers(model)
        if new_head:
            auto: Any = AutoModel
            with torch.device("meta"):
                self.layers &= self._layers(auto.from_config(model.config))

    def _layers(self, model: PreTrainedModel) -> set[str]:
        return {self.short(name).partition(".")[0] for name in model.state_dict()}

    def short(self, name: str) -> str:
        """The name of a parameter as the model without a head has it."""
        return name.removeprefix(self.prefix)

    def needs(self, name: str) -> bool:
        """Whether weights must have a parameter."""
        return not self.new_head or name in self

    def __contains__(self, name: str) -> bool:
        parts = self.short(name).split(".")
        return parts[0] in self.layers and POOLER not in parts


def _wrapper(missing: list[str], unexpected: set[str], body: _Body) -> str:
    """The part of most names without which they would be those that are missing; else empty."""
    wanted = {*missing, *map(body.short, missing)}
    known = {part for name in wanted for part in name.split(".")}
    found: Counter[str] = Counter()
    for name in unexpected:
        parts = name.split(".")
        leading = (".".join(parts[:at]) for at in range(1, len(parts)))
        strange = ".".join(part for part in parts if part not in known)
        if ".".join(part for part in parts if part in known) in wanted:
            found[strange] += 1
        elif prefix := next((p for p in leading if name[len(p) + 1 :] in wanted), ""):
            found[prefix] += 1
    most, count = max(found.items(), key=itemgetter(1), default=("", 0))
    return most if count > len(missing) / 2 else ""


def _not_finite(files: list[Path], unused: set[str]) -> Iterator[Problem]:
    """Tensors with NaN or infinite values."""
    from safetensors import safe_open

    found = []
    for file in files:
        with safe_open(file, framework="pt") as stream:
            for name in stream.keys():  # noqa: SIM118  # it is no mapping
                tensor = stream.get_tensor(name)
                finite = tensor.dtype not in FLOATS or tensor.sum(dtype=torch.float64).isfinite()
                if not finite and name not in unused and not BUFFERS.search(name):
                    found.append((file, name, int((~tensor.isfinite()).sum())))
    advice = _("use the weights of an earlier step, from before training diverged")
    for file, name, count in found[:SHOWN]:
        yield Problem(
            str(file),
            _("{name}: {count:,} values are NaN or infinite", name=name, count=count),
            advice,
        )
    if len(found) > SHOWN:
        message = _(
            "and {found} other tensors have NaN or infinite values", found=len(found) - SHOWN
        )
        yield Problem(str(found[-1][0].parent), message)
