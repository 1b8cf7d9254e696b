"""Whether the config and the weights of a model count positions alike.

Weights of BERT fit the architecture of RoBERTa and the reverse, but the first position of one is
row 0 of the table, and that of the other follows the row of the padding token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModel, PreTrainedModel

from configs.errors import Problem
from configs.language import _
from tasks.training.model import positions

FIRST: Final = 4
"""Rows of a position table that may be those before the first position."""


def problems(folder: Path, files: Sequence[Path], model: PreTrainedModel) -> Iterator[Problem]:
    """Contradictions about how positions are counted.

    Args:
        folder: of the model.
        files: its weights.
        model: the architecture that its config declares.
    """
    counted = positions.count_from_padding(model)
    family, advice = model.config.model_type, _("take config.json and the weights from one model")
    for name in _other_architectures(model):
        message = _(
            "model_type {family} and architectures {name} count positions differently",
            family=family,
            name=name,
        )
        yield Problem(str(folder / "config.json"), message, advice)
    for file, name, row in () if counted else _empty_positions(files):
        message = _(
            "{name}: row {row} is zero, as in models that count positions from the padding token; "
            "config.json declares {family}",
            name=name,
            row=row,
            family=family,
        )
        yield Problem(str(file), message, advice)


def _other_architectures(model: PreTrainedModel) -> Iterator[str]:
    """Classes that the config names, of a family that counts positions in another way."""
    import transformers

    auto: Any = AutoModel
    for name in model.config.architectures or ():
        kind = getattr(getattr(transformers, str(name), None), "config_class", None)
        if kind is None or kind not in auto._model_mapping or isinstance(model.config, kind):
            continue
        try:
            with torch.device("meta"):
                other = auto.from_config(kind())
        except ImportError:
            # A family that needs another library, so it is not compared.
            continue
        if positions.count_from_padding(other) != positions.count_from_padding(model):
            yield str(name)


def _empty_positions(files: Sequence[Path]) -> Iterator[tuple[Path, str, int]]:
    """Rows of zeros among the first of a position table.

    Families that count positions from the padding id never use, and never train, its row.
    """
    from safetensors import safe_open

    for file in files:
        with safe_open(file, framework="pt") as stream:
            for name in stream.keys():  # noqa: SIM118  # it is no mapping
                if not name.endswith("position_embeddings.weight"):
                    continue
                rows = stream.get_slice(name)[:FIRST].abs().sum(1)
                zeros = (rows == 0).nonzero().flatten().tolist()
                if len(zeros) == 1 and zeros[0] < len(rows) - 1:
                    yield file, name, zeros[0]
