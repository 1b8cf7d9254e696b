"""README.zh-CN.md shows the commands of README.md."""

from __future__ import annotations

import re

from tests.docs.followed import lines
from tests.docs.markdown import INLINE, ROOT, prose

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
SECTION = re.compile(r"^#+ ", re.MULTILINE)
HAN = re.compile("[\u4e00-\u9fff]")


def test_both_show_the_same_command_lines() -> None:
    assert lines([ENGLISH]) == lines([CHINESE])


def test_both_name_the_same_commands() -> None:
    english, chinese = (
        [text for text in INLINE.findall(prose(path)) if text.startswith(("onestep", "make "))]
        for path in (ENGLISH, CHINESE)
    )
    assert sorted(english) == sorted(chinese)


def test_every_section_is_translated() -> None:
    english, chinese = (SECTION.split(prose(path))[1:] for path in (ENGLISH, CHINESE))
    assert len(english) == len(chinese)
    assert [section for section in chinese if not HAN.search(section)] == []


def test_each_names_the_other_at_the_top() -> None:
    assert "(README.zh-CN.md)" in ENGLISH.read_text(encoding="utf-8")[:200]
    assert "(README.md)" in CHINESE.read_text(encoding="utf-8")[:200]
