"""README.zh-CN.md says what README.md says."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.markdown import FENCE, INLINE, LINK, ROOT, prose

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
SECTION = re.compile(r"^(#+) (.+)$", re.MULTILINE)
HAN = re.compile("[\u4e00-\u9fff]")


def sections(document: Path) -> list[tuple[str, str]]:
    """The level and the text of each section; blocks of code are marked and taken out."""
    text = FENCE.sub("```\n", document.read_text(encoding="utf-8"))
    _, *parts = SECTION.split(text)
    return list(zip(parts[::3], parts[2::3], strict=True))


def titles(document: Path) -> list[str]:
    return [title for _, title in SECTION.findall(prose(document))]


def test_both_have_the_same_blocks_in_the_same_order() -> None:
    english, chinese = (
        [found[0] for found in FENCE.finditer(path.read_text(encoding="utf-8"))]
        for path in (ENGLISH, CHINESE)
    )
    assert english == chinese


def test_both_have_the_same_headings_by_level() -> None:
    levels = [[level for level, _ in sections(path)] for path in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1], list(zip(titles(ENGLISH), titles(CHINESE), strict=False))


@pytest.mark.parametrize("number", range(len(sections(ENGLISH))))
def test_a_section_has_the_same_parts_in_both(number: int) -> None:
    (_, english), (_, chinese) = (sections(path)[number] for path in (ENGLISH, CHINESE))
    title = titles(ENGLISH)[number]
    for what in (INLINE, re.compile(r"```"), re.compile(r"^- ", re.MULTILINE)):
        assert Counter(what.findall(english)) == Counter(what.findall(chinese)), title
    assert len(LINK.findall(english)) == len(LINK.findall(chinese)), title
    rows = [
        [line.count("|") for line in text.splitlines() if line[:1] == "|"]
        for text in (english, chinese)
    ]
    assert rows[0] == rows[1], title
    assert HAN.search(chinese), title


def test_each_names_the_other_at_the_top() -> None:
    assert "(README.zh-CN.md)" in ENGLISH.read_text(encoding="utf-8")[:200]
    assert "(README.md)" in CHINESE.read_text(encoding="utf-8")[:200]
