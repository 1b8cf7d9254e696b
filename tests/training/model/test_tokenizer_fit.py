from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForSequenceClassification,
    BertForMaskedLM,
    PreTrainedModel,
)

from tasks.training.model import tokenizer_fit
from tests.support.models import tiny_bert


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "bert")


def problems(folder: Path, model: PreTrainedModel) -> list[str]:
    return [str(problem) for problem in tokenizer_fit.problems(folder, model)]


def test_tokens_that_only_the_tokenizer_knows_are_refused(folder: Path) -> None:
    model = BertForMaskedLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = len(tokenizer)
    tokenizer.add_tokens(["[a]", "[b]", "[c]", "[d]"])
    tokenizer.save_pretrained(folder)
    (problem,) = problems(folder, model)
    assert f"the tokenizer has {rows + 4:,} tokens, the model embeddings for {rows:,}" in problem
    assert "resize_token_embeddings" in problem


def test_a_mask_without_an_embedding_is_not_missed(folder: Path) -> None:
    model = BertForMaskedLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    tokenizer.save_pretrained(folder)
    assert problems(folder, model) == []


def test_a_classifier_that_reads_the_end_of_a_text_needs_its_token(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 8, "max_position_embeddings": 16}
    heads = {"encoder_attention_heads": 1, "decoder_attention_heads": 1}
    size = {"vocab_size": len(tokenizer), "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    ids = {"bos_token_id": tokenizer.cls_token_id, "pad_token_id": tokenizer.pad_token_id}
    ending, other = (
        BartForSequenceClassification(BartConfig(eos_token_id=end, **size, **ids, **sizes, **heads))
        for end in (tokenizer.sep_token_id, tokenizer.unk_token_id)
    )
    assert problems(folder, ending) == []
    (problem,) = problems(folder, other)
    assert "a bart classifier reads the token that ends a text" in problem
    assert "the tokenizer does not add" in problem


def test_a_second_vocabulary_with_other_numbers_is_refused(folder: Path) -> None:
    model = BertForMaskedLM.from_pretrained(folder)
    known = AutoTokenizer.from_pretrained(folder).get_vocab()
    tokens = sorted(known, key=known.__getitem__)
    file = folder / "vocab.txt"
    for same in ([*tokens, "later"], [f"{token} 17" for token in tokens], tokens[:9][::-1]):
        file.write_text("\n".join(same), encoding="utf-8")
        assert problems(folder, model) == []
    file.write_text("\n".join(["[PAD]", *reversed(tokens[1:])]), encoding="utf-8")
    (message,) = problems(folder, model)
    assert message.startswith(f"{file}: {len(tokens) - 1} of {len(tokens)} tokens have other num")
    file.unlink()
    (folder / "vocab.json").write_text(json.dumps({t: n + 1 for n, t in enumerate(tokens)}))
    (message,) = problems(folder, model)
    assert message.endswith("(take all files of the tokenizer from the model of the weights)")
