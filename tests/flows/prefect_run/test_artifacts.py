"""Text from data in the Markdown of artifacts."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from flows.prefect_run.artifacts import markdown_table, plain
from tasks.report.page import visible

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \n\t"
TEXTS = st.text(st.sampled_from(PUNCTUATION + "a1"), max_size=12) | st.text(max_size=12)


def shown(tokens: list[Token]) -> str:
    """The text of inline tokens; any markup among them fails."""
    inline = [one for token in tokens for one in token.children or ()]
    assert {one.type for one in inline} <= {"text", "text_special"}
    return "".join(one.content for one in inline)


def one_line(text: str) -> str:
    """A text as a page shows it."""
    return " ".join(visible(text).split())


@given(TEXTS)
@example("1. one")
@example("+ one")
@example("[spam](http://a.b)")
@example("~~old~~ <b>bold</b> &amp; `code`")
def test_a_text_is_shown_as_it_is(text: str) -> None:
    tokens = READER.parse(f"- {plain(text)}")
    kinds = {token.type for token in tokens}
    assert not kinds & {"heading_open", "ordered_list_open", "fence", "hr", "table_open"}
    assert shown(tokens) == one_line(text)
    assert sum(token.type == "bullet_list_open" for token in tokens) == 1


@given(TEXTS, TEXTS)
@example("a | b", "\\|")
def test_a_cell_of_a_table_is_shown_as_it_is(first: str, second: str) -> None:
    tokens = READER.parse(markdown_table(["one", "two"], [[first, second]]))
    cells = [token for token in tokens if token.type == "inline"][2:]
    assert [shown([cell]) for cell in cells] == [one_line(first), one_line(second)]


@pytest.mark.parametrize("address", ["http://a.b/c", "www.a.b", "a@b.cc"])
def test_an_address_is_no_link(address: str) -> None:
    assert not any(part in plain(address) for part in ("://", "www.", "a@b"))
