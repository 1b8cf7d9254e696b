"""The tokens of models that write text; their loss is that of plain Transformers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import log_softmax

from configs.training import Loss
from tasks.applications.codec import Codec
from tasks.applications.shared.generation.parts import target_ids
from tasks.applications.translation.application import APPLICATION
from tests.support import writers
from tests.support.writers import FACTS, SOURCES, TARGETS, known_codec, known_model


def our_loss(family: str, loss: Loss, rows: list[int]) -> float:
    """The loss of a step of one batch."""
    batch = writers.batch(known_codec(family), rows)
    objective = APPLICATION.learning.objective(FACTS, loss)
    with torch.no_grad():
        outputs = APPLICATION.learning.forward(known_model(family), batch)
    return float(objective.total(outputs, batch) / objective.weight(batch))


def plain_batch(family: str, rows: list[int]) -> dict[str, torch.Tensor]:
    """What plain code would feed the model: padded by the tokenizer, labels as documented."""
    known = known_codec(family)
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
        plain = known_model(family)(**plain_batch(family, rows)).loss.item()
    assert plain > 1
    assert our_loss(family, Loss(), rows) == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("family", writers.FAMILIES)
def test_loss_of_a_batch_is_the_sum_over_its_rows(family: str) -> None:
    whole = our_loss(family, Loss(), [0, 1, 2, 3, 4])
    objective = APPLICATION.learning.objective(FACTS, Loss())
    weights = [
        float(objective.weight(writers.batch(known_codec(family), [row])))
        for row in range(len(SOURCES))
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
    batch = writers.batch(known_codec(family), [0, 1, 4])
    with torch.no_grad():
        logits = APPLICATION.learning.forward(known_model(family), batch).double()
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
    batch = writers.batch(known_codec("t5"), [0, 1])
    size = len(known_codec("t5").tokenizer)
    objective = APPLICATION.learning.objective(FACTS, Loss())
    total = objective.total(torch.zeros(*batch["labels"].shape, size), batch)
    assert float(total / objective.weight(batch)) == pytest.approx(math.log(size))
    assert objective.expected_initial(torch.zeros(1, size)) == pytest.approx(math.log(size))


def test_a_causal_model_learns_the_target_only() -> None:
    known = known_codec("gpt2")
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
    short = replace(known_codec(family), max_length=12, max_target_length=6)
    encoded = APPLICATION.tokens.encode({"source": SOURCES, "target": TARGETS}, short, FACTS)
    whole = replace(short, max_length=999, max_target_length=999)
    uncut = APPLICATION.tokens.encode({"source": SOURCES, "target": TARGETS}, whole, FACTS)
    inputs, targets = APPLICATION.tokens.lengths(
        {"source": SOURCES, "target": TARGETS}, known_codec(family)
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


@pytest.mark.parametrize("family", ["mbart", "mbart50"])
def test_multilingual_tokenizers_mark_source_and_target(family: str) -> None:
    known = known_codec(family)
    english, chinese = known.tokenizer.convert_tokens_to_ids(["en_XX", "zh_CN"])
    batch = writers.batch(known, [0, 1])
    ends = slice(0, 1) if family == "mbart50" else slice(-1, None)
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        assert ids[ids != known.pad_id].tolist()[ends] == [english]
        assert labels[labels != -100].tolist()[ends] == [chinese]
