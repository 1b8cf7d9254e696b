from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch.nn.functional import log_softmax

from configs.errors import ModelError
from configs.schema import Loss
from tasks.applications.codec import Codec
from tasks.applications.shared.generation.serving import Generator, sentences
from tasks.applications.shared.generation.tokens import target_ids
from tasks.applications.translation.application import APPLICATION
from tasks.training.model import tokenizers
from tests.support import writers
from tests.support.writers import FACTS, SOURCES, TARGETS

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


@cache
def codec(family: str) -> Codec:
    with TemporaryDirectory() as folder:
        return writers.codec(family, Path(folder))


@cache
def model(family: str) -> Any:
    return writers.model(family, codec(family))


def writer(family: str, **settings: Any) -> Generator:
    found = codec(family)
    settings = SETTINGS | {"head": found.head, "num_beams": 1} | settings
    return Generator(model(family), found.tokenizer, found.target, settings)


def our_loss(family: str, loss: Loss, rows: list[int]) -> float:
    """The loss of a step of one batch."""
    batch = writers.batch(codec(family), rows)
    objective = APPLICATION.learning.objective(FACTS, loss)
    with torch.no_grad():
        outputs = APPLICATION.learning.forward(model(family), batch)
    return float(objective.total(outputs, batch) / objective.weight(batch))


def plain_batch(family: str, rows: list[int]) -> dict[str, torch.Tensor]:
    """What plain code would feed the model: padded by the tokenizer, labels as documented."""
    known = codec(family)
    sources, targets = [SOURCES[row] for row in rows], [TARGETS[row] for row in rows]
    if known.head == "causal":
        return plain_sequences(known, sources, targets)
    inputs = known.tokenizer(sources, padding=True, return_tensors="pt")
    if family == "pair":
        written = known.target(targets, padding=True, return_tensors="pt")["input_ids"][:, 1:]
    else:
        written = known.tokenizer(text_target=targets, padding=True, return_tensors="pt")[
            "input_ids"
        ]
    padding = known.target.pad_token_id
    return {
        "input_ids": inputs["input_ids"],
        "attention_mask": inputs["attention_mask"],
        "labels": written.masked_fill(written == padding, -100),
    }


def plain_sequences(
    known: Codec, sources: list[str], targets: list[str]
) -> dict[str, torch.Tensor]:
    end = known.tokenizer.eos_token
    texts = [f"{source}{end}" for source in sources]
    left = [known.tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
    right = [known.tokenizer(f"{t}{end}", add_special_tokens=False)["input_ids"] for t in targets]
    width = max(len(a) + len(b) for a, b in zip(left, right, strict=True))
    ids = torch.full((len(left), width), known.pad_id)
    labels = torch.full_like(ids, -100)
    for row, (a, b) in enumerate(zip(left, right, strict=True)):
        ids[row, : len(a) + len(b)] = torch.tensor(a + b)
        labels[row, len(a) : len(a) + len(b)] = torch.tensor(b)
    return {"input_ids": ids, "attention_mask": (labels != -100) | (ids != known.pad_id)} | {
        "labels": labels
    }


@pytest.mark.filterwarnings("ignore:Version v4.12.0 introduces a better way:FutureWarning")
@pytest.mark.parametrize("family", [*writers.FAMILIES, "mbart50"])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [3], [4, 0]])
def test_loss_is_that_of_plain_transformers(family: str, rows: list[int]) -> None:
    with torch.no_grad():
        plain = model(family)(**plain_batch(family, rows)).loss.item()
    assert plain > 1
    assert our_loss(family, Loss(), rows) == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("family", writers.FAMILIES)
def test_loss_of_a_batch_is_the_sum_over_its_rows(family: str) -> None:
    whole = our_loss(family, Loss(), [0, 1, 2, 3, 4])
    objective = APPLICATION.learning.objective(FACTS, Loss())
    weights = [
        float(objective.weight(writers.batch(codec(family), [row]))) for row in range(len(SOURCES))
    ]
    parts = [our_loss(family, Loss(), [row]) * weight for row, weight in enumerate(weights)]
    assert sum(parts) / sum(weights) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("family", ["t5", "gpt2"])
@pytest.mark.parametrize(
    ("smoothing", "gamma"), [(0.1, None), (0.3, None), (0.0, 2.0), (0.0, 0.5), (0.1, 1.0)]
)
def test_smoothed_and_focal_losses_follow_their_formulas(
    family: str, smoothing: float, gamma: float | None
) -> None:
    batch = writers.batch(codec(family), [0, 1, 4])
    with torch.no_grad():
        logits = APPLICATION.learning.forward(model(family), batch).double()
    kept = batch["labels"] != -100
    logs = log_softmax(logits[kept], -1)
    truth = logs.gather(1, batch["labels"][kept][:, None]).squeeze(1)
    losses = -(1 - smoothing) * truth - smoothing * logs.mean(1)
    if gamma is not None:
        losses = (1 - truth.exp()) ** gamma * losses
    loss = Loss(
        name="cross_entropy" if gamma is None else "focal",
        focal_gamma=gamma or 0.0,
        label_smoothing=smoothing,
    )
    assert our_loss(family, loss, [0, 1, 4]) == pytest.approx(losses.mean().item(), rel=1e-5)


def test_a_guess_costs_the_logarithm_of_the_vocabulary() -> None:
    batch = writers.batch(codec("t5"), [0, 1])
    size = len(codec("t5").tokenizer)
    objective = APPLICATION.learning.objective(FACTS, Loss())
    total = objective.total(torch.zeros(*batch["labels"].shape, size), batch)
    assert float(total / objective.weight(batch)) == pytest.approx(math.log(size))
    assert objective.expected_initial(torch.zeros(1, size)) == pytest.approx(math.log(size))


def test_a_causal_model_learns_the_target_only() -> None:
    known = codec("gpt2")
    batch = writers.batch(known, [0, 4])
    end = known.tokenizer.eos_token_id
    for ids, labels, target in zip(
        batch["input_ids"], batch["labels"], [TARGETS[0], TARGETS[4]], strict=True
    ):
        wanted = labels[labels != -100].tolist()
        assert wanted == [*known.target(target, add_special_tokens=False)["input_ids"], end]
        first = int((labels != -100).nonzero()[0])
        assert ids[first] == end
        assert ids[first + 1 : first + 1 + len(wanted)].tolist() == wanted


@pytest.mark.parametrize("family", [*writers.FAMILIES, "mbart50"])
def test_what_is_too_long_is_cut_and_counted(family: str) -> None:
    short = replace(codec(family), max_length=12, max_target_length=6)
    encoded = APPLICATION.tokens.encode({"source": SOURCES, "target": TARGETS}, short, FACTS)
    whole = replace(short, max_length=999, max_target_length=999)
    uncut = APPLICATION.tokens.encode({"source": SOURCES, "target": TARGETS}, whole, FACTS)
    inputs, targets = APPLICATION.tokens.lengths(
        {"source": SOURCES, "target": TARGETS}, codec(family)
    )
    assert uncut.truncated == 0
    assert encoded.truncated == sum(a >= 12 or b >= 6 for a, b in zip(inputs, targets, strict=True))
    written = target_ids(short, TARGETS)
    assert max(map(len, written)) == 6
    end = short.target.eos_token_id
    assert all(end in ids[-2:] for ids in written)
    assert [len(ids) for ids in target_ids(whole, TARGETS)] == targets
    if family != "gpt2":
        assert [len(ids) for ids in uncut.columns["input_ids"]] == inputs
        assert max(map(len, encoded.columns["input_ids"])) == 12


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
    known, net = codec(family), model(family)
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
    end, padding = codec("gpt2").tokenizer.eos_token_id, codec("gpt2").pad_id
    assert (encoded["input_ids"][:, -1] == end).all()
    for ids, mask in zip(encoded["input_ids"], encoded["attention_mask"], strict=True):
        assert (ids[mask == 0] == padding).all()
        assert (mask.diff() >= 0).all()


def test_a_limit_of_new_tokens_holds() -> None:
    one = writer("bart", max_new_tokens=3)
    known = codec("bart").target
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


@pytest.mark.parametrize("family", ["mbart", "mbart50"])
def test_multilingual_tokenizers_mark_source_and_target(family: str) -> None:
    known = codec(family)
    english, chinese = known.tokenizer.convert_tokens_to_ids(["en_XX", "zh_CN"])
    batch = writers.batch(known, [0, 1])
    ends = slice(0, 1) if family == "mbart50" else slice(-1, None)
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        assert ids[ids != known.pad_id].tolist()[ends] == [english]
        assert labels[labels != -100].tolist()[ends] == [chinese]


def test_a_tokenizer_that_does_not_know_the_targets_is_refused(tmp_path: Path) -> None:
    ours = writers.codec("pair", tmp_path / "ours")
    english = tokenizers.train(SOURCES * 9, "wordpiece", 200, tmp_path / "english", writes=True)
    rows = {"source": SOURCES, "target": TARGETS}
    APPLICATION.tokens.encode(rows, ours, FACTS)
    with pytest.raises(ModelError, match=r"knows only \d+% of the tokens.*decoder\.vocab_size"):
        APPLICATION.tokens.encode(rows, replace(ours, target=english), FACTS)
