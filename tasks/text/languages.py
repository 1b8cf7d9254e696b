"""Which languages are written without spaces between words."""

from __future__ import annotations

import re
from typing import Final

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
"""Their characters, to stand in a class of a regular expression."""
UNSPACED_CHARACTER: Final = re.compile(f"[{UNSPACED}]")


def has_spaces(code: str) -> bool:
    """Whether a language, by its code such as ``en`` or ``zh_CN``, puts spaces between words."""
    return re.split("[-_]", code)[0].lower() not in UNSPACED_LANGUAGES
