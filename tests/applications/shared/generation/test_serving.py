"""Writing text: search, chunks of long inputs, and what is tidied."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from tasks.applications.codec import Codec
from tasks.applications.shared.generation.serving import Generator, sentences
from tests.support import writers
from tests.support.writers import SOURCES, TARGETS, known_codec, known_model

SETTINGS: dict[str, Any] = {
    "inputs": ["source"],
    "language": "zh",
    "long_inputs": "truncate",
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "max_length": writers.LONGEST,
    "max_target_length": writers.LONGEST_TARGET,
    "prefix": "",
}


def writer(family: str, **settings: Any) -> Generator:
    found = known_codec(family)
    settings = SETTINGS | {"head": found.head, "num_beams": 1} | settings
    return Generator(known_model(family), found.tokenizer, found.target, settings)


@pytest.mark.parametrize("family", [*writers.FAMILIES, "mbart50"])
@pytest.mark.parametrize("beams", [1, 3])
def test_outputs_do_not_depend_on_batch_size_and_order(family: str, beams: int) -> None:
    one = writer(family, num_beams=beams)
    with torch.inference_mode():
        together = one.generate(SOURCES)
        alone = [one.generate([text])[0] for text in SOURCES]
        backwards = one.generate(SOURCES[::-1])[::-1]
    assert together == alone == backwards
    assert len(set(together)) > 1


@pytest.mark.parametrize("family", ["t5", "bart", "gpt2"])
def test_greedy_search_takes_the_likeliest_token(family: str) -> None:
    """Token by token, by the forward pass of training, without a cache and without padding."""
    known, net = known_codec(family), known_model(family)
    for source in SOURCES[:2]:
        written: list[int] = []
        for _ in range(8):
            with torch.no_grad():
                logits = next_logits(known, net, source, written)
            written.append(int(logits.argmax()))
            if written[-1] == known.target.eos_token_id:
                break
        (found,) = writer(family, max_new_tokens=8).generate([source])
        expected = known.target.decode(written, skip_special_tokens=True)
        assert found.replace(" ", "") == expected.replace(" ", "")


def next_logits(known: Codec, net: Any, source: str, written: list[int]) -> torch.Tensor:
    if known.head == "causal":
        ids = known.tokenizer(source, add_special_tokens=False)["input_ids"]
        whole = torch.tensor([[*ids, known.tokenizer.eos_token_id, *written]])
        return net(input_ids=whole).logits[0, -1]
    start = net.config.decoder_start_token_id
    inputs = known.tokenizer(source, return_tensors="pt")["input_ids"]
    return net(input_ids=inputs, decoder_input_ids=torch.tensor([[start, *written]])).logits[0, -1]


def test_a_causal_model_is_padded_on_the_left() -> None:
    one = writer("gpt2")
    encoded = one.encode(SOURCES)
    end, padding = known_codec("gpt2").tokenizer.eos_token_id, known_codec("gpt2").pad_id
    assert (encoded["input_ids"][:, -1] == end).all()
    for ids, mask in zip(encoded["input_ids"], encoded["attention_mask"], strict=True):
        assert (ids[mask == 0] == padding).all()
        assert (mask.diff() >= 0).all()


def test_a_limit_of_new_tokens_holds() -> None:
    one = writer("bart", max_new_tokens=3)
    known = known_codec("bart").target
    for text in one.generate(SOURCES):
        assert len(known(text, add_special_tokens=False)["input_ids"]) <= 4


DOCUMENT = " ".join(SOURCES * 4)


@pytest.mark.parametrize("family", ["t5", "bart", "gpt2"])
@pytest.mark.parametrize("prefix", ["", "call us: "])
def test_chunks_keep_every_sentence_and_fit(family: str, prefix: str) -> None:
    one = writer(family, long_inputs="chunk", language="en", max_length=40, prefix=prefix)
    pieces = one.pieces(DOCUMENT)
    assert len(pieces) > 2
    assert " ".join(pieces).split() == DOCUMENT.split()
    for piece in pieces:
        (ids,) = writer(family, max_length=999).encode([prefix + piece])["input_ids"]
        assert len(ids) <= 40
    for first, second in pairwise(pieces):
        joined = f"{prefix}{first} {sentences(second)[0]}"
        (ids,) = writer(family, max_length=999).encode([joined])["input_ids"]
        assert len(ids) > 40


def test_chunks_of_chinese_are_joined_without_spaces() -> None:
    document = "".join(TARGETS * 3)
    one = writer("t5", long_inputs="chunk", max_length=30)
    pieces = one.pieces(document)
    assert len(pieces) > 2
    assert "".join(pieces) == document
    assert max(len(ids) for ids in one.tokenizer(pieces)["input_ids"]) <= 30


def test_parts_of_a_long_document_are_written_one_by_one_and_joined() -> None:
    one = writer("t5", long_inputs="chunk", language="en", max_length=40)
    pieces = one.pieces(DOCUMENT)
    limit = max(writers.LONGEST_TARGET // len(pieces), 16)
    alone = [writer("t5", language="en", max_new_tokens=limit).generate([p])[0] for p in pieces]
    assert one.generate([DOCUMENT, SOURCES[0]]) == [
        " ".join(alone).strip(),
        writer("t5", language="en").generate([SOURCES[0]])[0],
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("He said “no.” Then he left.", ["He said “no.”", "Then he left."]),
        ("一。二！三？四", ["一。", "二！", "三？", "四"]),
        ("他说：“不。”然后走了。", ["他说：“不。”", "然后走了。"]),
        ("It costs 3.50 euros.\n\nA title\nText", ["It costs 3.50 euros.", "A title", "Text"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("zh", "我 们 九 点 开 门 。", "我们九点开门。"),
        ("zh_CN", "你 好 ， world wide 网", "你好，world wide网"),
        ("zho_Hans", "你 好", "你好"),
        ("ja", "こ ん に ち は", "こんにちは"),
        ("en", " two  words ", "two words"),
        ("th", "ร้าน เปิด", "ร้าน เปิด"),
        ("bos", "Dobar dan", "Dobar dan"),
    ],
)
def test_spaces_between_characters_are_dropped(language: str, text: str, expected: str) -> None:
    assert writer("t5", language=language)._tidy(text) == expected


def test_chinese_output_has_no_spaces() -> None:
    for family in ("t5", "pair", "gpt2"):
        for text in writer(family).generate(SOURCES):
            assert not any(
                text[i] == " " and not (text[i - 1] + text[i + 1]).isascii()
                for i in range(1, len(text) - 1)
            )
