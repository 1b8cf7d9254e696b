"""Which script a language is written in, to notice text in the wrong one."""

from __future__ import annotations

import re
from typing import Final

HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA: Final = "\u3040-\u30ff"
RANGES: Final[dict[str, tuple[str, str]]] = {
    "Han": (HAN, "zh zho cmn wuu yue"),
    "Japanese": (HAN + KANA, "ja jpn"),
    "Hangul": ("\u1100-\u11ff\u3130-\u318f\uac00-\ud7af", "ko kor"),
    "Cyrillic": ("\u0400-\u052f", "ru uk be bg mk sr kk ky mn tg"),
    "Arabic": ("\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff", "ar fa ur ps"),
    "Hebrew": ("\u0590-\u05ff", "he yi"),
    "Greek": ("\u0370-\u03ff\u1f00-\u1fff", "el"),
    "Devanagari": ("\u0900-\u097f", "hi mr ne sa"),
    "Bengali": ("\u0980-\u09ff", "bn as"),
    "Thai": ("\u0e00-\u0e7f", "th"),
    "Latin": (
        "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
        "en de fr es it pt nl sv da no nb fi pl cs sk sl hr hu ro tr vi id ms sw et lv lt ca",
    ),
}
SCRIPTS: Final[dict[str, tuple[str, re.Pattern[str]]]] = {
    language: (name, re.compile(f"[{ranges}]"))
    for name, (ranges, languages) in RANGES.items()
    for language in languages.split()
}
LETTER: Final = re.compile(r"[^\W\d_]")


def wrong(text: str, language: str, column: str) -> list[str]:
    """Say if a text has letters, but none of its language's script; unknown languages pass."""
    script = SCRIPTS.get(re.split("[_-]", language)[0])
    if script is None or script[1].search(text) or not LETTER.search(text):
        return []
    return [f"{column}: no {script[0]} letter, though the language is declared as {language}"]
