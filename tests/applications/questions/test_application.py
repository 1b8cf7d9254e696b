from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import Pipeline
from configs.training import Loss
from tasks import arrow
from tasks.applications.base import View
from tasks.applications.codec import Codec
from tasks.applications.facts import Census
from tasks.applications.questions import serving as decoder
from tasks.applications.questions.application import APPLICATION, sentences
from tasks.applications.questions.learning import QuestionFacts
from tasks.applications.questions.rows import canonical
from tasks.contract.rules.cells import violations
from tests.support import reading, tables
from tests.support.questions import FAMILIES, KINDS, TEXTS, questions, reader, stored, tokenizer

Row = dict[str, Any]
FACTS = QuestionFacts(
    inputs=("context", "question"),
    answered={},
    unanswered={},
    language="en",
    stride=8,
    max_answer_length=12,
    n_best=5,
    unanswerable=True,
)
LONG = " ".join(f"Rule {number} is about the colour of door {number}." for number in range(60))


def pipeline(**sections: Any) -> Pipeline:
    record = {"name": "shop", "application": "questions", "data": {"train": "rows.jsonl"}}
    return reading.pipeline(record | sections)


def codec(kind: str, max_length: int = 48, *, token_types: bool = False) -> Codec:
    return Codec(
        tokenizer(kind),
        tokenizer(kind),
        "question-answering",
        max_length,
        token_types=token_types,
    )


def table(rows: Row, coder: Codec, facts: QuestionFacts = FACTS) -> pa.Table:
    """Windows as the tokenization stage stores them."""
    encoded = APPLICATION.tokens.encode(rows, coder, facts)
    assert encoded.rows is not None
    columns = {**encoded.columns, "row": list(encoded.rows)}
    return pa.table(
        {
            name: pa.array(
                values, pa.list_(pa.int32()) if isinstance(values[0], list) else pa.int32()
            )
            for name, values in columns.items()
        }
    )


def collated(rows: Row, coder: Codec, facts: QuestionFacts = FACTS) -> dict[str, torch.Tensor]:
    return APPLICATION.tokens.collate(table(rows, coder, facts), coder)


# Windows.


@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_those_of_plain_transformers(kind: str) -> None:
    tokens, rows = tokenizer(kind), [*questions(), (LONG, "Which door?", "door 41")]
    asked, contexts = [row[1] for row in rows], [row[0] for row in rows]
    found = decoder.cut_windows(tokens, asked, contexts, 96, 16)
    plain = tokens(
        asked,
        contexts,
        truncation="only_second",
        max_length=96,
        stride=16,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    assert found.input_ids == plain["input_ids"]
    assert found.rows == plain["overflow_to_sample_mapping"]
    assert len(found.rows) > len(rows)
    assert found.questions_cut == 0
    for window, offsets in enumerate(plain["offset_mapping"]):
        parts = plain.encodings[window].sequence_ids
        for token, (start, end) in enumerate(offsets):
            text = contexts[found.rows[window]][start:end].strip() if parts[token] == 1 else ""
            place = found.starts[window][token], found.ends[window][token]
            shown = contexts[found.rows[window]][slice(*place)] if place[0] >= 0 else ""
            assert shown.startswith(text)
            assert len(shown) - len(text) <= 2  # marks that combine


@pytest.mark.parametrize("kind", KINDS)
def test_every_character_is_in_a_window_and_windows_overlap(kind: str) -> None:
    found = decoder.cut_windows(tokenizer(kind), ["Which door?"], [LONG], 40, 10)
    seen = {
        character
        for starts, ends in zip(found.starts, found.ends, strict=True)
        for start, end in zip(starts, ends, strict=True)
        for character in range(start, end)
        if start >= 0
    }
    assert seen == {at for at, character in enumerate(LONG) if not character.isspace()}
    inside = [[s for s in starts if s >= 0] for starts in found.starts]
    assert all(after[0] < before[-1] for before, after in pairwise(inside))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("max_length", "stride"), [(8, 128), (16, 128), (48, 0), (48, 47)])
def test_no_question_and_no_stride_leave_the_context_without_room(
    kind: str, max_length: int, stride: int
) -> None:
    asked = ["why " * 200, "Who?"]
    found = decoder.cut_windows(tokenizer(kind), asked, [LONG[:300]] * 2, max_length, stride)
    assert found.questions_cut == (1 if max_length > 8 else found.questions_cut)
    assert found.questions_cut
    assert set(found.rows) == {0, 1}
    assert max(map(len, found.input_ids)) <= max_length
    for starts in found.starts:
        assert sum(start >= 0 for start in starts) >= 1
    ends = [max(found.ends[w]) for w, row in enumerate(found.rows) if row == 0]
    assert ends[-1] == len(LONG[:300].rstrip())


def test_windows_do_not_depend_on_the_rows_beside_them() -> None:
    tokens = tokenizer("bytes")
    asked, contexts = ["why " * 40, "Who?", "Where?" * 5], [LONG, TEXTS[1], LONG[:200]]
    together = decoder.cut_windows(tokens, asked, contexts, 40, 30)
    for row in range(3):
        alone = decoder.cut_windows(tokens, [asked[row]], [contexts[row]], 40, 30)
        mine = [w for w, owner in enumerate(together.rows) if owner == row]
        assert alone.input_ids == [together.input_ids[w] for w in mine]
        assert alone.starts == [together.starts[w] for w in mine]


def test_the_null_position_is_the_class_token() -> None:
    assert decoder.cut_windows(tokenizer("wordpiece"), ["Who?"], ["Ann."], 32, 4).nulls == [0]
    assert decoder.cut_windows(tokenizer("unigram"), ["Who?"], ["Ann."], 32, 4).nulls == [0]


# Targets.


def read_back(rows: Row, encoded: Any) -> Iterator[tuple[int, int, int]]:
    """The row of each window that holds its answer, with the characters that it marks."""
    assert encoded.rows is not None
    columns = encoded.columns
    for window, row in enumerate(encoded.rows):
        start, end = columns["start"][window], columns["end"][window]
        if start != columns["null"][window]:
            yield row, columns["offset_start"][window][start], columns["offset_end"][window][end]


@pytest.mark.parametrize("kind", KINDS)
def test_targets_point_exactly_at_the_answers(kind: str) -> None:
    rows = stored(questions())
    encoded = APPLICATION.tokens.encode(rows, codec(kind, 64), FACTS)
    found = {row: rows["context"][row][start:end] for row, start, end in read_back(rows, encoded)}
    assert list(found) == list(range(len(questions())))
    exact = [found[row] == texts[0] for row, texts in enumerate(rows["answer_texts"])]
    assert all(texts[0] in found[row] for row, texts in enumerate(rows["answer_texts"]))
    # A token of this one may be "days." or a run of characters that it does not know.
    assert sum(exact) >= (4 if kind == "unigram" else len(exact))


CONTEXTS = st.one_of(
    st.sampled_from(TEXTS),
    st.lists(st.sampled_from([*TEXTS, " ", "\n"]), min_size=1, max_size=4).map("".join),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=60),
)


@settings(max_examples=300)
@given(
    kind=st.sampled_from(KINDS),
    context=CONTEXTS,
    span=st.tuples(st.integers(0, 200), st.integers(1, 40)),
    length=st.sampled_from([24, 40, 120]),
    stride=st.sampled_from([0, 5, 128]),
)
def test_marked_tokens_are_the_fewest_that_cover_an_answer(
    kind: str, context: str, span: tuple[int, int], length: int, stride: int
) -> None:
    begin = span[0] % len(context)
    answer = context[begin : begin + span[1]]
    if not answer.strip():
        return
    rows = {
        "context": [context],
        "question": ["Who?"],
        "answer_texts": [[answer]],
        "answer_starts": [[begin]],
    }
    encoded = APPLICATION.tokens.encode(rows, codec(kind, length), replace(FACTS, stride=stride))
    columns = encoded.columns
    bare = begin + len(answer) - len(answer.lstrip()), begin + len(answer.rstrip())
    for window in range(len(columns["start"])):
        start, end = columns["start"][window], columns["end"][window]
        if start == columns["null"][window]:
            assert end == start
            continue
        offsets = list(
            zip(columns["offset_start"][window], columns["offset_end"][window], strict=True)
        )
        inside = {t for t, (a, b) in enumerate(offsets) if a >= 0 and a < bare[1] and b > bare[0]}
        assert {start, end} <= inside
        assert inside <= set(range(start, end + 1))
    if length == 120 and len(columns["start"]) == 1:
        covered = {
            character
            for a, b in zip(columns["offset_start"][0], columns["offset_end"][0], strict=True)
            for character in range(a, b)
        }
        assert (encoded.truncated == 0) == bool(covered & set(range(*bare)))


def test_an_answer_longer_than_a_window_is_counted_and_marked_as_missing() -> None:
    rows = stored([(LONG, "Which rules?", LONG[100:900]), (TEXTS[0], "Where?", "Oslo")])
    encoded = APPLICATION.tokens.encode(rows, codec("wordpiece", 60), FACTS)
    assert encoded.truncated == 1
    assert encoded.counts == {
        "windows": len(encoded.columns["input_ids"]),
        "answers outside every window": 1,
        "questions cut": 0,
    }
    assert {row for row, _, _ in read_back(rows, encoded)} == {1}


def test_windows_without_the_answer_and_rows_without_one_point_at_null() -> None:
    rows = stored([(LONG, "Which door?", "door 41"), (LONG, "Which wall?", "Rule")], missing=(1,))
    encoded = APPLICATION.tokens.encode(rows, codec("wordpiece", 60), FACTS)
    assert encoded.truncated == 0
    columns = encoded.columns
    answered = [row for row, _, _ in read_back(rows, encoded)]
    assert 1 <= len(answered) <= 2
    assert set(answered) == {0}
    assert sum(start == 0 for start in columns["start"]) == len(columns["start"]) - len(answered)


def test_a_batch_has_what_training_needs() -> None:
    coder = codec("wordpiece", token_types=True)
    batch = collated(stored(questions()), coder)
    windows, length = batch["input_ids"].shape
    assert set(batch) == {
        "input_ids",
        "attention_mask",
        "token_type_ids",
        "offset_start",
        "offset_end",
        "start",
        "end",
        "null",
        "row",
    }
    assert batch["offset_end"].shape == (windows, length)
    assert batch["start"].shape == (windows,)
    assert not (batch["offset_start"][batch["attention_mask"] == 0] >= 0).any()


# Loss.


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_that_of_plain_transformers(family: str) -> None:
    tokens, model = reader(family)
    coder = Codec(tokens, tokens, "question-answering", 48, token_types=family == "bert")
    batch = collated(stored(questions(), missing=(3,)), coder)
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {name: batch[name] for name in names if name in batch}
    objective = APPLICATION.learning.objective(FACTS, Loss())
    with torch.no_grad():
        plain = model(**inputs, start_positions=batch["start"], end_positions=batch["end"])
        outputs = APPLICATION.learning.forward(model, batch)
        total, weight = objective.total(outputs, batch), objective.weight(batch)
    assert outputs.shape == (len(batch["row"]), 2, batch["input_ids"].shape[1])
    assert weight.item() == len(batch["row"])
    assert (total / weight).item() == pytest.approx(plain.loss.item(), abs=1e-5)


def test_focal_loss_weighs_down_what_is_easy() -> None:
    batch = {
        "input_ids": torch.zeros(2, 3, dtype=torch.long),
        "start": torch.tensor([0, 1]),
        "end": torch.tensor([0, 2]),
    }
    outputs = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    logs = outputs.log_softmax(-1)
    picked = torch.stack([logs[0, 0, 0], logs[0, 1, 0], logs[1, 0, 1], logs[1, 1, 2]])
    objective = APPLICATION.learning.objective(FACTS, Loss(name="focal", focal_gamma=1.5))
    expected = ((1 - picked.exp()) ** 1.5 * -picked).sum() / 2
    assert objective.total(outputs, batch).item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_model_that_knows_nothing_has_the_expected_loss() -> None:
    batch = collated(stored(questions()), codec("wordpiece"))
    objective = APPLICATION.learning.objective(FACTS, Loss())
    outputs = torch.zeros(len(batch["row"]), 2, batch["input_ids"].shape[1])
    mean = (objective.total(outputs, batch) / objective.weight(batch)).item()
    assert mean == pytest.approx(objective.expected_initial(outputs), abs=1e-5)


# Decoding.


def all_spans(logits: Any, starts: list[int], ends: list[int], longest: int) -> list[Any]:
    """Every span there is, by plain loops."""
    found = [
        decoder.Span(float(logits[0, i] + logits[1, j]), starts[i], ends[j])
        for i in range(len(starts))
        for j in range(i, min(i + longest, len(starts)))
        if starts[i] >= 0 and starts[j] >= 0
    ]
    return sorted(found, key=decoder.rank)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    inside=st.lists(st.booleans(), min_size=1, max_size=14),
    longest=st.integers(1, 20),
    n_best=st.integers(1, 30),
)
def test_spans_are_the_best_of_all(
    seed: int, inside: list[bool], longest: int, n_best: int
) -> None:
    logits = torch.randn(1, 2, len(inside), generator=torch.Generator().manual_seed(seed))
    starts = [3 * at if flag else -1 for at, flag in enumerate(inside)]
    ends = [3 * at + 2 if flag else -1 for at, flag in enumerate(inside)]
    (found,) = decoder.find_spans(
        logits, torch.tensor([starts]), torch.tensor([ends]), longest, n_best
    )
    assert found == all_spans(logits[0], starts, ends, longest)[:n_best]


CHOICE = {"n_best": 3, "unanswerable": True, "null_threshold": 0.0}
SPANS = [
    decoder.Span(5.0, 0, 3),
    decoder.Span(4.0, 4, 7),
    decoder.Span(4.5, 8, 11),
    decoder.Span(1.0, 4, 11),
]
CONTEXT = "one two one"


def test_the_score_is_a_softmax_over_different_texts_and_null() -> None:
    found = decoder.choose(SPANS, 2.0, CONTEXT, CHOICE)
    total = math.exp(5) + math.exp(4) + math.exp(1) + math.exp(2)
    assert found == {
        "answer": "one",
        "score": pytest.approx(math.exp(5) / total),
        "start": 0,
        "end": 3,
        "answered": True,
    }
    sure = decoder.choose(SPANS, 99.0, CONTEXT, CHOICE | {"unanswerable": False})
    assert sure["score"] == pytest.approx(math.exp(5) / (total - math.exp(2)))


@pytest.mark.parametrize(
    ("null", "threshold", "answered"),
    [(5.0, 0.0, True), (5.1, 0.0, False), (7.0, 2.0, True), (7.1, 2.0, False), (4.0, -2.0, False)],
)
def test_an_answer_is_unknown_beyond_the_threshold(
    null: float, threshold: float, answered: bool
) -> None:
    found = decoder.choose(SPANS, null, CONTEXT, CHOICE | {"null_threshold": threshold})
    assert found["answered"] is answered
    if not answered:
        assert (found["answer"], found["start"], found["end"]) == ("", -1, -1)
        assert 0 < found["score"] < 1


def test_a_context_without_a_word_has_no_answer() -> None:
    found = decoder.choose([], 1.0, "", CHOICE | {"unanswerable": False})
    assert found == {"answer": "", "score": 1.0, "start": -1, "end": -1, "answered": False}


# The served model.


@cache
def _folder(root: str, family: str) -> Path:
    folder = Path(root) / family
    tokens, model = reader(family)
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("readers"))


def served(root: str, family: str, **changes: Any) -> decoder.Model:
    settings = FACTS.record() | {
        "max_length": 48,
        "prefix": "",
        "token_types": family == "bert",
        "batch_size": 4,
    }
    folder = _folder(root, family)
    return decoder.Model(folder, settings | changes, torch.device("cpu"), dtype=torch.float32)


def asked() -> list[Row]:
    return [{"context": context, "question": question} for context, question, _ in questions()]


def same(found: list[Row], expected: list[Row]) -> bool:
    # Other shapes of batches take other kernels, whose sums differ in the last digits of fp32.
    mine, theirs = ([row["score"] for row in rows] for rows in (found, expected))
    scores = np.allclose(mine, theirs, rtol=1e-4)
    names = ("answer", "start", "end", "answered")
    return scores and all(
        one[name] == other[name]
        for one, other in zip(found, expected, strict=True)
        for name in names
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_do_not_depend_on_batch_size_order_and_padding(root: str, family: str) -> None:
    rows = [*asked(), {"context": LONG, "question": "Which door?"}]
    with torch.inference_mode():
        expected = served(root, family).answer(rows)
        assert same(served(root, family, batch_size=1).answer(rows), expected)
        assert same(served(root, family, batch_size=50).answer(rows[::-1])[::-1], expected)
        alone = [served(root, family).answer([row])[0] for row in rows]
    assert same(alone, expected)
    for row, answer in zip(rows, expected, strict=True):
        assert row["context"][max(answer["start"], 0) : max(answer["end"], 0)] == answer["answer"]
        assert answer["answered"] == bool(answer["answer"])
        assert 0 <= answer["score"] <= 1


def test_a_served_model_takes_what_users_send(root: str) -> None:
    rows = [
        {"context": "", "question": "Who?"},
        {"context": "   \n", "question": "Who?"},
        {"context": TEXTS[2], "question": ""},
        {"context": LONG, "question": "why " * 500},
        {"context": "\u0000\u200b", "question": "?"},
    ]
    with torch.inference_mode():
        found = served(root, "bert", unanswerable=False).answer(rows)
    assert [row["answered"] for row in found[:4]] == [False, False, True, True]
    inputs, outputs, example = decoder.describe({})
    assert set(found[0]) == set(outputs)
    assert set(inputs) == set(example) == {"context", "question"}


def mapped(folder: Path, rows: Row) -> arrow.MappedTable:
    stored_table = pa.table(rows)
    arrow.write(folder / "rows.arrow", stored_table.to_batches(), stored_table.schema)
    return arrow.MappedTable(folder / "rows.arrow")


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("unanswerable", [True, False])
def test_validation_measures_what_is_served(
    root: str, tmp_path: Path, family: str, unanswerable: bool
) -> None:
    tokens, model = reader(family)
    coder = Codec(tokens, tokens, "question-answering", 48, token_types=family == "bert")
    facts = replace(FACTS, unanswerable=unanswerable)
    rows = stored([*questions(), (LONG, "Which door?", "door 41")], missing=(3,) * unanswerable)
    windows = table(rows, coder, facts)
    view = View(coder, mapped(tmp_path, rows), facts)
    scorer = APPLICATION.scoring.scorer(facts)
    order = np.random.default_rng(0).permutation(windows.num_rows)
    for part in np.array_split(order, 4):
        batch = APPLICATION.tokens.collate(windows.take(part), coder)
        with torch.inference_mode():
            outputs = APPLICATION.learning.forward(model, batch)
            scorer.update(*APPLICATION.learning.infer(model, outputs, batch, view))
    learned = scorer.learned()
    assert set(learned) == ({"null_threshold"} if unanswerable else set())
    with torch.inference_mode():
        answers = served(root, family, unanswerable=unanswerable, **learned).answer(
            [
                {"context": context, "question": question}
                for context, question in zip(rows["context"], rows["question"], strict=True)
            ]
        )
    expected = APPLICATION.scoring.scorer(facts)
    expected.update(
        {"answer_texts": rows["answer_texts"]}, APPLICATION.scoring.served(pd.DataFrame(answers))
    )
    assert scorer.metrics() == pytest.approx(expected.metrics())


# Rows.


FLAT = {"text": ["Oslo", "in Oslo"], "answer_start": [4, 1]}
LISTED = [{"text": "Oslo", "answer_start": 4}, {"text": "in Oslo", "answer_start": 1, "id": 3}]
NONE: Row = {"text": [], "answer_start": []}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (FLAT, FLAT),
        (FLAT | {"answer_end": [8, 8]}, FLAT),
        (LISTED, FLAT),
        (FLAT | {"answer_start": [4.0, 1.0]}, FLAT),
        (json.dumps(FLAT), FLAT),
        (json.dumps(LISTED), FLAT),
        ([], NONE),
        ("[]", NONE),
        (NONE, NONE),
    ],
)
def test_answers_come_in_any_of_the_known_layouts(raw: object, expected: Row) -> None:
    assert canonical(raw) == expected


def frame(answers: list[object], context: str = "It is in Oslo.") -> pd.DataFrame:
    size = len(answers)
    columns: Mapping[str, list[Any]] = {
        "context": [context] * size,
        "question": ["Where?"] * size,
        "answers": answers,
    }
    made = pd.DataFrame({name: pd.Series(list(v), dtype=object) for name, v in columns.items()})
    made.index = pd.Index(range(10, 10 + size))
    APPLICATION.rows.normalize(made, pipeline().data, None)
    return made


MALFORMED: list[object] = [
    None,
    "",
    "Oslo",
    "{'text': ['Oslo'], 'answer_start': [9]}",
    3,
    {"text": "Oslo", "answer_start": 9},
    {"text": ["Oslo"]},
    {"text": ["Oslo"], "answer_start": []},
    {"text": [1], "answer_start": [9]},
    {"text": ["Oslo"], "answer_start": ["9"]},
    {"text": ["Oslo"], "answer_start": [True]},
    {"text": ["Oslo"], "answer_start": [9.5]},
    {"text": ["Oslo"], "answer_start": [float("inf")]},
    [{"text": "Oslo"}],
    ["Oslo"],
    "[" * 5000,
    float("nan"),
]


def test_malformed_answers_are_found_one_by_one() -> None:
    good: list[object] = [{"text": ["Oslo"], "answer_start": [9]}, NONE]
    rows = frame([*MALFORMED, *good])
    found = violations(rows, APPLICATION.rules.schema(pipeline()))
    shape = "answers: expected `text`, a list of texts, and `answer_start`, as many whole numbers"
    wrong = {10 + row: [("wrong_type", shape)] for row in range(len(MALFORMED))}
    missing = [("missing", "answers: the value is missing")]
    assert found == wrong | {10: missing, 9 + len(MALFORMED): missing}


def test_offsets_that_do_not_point_at_the_answer_are_found() -> None:
    rows = frame(
        [
            {"text": ["Oslo"], "answer_start": [9]},
            {"text": ["Oslo", "Oslo"], "answer_start": [9, 8]},
            {"text": ["Bergen"], "answer_start": [9]},
            {"text": ["Oslo"], "answer_start": [-5]},
            {"text": ["is"], "answer_start": [10**12]},
            {"text": ["  "], "answer_start": [2]},
            NONE,
        ]
    )
    off = "does not point at the answer"
    assert APPLICATION.rules.findings(rows, pipeline()) == {
        row: [(rule, words)]
        for row, rule, words in (
            (11, "answer_offset", f"answer 2: offset 8 {off}; it occurs at 9"),
            (12, "answer_offset", f"answer 1: offset 9 {off}; it does not occur in the context"),
            (13, "answer_offset", f"answer 1: offset -5 {off}; it occurs at 9"),
            (14, "answer_offset", f"answer 1: offset 1000000000000 {off}; it occurs at 3"),
            (15, "answer_offset", "answer 1: the text is empty"),
            (16, "answer_missing", "no answer, and answering.unanswerable is false"),
        )
    }


def test_the_nearest_occurrence_is_named() -> None:
    rows = frame([{"text": ["aa"], "answer_start": [6]}], "aaa - - aa aa")
    assert APPLICATION.rules.findings(rows, pipeline()) == {
        10: [("answer_offset", "answer 1: offset 6 does not point at the answer; it occurs at 8")]
    }


def test_a_row_without_an_answer_may_be_declared() -> None:
    config = pipeline(answering={"unanswerable": True})
    assert APPLICATION.rules.findings(frame([NONE]), config) == {}


def test_training_needs_an_answer() -> None:
    rows = frame([NONE, {"text": ["Oslo"], "answer_start": [9]}])
    keys = APPLICATION.rows.target_keys(rows).to_list()
    assert keys == [False, True]
    without = Census(("context", "question"), {"train": {False: 2}, "test": {True: 1}})
    assert APPLICATION.rules.dataset_problems(without, FACTS, 1) == [
        "no training row has an answer"
    ]
    counted = Census(("context", "question"), {"train": Counter(keys)})
    assert APPLICATION.rules.dataset_problems(counted, FACTS, 1) == []


def test_stored_columns_keep_their_types_without_an_answer() -> None:
    made = pa.table(APPLICATION.rows.store(frame([NONE, NONE]), FACTS))
    assert made.schema.field("answer_texts").type == pa.list_(pa.string())
    assert made.schema.field("answer_starts").type == pa.list_(pa.int32())
    full = pa.table(APPLICATION.rows.store(frame([FLAT]), FACTS))
    assert full.to_pylist() == [
        {
            "context": "It is in Oslo.",
            "question": "Where?",
            "answer_texts": ["Oslo", "in Oslo"],
            "answer_starts": [4, 1],
        }
    ]


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"training": {"loss": {"class_weights": "balanced"}}}, "training.loss.class_weights"),
        ({"training": {"loss": {"label_smoothing": 0.1}}}, "training.loss.label_smoothing"),
        ({"data": {"train": "a.csv", "labels": ["a", "b"]}}, "data.labels"),
        ({"data": {"train": "a.csv", "labelling": "multiple"}}, "data.labelling"),
        ({"evaluation": {"primary_metric": "has_answer_f1"}}, "evaluation.primary_metric"),
    ],
)
def test_settings_without_a_meaning_are_refused(sections: Row, where: str) -> None:
    assert [place for place, _ in APPLICATION.rules.check(pipeline(**sections))] == [where]


def test_sensible_settings_are_accepted() -> None:
    config = pipeline(
        answering={"unanswerable": True},
        evaluation={"primary_metric": "no_answer_accuracy"},
        training={"loss": {"name": "focal"}},
    )
    assert list(APPLICATION.rules.check(config)) == []
    assert APPLICATION.learning.configure(FACTS, config) == replace(
        FACTS, language="en", stride=128, max_answer_length=30, n_best=20, unanswerable=True
    )


# The trivial method.


def test_the_baseline_is_the_sentence_that_shares_most_words() -> None:
    rows = pd.DataFrame(
        {
            "context": [TEXTS[0], TEXTS[0], "退货须在三十天内办理。商店位于上海，九点开门！", "."],
            "question": ["Where is the shop in Oslo?", "xyz", "商店几点开门？", "Who?"],
        }
    )
    found = APPLICATION.baseline.predict(rows, FACTS)
    assert found["answer"] == [
        "The shop in Oslo opens at nine o'clock.",
        "Parcels may be sent back within thirty days.",
        "商店位于上海，九点开门！",
        ".",
    ]
    assert found["answered"] == [True] * 4


def test_sentences_end_where_they_end() -> None:
    text = "It cost $3.50. Really?  Yes!\nA title\n你好。再见！"
    assert sentences(text) == ["It cost $3.50.", "Really?", "Yes!", "A title", "你好。", "再见！"]


# Through the validation stage.


def shop_rows(count: int = 20) -> list[Row]:
    """Different questions about different contexts, each with an answer."""
    return [
        {
            "context": f"Shop {number} is in Oslo, street {number}.",
            "question": f"Where is shop {number}?",
            "answers": {"text": ["Oslo"], "answer_start": [len(f"Shop {number} is in ")]},
        }
        for number in range(count)
    ]


def written(folder: Path, name: str, rows: list[Row]) -> Path:
    if name == "squad.json":
        qas = [{"question": row["question"], "answers": listed(row["answers"])} for row in rows]
        paragraphs = [
            {"context": row["context"], "qas": [asked]}
            for row, asked in zip(rows, qas, strict=True)
        ]
        document = {"version": "1.1", "data": [{"title": "Shops", "paragraphs": paragraphs}]}
        path = folder / name
        path.write_text(json.dumps(document), encoding="utf-8")
        return path
    if ".csv" in name:
        rows = [row | {"answers": json.dumps(row["answers"])} for row in rows]
    return tables.write_table(folder / name, rows)


def listed(answers: Row) -> list[Row]:
    pairs = zip(answers["text"], answers["answer_start"], strict=True)
    return [{"text": text, "answer_start": start} for text, start in pairs]


def validated(folder: Path, name: str, rows: list[Row], **sections: Any) -> Any:
    written(folder, name, rows)
    config = tables.pipeline(folder, {"train": name}, application="questions", **sections)
    return tables.run(config)


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.csv", "a.csv.gz", "a.parquet", "a.json", "squad.json"]
)
def test_every_format_is_read(tmp_path: Path, name: str) -> None:
    made = validated(tmp_path, name, shop_rows())
    stored_rows = [
        row
        for split in ("train", "validation", "test")
        for row in arrow.MappedTable(made.stored.path / f"{split}.arrow").slice(0, 99).to_pylist()
    ]
    assert made.quarantined == 0
    assert len(stored_rows) == 20
    for row in stored_rows:
        (start,) = row["answer_starts"]
        assert row["context"][start : start + 4] == row["answer_texts"][0] == "Oslo"


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "squad.json"])
def test_bad_answers_are_set_aside_with_what_was_found(tmp_path: Path, name: str) -> None:
    rows = shop_rows()
    rows[3]["answers"]["answer_start"] = [0]
    rows[5]["answers"] = {"text": [], "answer_start": []}
    rows[7]["answers"]["text"] = ["Bergen"]
    made = validated(tmp_path, name, rows)
    assert tables.reasons(made) == {
        4: ["answer 1: offset 0 does not point at the answer; it occurs at 13"],
        6: ["no answer, and answering.unanswerable is false"],
        8: ["answer 1: offset 13 does not point at the answer; it does not occur in the context"],
    }


def test_answers_in_another_form_are_set_aside(tmp_path: Path) -> None:
    rows = shop_rows()
    rows[2]["answers"] = "Oslo"
    rows[4]["answers"] = {"text": ["Oslo"]}
    rows[6]["answers"] = None
    made = validated(tmp_path, "a.jsonl", rows)
    form = "answers: expected `text`, a list of texts, and `answer_start`, as many whole numbers"
    assert tables.reasons(made) == {3: [form], 5: [form], 7: ["answers: the value is missing"]}


def test_rows_without_an_answer_stay_where_they_are_declared(tmp_path: Path) -> None:
    rows = shop_rows()
    for row in rows[::2]:
        row["answers"] = {"text": [], "answer_start": []}
    made = validated(tmp_path, "a.parquet", rows, answering={"unanswerable": True})
    assert made.quarantined == 0


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({True: 9, False: 3}, []),
        ({True: 9}, ["no row of the test split is without an answer"]),
        ({False: 3}, ["no row of the test split is with an answer"]),
    ],
)
def test_a_headline_about_some_rows_needs_such_rows(
    counts: dict[bool, int], words: list[str]
) -> None:
    declared = pipeline(
        answering={"unanswerable": True}, evaluation={"primary_metric": "no_answer_accuracy"}
    )
    both = {True: 9, False: 3}
    census = Census(("question",), {"train": both, "validation": both, "test": counts})
    facts = APPLICATION.learning.learn(census, declared.data)
    found = list(APPLICATION.rules.check_facts(declared, facts))
    assert [where for where, _ in found] == ["evaluation.primary_metric"] * len(words)
    assert all(said in reason for said, (_, reason) in zip(words, found, strict=True))
    plain = pipeline(answering={"unanswerable": True})
    assert list(APPLICATION.rules.check_facts(plain, facts)) == []
