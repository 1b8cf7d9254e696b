"""A table of what each model family supports.

A family is a ``model_type`` of Transformers. Families that are not listed are looked up in
Transformers' own tables, which costs an import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from configs.language import _, english, translated
from configs.schema import Model, Pipeline
from tasks.applications import registry as applications
from tasks.applications.base import Head

Ability = Head | Literal["pair-encoder", "pair-decoder"]
"""A head, or a side of an encoder pair."""

Abilities = frozenset[Ability]
READER: Final[Abilities] = frozenset(
    {"sequence-classification", "token-classification", "question-answering"}
)
ENCODER: Final[Abilities] = READER | {"pair-encoder"}
PAIRABLE: Final[Abilities] = ENCODER | {"pair-decoder"}
"""An encoder that also has cross-attention, to be the decoder of a pair."""
DECODER: Final[Abilities] = READER | {"causal", "pair-decoder"}
TEXT_TO_TEXT: Final[Abilities] = READER | {"seq2seq"}
ENCODER_DECODER: Final[Abilities] = TEXT_TO_TEXT - {"token-classification"}
TRANSLATOR: Final[Abilities] = frozenset({"seq2seq"})
NOTHING: Final[Abilities] = frozenset()

FAMILIES: Final[dict[str, Abilities]] = {
    "albert": ENCODER,
    "bart": ENCODER_DECODER,
    "bert": PAIRABLE,
    "camembert": PAIRABLE,
    "clip": NOTHING,
    "deberta": ENCODER,
    "deberta-v2": ENCODER,
    "distilbert": ENCODER,
    "electra": PAIRABLE,
    "encoder-decoder": TRANSLATOR,
    "gpt2": DECODER,
    "m2m_100": TRANSLATOR,
    "marian": TRANSLATOR,
    "mbart": ENCODER_DECODER,
    "modernbert": ENCODER,
    "mpnet": ENCODER,
    "mt5": TEXT_TO_TEXT,
    "pegasus": TRANSLATOR,
    "roberta": PAIRABLE,
    "t5": TEXT_TO_TEXT,
    "vit": NOTHING,
    "whisper": NOTHING,
    "xlm-roberta": PAIRABLE,
}
UNFIT: Final = {
    **dict.fromkeys(
        ("fnet", "nystromformer", "xlnet"), english("its scores depend on the padding")
    ),
    **dict.fromkeys(
        ("bros", "layoutlmv2", "layoutlmv3", "lxmert"), english("it reads more than text")
    ),
    "prophetnet": english("it cannot write several rows at once"),
    "rwkv": english("it cannot write with beams"),
}
"""Families that Transformers has a head for, and why they are not offered."""
FP32_ONLY: Final = frozenset({"deberta", "mra"})
"""Families that cannot compute in bf16."""
STARTER: Final = "bert"
SCRATCH: Final = {"encoder": "bert", "decoder": "gpt2", "encoder-decoder": "mbart"}
"""The family that a model from scratch belongs to, by its architecture."""
HEAD_NAMES: Final[dict[Head, str]] = {
    "sequence-classification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "token-classification": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
    "question-answering": "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
    "seq2seq": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "causal": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
}


def abilities(model_type: str) -> Abilities:
    """What a family supports: as listed here, else the heads that Transformers has for it."""
    if model_type in UNFIT:
        return NOTHING
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    from transformers.models.auto import modeling_auto

    return frozenset(
        head for head, table in HEAD_NAMES.items() if model_type in getattr(modeling_auto, table)
    )


def able(*wanted: Ability) -> list[str]:
    """Listed families that have at least one of the abilities."""
    return sorted(family for family, offered in FAMILIES.items() if offered & set(wanted))


def choose_head(model_type: str, application: str, *, pair: bool = False) -> Head | None:
    """The first head of an application that a family, or a pair with it as encoder, offers."""
    wanted = applications.get(application).heads
    if pair:
        return "seq2seq" if "seq2seq" in wanted else None
    offered = abilities(model_type)
    return next((head for head in wanted if head in offered), None)


def refusal(model_type: str, application: str, decoder: str | None = None) -> str:
    """Why a family, or a pair of two, does not fit an application; empty if it does."""
    wanted = applications.get(application).heads
    if decoder is not None:
        return _pair_refusal(model_type, application, decoder)
    if choose_head(model_type, application):
        return ""
    heads = " or ".join(wanted)
    lack = _(
        "a {model_type} model has no {heads} head, which {application} needs",
        model_type=model_type,
        heads=heads,
        application=application,
    )
    if model_type in UNFIT:
        lack = _(
            "a {model_type} model cannot be fine-tuned here: {why}",
            model_type=model_type,
            why=translated(UNFIT[model_type]),
        )
    reason = _(
        "{lack}; families that have one: {wanted}", lack=lack, wanted=", ".join(able(*wanted))
    )
    if "seq2seq" in wanted and "pair-encoder" in abilities(model_type):
        reason += _("; or use it as the encoder of a pair: model.decoder: {base: starter}")
    return reason


def _pair_refusal(encoder: str, application: str, decoder: str) -> str:
    if "seq2seq" not in applications.get(application).heads:
        return _(
            "a pair of encoders writes text, which {application} does not need",
            application=application,
        )
    for family, role in ((encoder, "encoder"), (decoder, "decoder")):
        ability: Ability = "pair-encoder" if role == "encoder" else "pair-decoder"
        if ability not in abilities(family):
            families = ", ".join(able(ability))
            return _(
                "a {family} model cannot be the {role} of a pair; families that can: {families}",
                family=family,
                role=role,
                families=families,
            )
    return ""


def check(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield the field and the reason if the model does not fit the application."""
    model = pipeline.model
    encoder = declared_type(model)
    decoder = None
    if model.decoder is not None:
        decoder = _model_type(model.folder / model.decoder.base) or STARTER
    if encoder and (reason := refusal(encoder, pipeline.application, decoder)):
        yield ("model.scratch.architecture" if model.scratch else "model.base"), reason
    if encoder in FP32_ONLY and pipeline.training.precision == "bf16":
        yield (
            "training.precision",
            _("a {encoder} model cannot compute in bf16: leave it out", encoder=encoder),
        )


def usable_precision(folder: str | None, declared: str) -> str:
    """The declared precision, but float32 for a base model that has no other."""
    return "fp32" if folder and _model_type(Path(folder)) in FP32_ONLY else declared


def declared_type(model: Model) -> str:
    """The family of a local base, the starter or a model from scratch; empty for a Hub model."""
    if model.scratch:
        return SCRATCH[model.scratch.architecture]
    return STARTER if model.base == "starter" else _model_type(model.folder / model.base)


def _model_type(folder: Path) -> str:
    try:
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(record.get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""
