"""A config filled in with its defaults is a file that says the same."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from configs.starters import filled

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t\x85\u2028"))


@given(st.lists(TEXTS))
@example(["yes", "1:30", "[x]", "#a", "a: b", "*a", "!t", "~", "a\nb", "\x85", "\u2029", "\ufeff"])
def test_every_text_is_read_as_it_was_written(labels: list[str]) -> None:
    written = filled({"labels": labels})
    assert YAML(typ="safe", pure=True).load(written) == {"labels": labels}
