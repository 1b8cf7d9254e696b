"""How many tokens a model can take, read off the tables and layers of the model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tasks.training.model.initial_model import InitialModel

TABLES: Final = frozenset(
    {"embed_positions", "pos_embed", "position_embeddings", "positions_embed", "wpe"}
)
"""Names of the layers that embed absolute positions."""
UNLIMITED: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Positions:
    """Most tokens of an input and of a target; None without a limit."""

    input: int | None
    target: int | None


def of(base: InitialModel) -> Positions:
    """The positions of a pretrained model; of a pair, those of its two sides.

    Families such as RoBERTa and MPNet count positions from the padding id, BART from two.
    """
    if base.path is None:
        return Positions(None, None)
    own = _of_model(base.config)
    return (
        own if base.decoder is None else Positions(own.input, _of_model(base.decoder.config).target)
    )


def count_from_padding(model: Any) -> bool:
    """Whether the positions of a text follow from the padding id."""
    return any(
        name.rpartition(".")[2] in TABLES and getattr(module, "padding_idx", None) is not None
        for name, module in model.named_modules()
    )


def _of_model(record: dict[str, Any]) -> Positions:
    model = _architecture(record)
    declared = getattr(model.config, "max_position_embeddings", None)
    limits: dict[bool, list[int]] = {False: [], True: []}
    for name, module in model.named_modules():
        parts = name.split(".")
        if parts[-1] in TABLES and hasattr(module, "weight"):
            limits["decoder" in parts].append(_rows(module))
        elif parts[-1] in TABLES or "rotary" in parts[-1]:
            limits["decoder" in parts].append(UNLIMITED)
    for name, _ in model.named_buffers():
        # A table of rotary positions in each attention layer, as of GPT-J.
        if name.rpartition(".")[2] in TABLES:
            limits["decoder" in name.split(".")].append(UNLIMITED)
    read, written = limits[False] or limits[True], limits[True] or limits[False]
    return Positions(_least(read, declared), _least(written, declared))


def _least(limits: list[int], declared: int | None) -> int | None:
    """The lowest limit, if the model has absolute or rotary positions at all."""
    least = min([*limits, int(declared or UNLIMITED)])
    return least if limits and least < UNLIMITED else None


def _rows(table: Any) -> int:
    """The positions of a table that tokens can have."""
    padding = getattr(table, "padding_idx", None)
    first = getattr(table, "offset", 0) if padding is None else padding + 1
    return int(table.weight.shape[0]) - int(first)


def _architecture(record: dict[str, Any]) -> Any:
    """The model of a ``config.json``, without memory for its weights."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

    config = AutoConfig.for_model(**record)
    auto: Any = AutoModel
    if type(config) not in auto._model_mapping:
        auto = AutoModelForSeq2SeqLM
    with torch.device("meta"):
        return auto.from_config(config)
