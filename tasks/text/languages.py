"""Languages: which have no spaces between words, and the scripts that they are written in."""

from __future__ import annotations

import re
from typing import Final

from configs.language import english

UNSPACED_LANGUAGES: Final = frozenset(  # ISO 639-1 and -3
    {
        *("bo", "bod", "cmn", "ja", "jpn", "khm", "km", "lao", "lo", "my", "mya"),
        *("th", "tha", "wuu", "yue", "zh", "zho"),
    }
)
UNSPACED: Final = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Han
)
"""Their characters, for a character class of a regular expression."""
UNSPACED_CHARACTER: Final = re.compile(f"[{UNSPACED}]")
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


def has_spaces(code: str) -> bool:
    """Whether a language, by its code such as ``en`` or ``zh_CN``, puts spaces between words."""
    return re.split("[-_]", code)[0].lower() not in UNSPACED_LANGUAGES


def script_problems(text: str, language: str, column: str) -> list[str]:
    """A problem if a text has letters, but none of its declared language's script."""
    script = SCRIPTS.get(re.split("[_-]", language)[0])
    if script is None or script[1].search(text) or not LETTER.search(text):
        return []
    return [
        english(
            "{column}: no {script} letter, though the language is declared as {language}",
            column=column,
            script=script[0],
            language=language,
        )
    ]
