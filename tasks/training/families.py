"""What each model family can do, as data.

A family is a ``model_type`` of Transformers. Families that are not listed are looked up in
Transformers' own tables, which costs an import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from configs.schema import Pipeline
from tasks.applications import base as applications
from tasks.applications.base import Head

ENCODER: Final[frozenset[Head]] = frozenset({"sequence-classification", "question-answering"})
DECODER: Final[frozenset[Head]] = ENCODER | {"causal"}
ENCODER_DECODER: Final[frozenset[Head]] = ENCODER | {"seq2seq"}
TRANSLATOR: Final[frozenset[Head]] = frozenset({"seq2seq"})
NOTHING: Final[frozenset[Head]] = frozenset()

FAMILIES: Final[dict[str, frozenset[Head]]] = {
    "albert": ENCODER,
    "bart": ENCODER_DECODER,
    "bert": ENCODER,
    "camembert": ENCODER,
    "clip": NOTHING,
    "deberta": ENCODER,
    "deberta-v2": ENCODER,
    "distilbert": ENCODER,
    "electra": ENCODER,
    "gpt2": DECODER,
    "m2m_100": TRANSLATOR,
    "marian": TRANSLATOR,
    "mbart": ENCODER_DECODER,
    "modernbert": ENCODER,
    "mpnet": ENCODER,
    "mt5": ENCODER_DECODER,
    "pegasus": TRANSLATOR,
    "roberta": ENCODER,
    "t5": ENCODER_DECODER,
    "vit": NOTHING,
    "whisper": NOTHING,
    "xlm-roberta": ENCODER,
}
HEAD_NAMES: Final[dict[Head, str]] = {
    "sequence-classification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "question-answering": "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
    "seq2seq": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "causal": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
}


def heads(model_type: str) -> frozenset[Head]:
    """The heads that Transformers has for a family."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    from transformers.models.auto import modeling_auto

    return frozenset(
        head for head, table in HEAD_NAMES.items() if model_type in getattr(modeling_auto, table)
    )


def able(head: Head) -> list[str]:
    """Listed families that have a head."""
    return sorted(family for family, offered in FAMILIES.items() if head in offered)


def refusal(model_type: str, application: str) -> str:
    """Why a family cannot serve an application; empty if it can."""
    wanted = applications.get(application).head
    if wanted in heads(model_type):
        return ""
    return (
        f"a {model_type} model has no {wanted} head, which {application} needs; "
        f"families that have one: {', '.join(able(wanted))}"
    )


def check(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Refuse an impossible pair of a local model and an application when the config is read."""
    config = pipeline.model.folder / pipeline.model.base / "config.json"
    model_type = _model_type(config)
    if model_type and (reason := refusal(model_type, pipeline.application)):
        yield "model.base", reason


def _model_type(config: Path) -> str:
    try:
        return str(json.loads(config.read_text(encoding="utf-8")).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""
