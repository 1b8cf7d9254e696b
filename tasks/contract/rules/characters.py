"""Checks of the characters of texts, and repairs that need no guess.

Each check takes an Arrow array of strings and returns a mask of the broken ones, of shape (rows,).
Only :func:`missing` finds nulls.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html.entities import name2codepoint
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Texts: TypeAlias = "pa.Array | pa.ChunkedArray"
Flags: TypeAlias = NDArray[np.bool_]

REPLACEMENT: Final = "\ufffd"
NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}-{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
CONTROL: Final = f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{NONCHARACTERS}]"
"""C0 and C1 but for tab, line feed and carriage return, and noncharacters (Unicode 23.7)."""
BLANK: Final = (
    r"^[\s\x0b\x1c-\x1f\x{85}\p{Z}\p{Cf}"
    r"\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{2800}\x{3164}\x{fe00}-\x{fe0f}\x{ffa0}]*$"
)
"""White space and other invisible characters: format characters, joiners, fillers, the empty
Braille cell, variation selectors."""

ELEMENTS: Final = (
    "a|abbr|b|blockquote|body|br|button|center|code|dd|del|div|dl|dt|em|embed|figure|font|footer|"
    "form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|li|link|meta|nav|noscript|ol|option|p|"
    "pre|script|section|select|small|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|"
    "tfoot|th|thead|tr|tt|u|ul|video"
)
"""Elements that occur in text from the web; not ``s`` and ``q``, which also mark sentences."""
BARE_ENTITY: Final = (
    r"#0?(?:3[4689]|6[02]|14[5-9]|15[01]|160|163|169|82\d\d);|\b(?:quot|lt|gt|nbsp);|\bamp;\S"
)
"""Entities that have lost their ampersand, as in AG News; only those of common punctuation."""
HTML: Final = (
    rf"(?i)</?(?:{ELEMENTS})(?:\s[^<>]*=[^<>]*)?\s*/?>|<!--|<!doctype"
    rf"|&(?:#\d+|#x[0-9a-f]+|apos|{'|'.join(sorted(name2codepoint))});|{BARE_ENTITY}"
)


def missing(texts: Texts) -> Flags:
    """Nulls, and texts without a visible character."""
    return _flags(pc.match_substring_regex(texts, BLANK), null=True)


def length(texts: Texts, least: int, most: int) -> Flags:
    """Texts of fewer than ``least`` or more than ``most`` characters."""
    characters = pc.utf8_length(texts)
    return _flags(pc.or_(pc.less(characters, least), pc.greater(characters, most)))


def replacement(texts: Texts) -> Flags:
    """Texts with U+FFFD, which replaces a lost character."""
    return _among(_beyond_ascii(texts), texts, lambda some: _matches(some, REPLACEMENT))


def control(texts: Texts) -> Flags:
    """Texts with control characters or noncharacters."""
    return _matches(texts, CONTROL)


def html(texts: Texts) -> Flags:
    """Texts with HTML tags or entities."""
    return _matches(texts, HTML)


def mojibake(texts: Texts) -> Flags:
    """Texts whose UTF-8 was read as Latin-1 or a Windows code page, such as ``cafÃ©``.

    ftfy decides, for texts with neighbouring characters that look like the bytes of one character.
    """
    from ftfy import fix_encoding

    suspects = _among(_beyond_ascii(texts), texts, lambda some: _matches(some, _bytes_of_one()))
    return _among(
        suspects, texts, lambda some: np.array([fix_encoding(t) != t for t in some.to_pylist()])
    )


def repair(text: str) -> str:
    """Repair the encoding, drop control characters, and unescape entities.

    Quotation marks, width, ligatures, line breaks and normal form stay. A text that would still be
    broken is returned unchanged.
    """
    # A space replaced the ampersand of a bare entity.
    repaired = _fixed(re.sub(rf"(?i)(?<!&) ?({BARE_ENTITY})", r"&\1", text))
    return text if repaired != text and _is_broken(repaired) else repaired


def _fixed(text: str) -> str:
    from ftfy import TextFixerConfig, fix_text

    config = TextFixerConfig(
        unescape_html=True,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        # Its set of control characters is another one.
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
    # Control characters that are white space, such as a form feed, separate words.
    return re.sub(CONTROL, lambda it: " " if it[0].isspace() else "", fix_text(text, config))


def _is_broken(text: str) -> bool:
    one = pa.array([text])
    return any(check(one)[0] for check in (replacement, control, mojibake, html))


@cache
def _bytes_of_one() -> str:
    """A pattern of the bytes of one character, read in the encodings that ftfy knows."""
    from ftfy.chardata import UTF8_CLUES

    two, three, four = (UTF8_CLUES[f"utf8_first_of_{size}"] for size in (2, 3, 4))
    rest = UTF8_CLUES["utf8_continuation"].replace(" ", "")
    # A space may be the byte A0, a question mark a lost byte.
    return f"[{two}][{rest}]|[{three}{four}][{rest}][{rest} ?{REPLACEMENT}]|[ÂÃÅÎÐÙ] "


def _beyond_ascii(texts: Texts) -> Flags:
    return _flags(pc.invert(pc.string_is_ascii(texts)))


def _matches(texts: Texts, pattern: str) -> Flags:
    return _flags(pc.match_substring_regex(texts, pattern))


def _among(suspects: Flags, texts: Texts, check: Callable[[Texts], Flags]) -> Flags:
    """Run a slow check on the suspects only."""
    found = np.zeros(len(texts), dtype=np.bool_)
    if suspects.any():
        found[suspects] = check(texts.filter(pa.array(suspects)))
    return found


def _flags(mask: Any, *, null: bool = False) -> Flags:
    flags: Flags = mask.fill_null(null).to_numpy(zero_copy_only=False)
    return flags
