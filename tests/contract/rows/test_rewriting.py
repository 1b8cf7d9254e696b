"""Repair and redaction of the rows of a chunk, and of what points into their texts."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tasks.applications import registry as applications
from tasks.contract.rows import rewriting
from tasks.contract.rows.rewriting import Changes, Rewriter
from tasks.contract.rules import characters
from tests.support import reading

Row = dict[str, Any]
ALLOWED = dict.fromkeys(
    ("email", "phone", "card", "iban", "national_id", "ip_address", "secret"), "allow"
)
MAIL = "jane@example.com"
OTHER = "bob@example.org"


def rewritten(
    rows: Sequence[Row],
    application: str = "topics",
    *,
    data: Mapping[str, Any] | None = None,
    **contract: Any,
) -> tuple[list[Row], Changes]:
    """Rows after rewriting, and what was done to each, by position."""
    section = {"train": "rows.jsonl", **(data or {})}
    record = {"name": "shop", "application": application, "data": section, "contract": contract}
    languages = {"language": {"target": "de"}} if application == "translation" else {}
    config = reading.pipeline(record | languages)
    # An index that is no position, as after rows have left.
    columns = {
        name: pd.Series([copy.deepcopy(row[name]) for row in rows], dtype=object)
        for name in rows[0]
    }
    frame = pd.DataFrame(columns).set_index(pd.Index(range(7, 7 + 2 * len(rows), 2)))
    changed = Rewriter(config, applications.get(application)).apply(frame)
    done = {(index - 7) // 2: what for index, what in changed.items()}
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")], done


def one(row: Row, application: str = "topics", **options: Any) -> tuple[Row, set[str]]:
    """One row after rewriting, and what was done to it."""
    (found,), changed = rewritten([row], application, **options)
    return found, changed.get(0, set())


def question(context: str, *answers: str, asked: str = "Who?") -> Row:
    starts = [context.index(answer) for answer in answers]
    return {
        "context": context,
        "question": asked,
        "answers": {"text": list(answers), "answer_start": starts},
    }


def points(row: Row) -> bool:
    """Whether every answer is where its offset says."""
    answers = zip(*row["answers"].values(), strict=True)
    return all(
        text and start >= 0 and row["context"].startswith(text, start) for text, start in answers
    )


def test_private_data_is_replaced_in_the_rows_that_have_some() -> None:
    rows = [
        {"text": "nothing here", "label": "a"},
        {"text": f"write to {MAIL} from 203.0.113.45", "label": "b"},
        {"text": "café", "label": "a"},
    ]
    found, changed = rewritten(rows)
    assert found == [
        rows[0],
        {"text": "write to [EMAIL_1] from [IP_ADDRESS_1]", "label": "b"},
        rows[2],
    ]
    assert changed == {1: {"email", "ip_address"}}


def test_numbers_of_placeholders_start_anew_in_each_row() -> None:
    rows = [{"text": f"{MAIL} or {OTHER} or {MAIL}", "label": "a"}, {"text": OTHER, "label": "b"}]
    found, _ = rewritten(rows)
    assert [row["text"] for row in found] == ["[EMAIL_1] or [EMAIL_2] or [EMAIL_1]", "[EMAIL_1]"]


def test_what_is_allowed_stays() -> None:
    row = {"text": f"write to {MAIL}", "label": MAIL}
    assert one(row, privacy=ALLOWED) == (row, set())


def test_what_is_refused_is_replaced_too() -> None:
    found, done = one({"text": f"write to {MAIL}", "label": "a"}, privacy={"email": "refuse"})
    assert (found["text"], done) == ("write to [EMAIL_1]", {"email"})


def test_national_ids_need_a_country() -> None:
    row = {"text": "my SSN is 123-45-6789", "label": "a"}
    assert one(row)[1] == set()
    found, done = one(row, privacy={"countries": ["us"]})
    assert (found["text"], done) == ("my SSN is [NATIONAL_ID_1]", {"national_id"})


@pytest.mark.parametrize(
    ("data", "row"),
    [({}, {"label": f"ask {MAIL}"}), ({"labelling": "multiple"}, {"labels": ["urgent", MAIL]})],
)
def test_a_private_label_is_found_and_stays(data: dict[str, Any], row: Row) -> None:
    record = {"name": "shop", "application": "topics", "data": {"train": "rows.jsonl"} | data}
    rewriter = Rewriter(reading.pipeline(record), applications.get("topics"))
    frame = pd.DataFrame([{"text": "a text"} | row, {"text": "another"} | dict.fromkeys(row, "x")])
    before = frame.copy()
    assert rewriter.apply(frame) == {}
    assert frame.equals(before)
    name = next(iter(row))
    words = f"{name}: private data: email"
    assert rewriter.private_targets(frame) == {0: [("private_label", words)]}


@pytest.mark.parametrize("value", [None, 3, 1.5, ["x", None], {"x": 1}])
def test_other_values_are_left_alone(value: object) -> None:
    rows = [{"text": None, "label": value}, {"text": 4, "label": value}]
    assert rewritten(rows, repair=True) == (rows, {})


def test_a_value_has_one_placeholder_in_all_texts_of_a_row() -> None:
    row = {"source": f"{OTHER} wrote to {MAIL}", "target": f"An {MAIL} schrieb {OTHER}"}
    found, done = one(row, "translation")
    assert found == {
        "source": "[EMAIL_1] wrote to [EMAIL_2]",
        "target": "An [EMAIL_2] schrieb [EMAIL_1]",
    }
    assert done == {"email"}


def test_what_a_later_text_shows_to_be_private_is_replaced_in_earlier_ones() -> None:
    row = {"source": "It is 030 23125017.", "target": "Telefon: 030 23125017"}
    found, done = one(row, "translation", privacy={"countries": ["de"]})
    assert found == {"source": "It is [PHONE_1].", "target": "Telefon: [PHONE_1]"}
    assert done == {"phone"}


def test_an_answer_moves_with_its_context() -> None:
    row = question(f"Ask {MAIL}, or ask Jane in Oslo.", "Jane", "Oslo", asked=f"Who is {MAIL}?")
    found, done = one(row, "questions")
    assert found == question(
        "Ask [EMAIL_1], or ask Jane in Oslo.", "Jane", "Oslo", asked="Who is [EMAIL_1]?"
    )
    assert done == {"email"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (MAIL, "[EMAIL_1]"),
        ("jane@example", "[EMAIL_1]"),
        ("example.com or", "[EMAIL_1] or"),
        (f"Ask {MAIL}", "Ask [EMAIL_1]"),
        ("Ask jane", "Ask [EMAIL_1]"),
        (f"{MAIL} or {OTHER}", "[EMAIL_1] or [EMAIL_2]"),
    ],
)
def test_an_answer_that_is_private_becomes_whole_placeholders(answer: str, expected: str) -> None:
    found, _ = one(question(f"Ask {MAIL} or {OTHER} now.", answer), "questions")
    assert found["answers"]["text"] == [expected]
    assert points(found)


def test_answers_stay_if_only_the_question_is_rewritten() -> None:
    row = question("Jane lives in Oslo.", "Jane", asked=f"Who is {MAIL}?")
    found, _ = one(row, "questions")
    assert found == row | {"question": "Who is [EMAIL_1]?"}


def test_a_row_without_an_answer_is_rewritten() -> None:
    found, _ = one(question(f"Ask {MAIL}."), "questions")
    assert found == question("Ask [EMAIL_1].")


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Bergen"], "answer_start": [4]},
        {"text": ["Oslo"], "answer_start": [30]},
        {"text": ["Ask"], "answer_start": [-3]},
        {"text": ["Oslo"], "answer_start": [10**12]},
    ],
    ids=["another text", "another place", "before the text", "after the text"],
)
@pytest.mark.parametrize("context", [f"Ask {MAIL} about Oslo.", "Ask Ã© about &amp; in Oslo."])
def test_an_answer_that_pointed_elsewhere_is_not_made_right(
    context: str, answers: dict[str, Any]
) -> None:
    row = {"context": context, "question": "Who?", "answers": answers}
    assert not points(row)
    found, done = one(row, "questions", repair=True)
    assert done
    assert not points(found)


def test_answers_that_cannot_be_read_are_left_alone() -> None:
    row = {"context": f"Ask {MAIL}.", "question": "Who?", "answers": "Jane"}
    assert one(row, "questions")[0] == row | {"context": "Ask [EMAIL_1]."}


@given(
    parts=st.lists(
        st.sampled_from([MAIL, OTHER, "203.0.113.45", " or ", "Oslo", "é🙂", "\n", ", "]),
        min_size=1,
        max_size=10,
    ),
    edges=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_an_answer_is_where_it_points_wherever_it_was(
    parts: list[str], edges: tuple[int, int]
) -> None:
    context = " ".join(parts)
    start, end = sorted(edge % (len(context) + 1) for edge in edges)
    assume(start < end)
    answers = {"text": [context[start:end]], "answer_start": [start]}
    row = {"context": context, "question": "Who?", "answers": answers}
    found, _ = one(row, "questions")
    assert points(found)
    assert MAIL not in str(found)
    private = any(value in context[start:end] for value in (MAIL, OTHER, "203.0.113.45"))
    assert not private or "_1]" in found["answers"]["text"][0] or "_2]" in str(found["answers"])


DAMAGED = "cafÃ© &amp; bar\x07"


def test_nothing_is_repaired_unless_it_is_declared() -> None:
    row = {"text": DAMAGED, "label": "a"}
    assert one(row) == (row, set())


def test_damaged_texts_are_mended() -> None:
    rows = [{"text": DAMAGED, "label": "a"}, {"text": "sound — “text”", "label": DAMAGED}]
    found, changed = rewritten(rows, repair=True)
    assert found == [{"text": "café & bar", "label": "a"}, rows[1]]
    assert changed == {0: {"repair"}}


def test_every_text_of_a_row_is_mended() -> None:
    found, done = one({"source": DAMAGED, "target": "schÃ¶n"}, "translation", repair=True)
    assert found == {"source": "café & bar", "target": "schön"}
    assert done == {"repair"}


def test_what_repair_uncovers_is_redacted() -> None:
    row = {"text": "write to jane&#64;example.com", "label": "a"}
    found, done = one(row, repair=True)
    assert (found["text"], done) == ("write to [EMAIL_1]", {"repair", "email"})


def test_an_answer_moves_with_a_mended_context() -> None:
    row = question("Das CafÃ© in MÃ¼nchen &amp; Oslo.", "CafÃ©", "MÃ¼nchen", "Oslo")
    found, done = one(row, "questions", repair=True)
    assert found == question("Das Café in München & Oslo.", "Café", "München", "Oslo")
    assert done == {"repair"}


def test_an_answer_moves_twice() -> None:
    row = question(f"Das CafÃ© von {MAIL} in MÃ¼nchen.", "CafÃ©", MAIL, "MÃ¼nchen")
    found, done = one(row, "questions", repair=True)
    assert found == question("Das Café von [EMAIL_1] in München.", "Café", "[EMAIL_1]", "München")
    assert done == {"repair", "email"}


WORDS = [
    *("Das ", "cafÃ© ", "&amp; ", "#39;s ", "\x00", "é ", "ü ", "– ", "naÃ¯ve ", "\n"),
    *("Â ", "Ã ", "Â\xa0", "Ã\xa0", "Â£", "â€™s "),
]


@given(
    before=st.lists(st.sampled_from(WORDS), max_size=6).map("".join),
    after=st.lists(st.sampled_from(WORDS), max_size=4).map("".join),
)
@example("Â£ü ", "Â£")
@example("é Â ", "Ã  Ã ")
def test_a_sound_answer_in_a_damaged_context_is_the_same_or_refused(
    before: str, after: str
) -> None:
    context = f"{before}Bergen {after}"
    assume("Bergen " in characters.repair(context))
    found, _ = one(question(context, "Bergen"), "questions", repair=True)
    assert found["answers"]["text"] == ["Bergen"] or not points(found)


def test_the_tally_counts_each_row_once() -> None:
    changed = {1: {"repair", "email", "phone"}, 2: {"email"}, 5: {"repair"}, 6: {"card", "iban"}}
    assert rewriting.count(changed) == {"repaired": 2, "redacted": 3}


def test_rows_of_private_groups_and_ids_are_found() -> None:
    config = reading.pipeline(
        {
            "name": "shop",
            "application": "topics",
            "data": {"train": "a.csv", "group_column": "customer"},
        }
    )
    rewriter = Rewriter(config, applications.get("topics"))
    groups = ["c1", MAIL, None, 7]
    frame = pd.DataFrame({"text": ["x"] * 4, "group": pd.Series(groups, dtype=object)})
    assert rewriter.private_keys(frame) == {1}
    assert rewriter.private_keys(frame.rename(columns={"group": "id"})) == {1}
    assert rewriter.private_keys(frame[["text"]]) == set()


def test_no_rows_are_no_problem() -> None:
    config = reading.pipeline(
        {
            "name": "shop",
            "application": "topics",
            "data": {"train": "rows.jsonl"},
            "contract": {"repair": True},
        }
    )
    empty = pd.DataFrame({"text": [], "label": []}, dtype=object)
    assert Rewriter(config, applications.get("topics")).apply(empty) == {}
