"""The model and its loss, and that the registered model finds what validation finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForTokenClassification

from configs.training import Loss
from tasks.applications.base import Codec, View
from tasks.applications.entities.application import APPLICATION
from tasks.applications.entities.learning import EntityFacts
from tasks.applications.entities.rows import spans_type
from tasks.applications.entities.scores import EntityScorer
from tasks.applications.entities.serving import Model
from tests.support.questions import FAMILIES, TEXTS, tokenizer

FACTS = EntityFacts(inputs=("text",), labels=("DATE", "PERSON"), stride=8)
LENGTH = 40


def tagger(family: str) -> tuple[Any, Any]:
    """A tokenizer and a random model of two layers for it."""
    kind, fields = FAMILIES[family]
    tokens = tokenizer(kind)
    special = {"pad_token_id": tokens.pad_token_id, "bos_token_id": 0, "eos_token_id": 2}
    named = APPLICATION.learning.model_arguments(FACTS)
    config = CONFIG_MAPPING[family](vocab_size=len(tokens), **fields, **special, **named)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AutoModelForTokenClassification.from_config(config, attn_implementation="eager")
    return tokens, model.eval()


def encoded(tokens: Any) -> tuple[pa.Table, dict[str, torch.Tensor], Codec]:
    """Stored rows, a batch with all of their windows, and the codec."""
    spans = [[{"start": 0, "end": 7, "label": "DATE"}], *([] for _ in TEXTS[1:]), []]
    texts = [*TEXTS, " ".join(TEXTS)]
    rows = pa.table({"text": texts, "entities": pa.array(spans, spans_type())})
    codec = Codec(tokens, tokens, "token-classification", LENGTH)
    windows = APPLICATION.tokens.encode(rows.to_pydict(), codec, FACTS)
    table = pa.table({name: pa.array(values) for name, values in windows.columns.items()})
    assert windows.rows is not None
    table = table.append_column("row", pa.array(list(windows.rows)))
    return rows, APPLICATION.tokens.collate(table, codec), codec


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_that_of_plain_transformers(family: str) -> None:
    tokens, model = tagger(family)
    _, batch, _ = encoded(tokens)
    objective = APPLICATION.learning.objective(FACTS, Loss())
    with torch.no_grad():
        names = ("input_ids", "attention_mask", "labels")
        plain = model(**{name: batch[name] for name in names}).loss
        outputs = APPLICATION.learning.forward(model, batch)
    mean = objective.total(outputs, batch) / objective.weight(batch)
    assert mean.item() == pytest.approx(plain.item(), abs=1e-5)


def test_an_even_guess_has_the_expected_loss() -> None:
    _, batch, _ = encoded(tokenizer("wordpiece"))
    objective = APPLICATION.learning.objective(FACTS, Loss())
    outputs = torch.zeros(*batch["labels"].shape, 5)
    mean = (objective.total(outputs, batch) / objective.weight(batch)).item()
    assert mean == pytest.approx(objective.expected_initial(outputs), abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "modernbert", "t5"])
def test_the_registered_model_finds_what_validation_finds(family: str, tmp_path: Path) -> None:
    tokens, model = tagger(family)
    rows, batch, codec = encoded(tokens)
    with torch.no_grad():
        outputs = APPLICATION.learning.forward(model, batch)
    scorer = EntityScorer(FACTS.labels)
    scorer.update(*APPLICATION.learning.infer(model, outputs, batch, View(codec, rows, FACTS)))
    model.save_pretrained(tmp_path)
    tokens.save_pretrained(tmp_path)
    settings = FACTS.record() | {"max_length": LENGTH, "batch_size": 3}
    served = Model(tmp_path, settings, torch.device("cpu"))
    with torch.inference_mode():
        answers = served.answer([{"text": text} for text in rows["text"].to_pylist()])
    found = [[list(one.values())[:3] for one in row["entities"]] for row in answers]
    assert found == [[list(one[:3]) for one in kept] for _, _, kept in scorer.rows()]
    assert any(found)
    scores = [one["score"] for row in answers for one in row["entities"]]
    expected = [one.score for _, _, kept in scorer.rows() for one in kept]
    assert scores == pytest.approx(expected, abs=1e-4)
    assert np.isfinite(scores).all()
