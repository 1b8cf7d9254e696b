"""What is wrong with the characters of a text, and what can be repaired without a guess.

Each check takes an Arrow array of strings and returns, of shape (rows,), whether each is broken. A
null is broken for :func:`missing` only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html.entities import name2codepoint
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Texts: TypeAlias = "pa.Array | pa.ChunkedArray"
Flags: TypeAlias = NDArray[np.bool_]

REPLACEMENT: Final = "\ufffd"
NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}-{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
CONTROL: Final = f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{NONCHARACTERS}]"
"""C0 and C1 but for tab, line feed and carriage return, and what Unicode (23.7) gives to nobody."""
BLANK: Final = (
    r"^[\s\x0b\x1c-\x1f\x{85}\p{Z}\p{Cf}"
    r"\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{2800}\x{3164}\x{fe00}-\x{fe0f}\x{ffa0}]*$"
)
"""White space, and what takes no ink: format characters, joiners, fillers, the empty Braille cell,
variation selectors."""

ELEMENTS: Final = (
    "a|abbr|b|blockquote|body|br|button|center|code|dd|del|div|dl|dt|em|embed|figure|font|footer|"
    "form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|li|link|meta|nav|noscript|ol|option|p|"
    "pre|script|section|select|small|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|"
    "tfoot|th|thead|tr|tt|u|ul|video"
)
"""Elements that text from the web brings along; not ``s`` and ``q``, which mark sentences too."""
BARE_ENTITY: Final = (
    r"#0?(?:3[4689]|6[02]|14[5-9]|15[01]|160|163|169|82\d\d);|\b(?:quot|lt|gt|nbsp);|\bamp;\S"
)
"""Entities that have lost their ampersand, as in AG News; only those of common punctuation."""
HTML: Final = (
    rf"(?i)</?(?:{ELEMENTS})(?:\s[^<>]*=[^<>]*)?\s*/?>|<!--|<!doctype"
    rf"|&(?:#\d+|#x[0-9a-f]+|apos|{'|'.join(sorted(name2codepoint))});|{BARE_ENTITY}"
)


def missing(texts: Texts) -> Flags:
    """Nulls, and texts with nothing to see."""
    import pyarrow.compute as pc

    return _flags(pc.match_substring_regex(texts, BLANK), null=True)


def length(texts: Texts, least: int, most: int) -> Flags:
    """Texts of fewer than ``least`` or more than ``most`` characters."""
    import pyarrow.compute as pc

    characters = pc.utf8_length(texts)
    return _flags(pc.or_(pc.less(characters, least), pc.greater(characters, most)))


def replacement(texts: Texts) -> Flags:
    """Texts with U+FFFD, which stands where a character was lost."""
    return _among(_beyond_ascii(texts), texts, lambda some: _matches(some, REPLACEMENT))


def control(texts: Texts) -> Flags:
    """Texts with control characters or noncharacters."""
    return _matches(texts, CONTROL)


def html(texts: Texts) -> Flags:
    """Texts with HTML tags or entities."""
    return _matches(texts, HTML)


def mojibake(texts: Texts) -> Flags:
    """Texts whose UTF-8 was read as Latin-1 or a Windows code page, such as ``cafÃ©``.

    ftfy decides. It is asked only about texts with neighbours that look like the bytes of one
    character, which few sound texts have.
    """
    from ftfy import fix_encoding

    suspects = _among(_beyond_ascii(texts), texts, lambda some: _matches(some, _bytes_of_one()))
    return _among(
        suspects, texts, lambda some: np.array([fix_encoding(t) != t for t in some.to_pylist()])
    )


def repair(text: str, *, html: bool = False) -> str:
    """Mend the encoding and drop control characters; with ``html`` also unescape entities.

    All else stays: quotation marks, width, ligatures, line breaks, normal form. A text that would
    still be broken is returned as it came.
    """
    mended = _mended(_with_ampersands(text), html=True) if html else _mended(text, html=False)
    return text if mended != text and _broken(mended, html) else mended


def _mended(text: str, html: bool) -> str:
    from ftfy import TextFixerConfig, fix_text

    config = TextFixerConfig(
        unescape_html=html,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        # It keeps some that are control characters here, and drops some that are none.
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
    # Those that are white space, such as a form feed, stand between words.
    return re.sub(CONTROL, lambda it: " " if it[0].isspace() else "", fix_text(text, config))


def _with_ampersands(text: str) -> str:
    # The ampersand was lost to a space.
    return re.sub(rf"(?i)(?<!&) ?({BARE_ENTITY})", r"&\1", text)


def _broken(text: str, markup: bool) -> bool:
    import pyarrow as pa

    one = pa.array([text])
    checks = (replacement, control, mojibake, *([html] if markup else []))
    return any(check(one)[0] for check in checks)


@cache
def _bytes_of_one() -> str:
    """What the bytes of one character look like in the encodings that ftfy knows."""
    from ftfy.chardata import UTF8_CLUES

    two, three, four = (UTF8_CLUES[f"utf8_first_of_{size}"] for size in (2, 3, 4))
    rest = UTF8_CLUES["utf8_continuation"].replace(" ", "")
    # A space may stand for the byte A0, a question mark for one that was lost.
    return f"[{two}][{rest}]|[{three}{four}][{rest}][{rest} ?{REPLACEMENT}]|[ÂÃÅÎÐÙ] "


def _beyond_ascii(texts: Texts) -> Flags:
    import pyarrow.compute as pc

    return _flags(pc.invert(pc.string_is_ascii(texts)))


def _matches(texts: Texts, pattern: str) -> Flags:
    import pyarrow.compute as pc

    return _flags(pc.match_substring_regex(texts, pattern))


def _among(suspects: Flags, texts: Texts, check: Callable[[Texts], Flags]) -> Flags:
    """Run a check that is slow on the suspects only."""
    import pyarrow as pa

    found = np.zeros(len(texts), dtype=np.bool_)
    if suspects.any():
        found[suspects] = check(texts.filter(pa.array(suspects)))
    return found


def _flags(mask: Any, *, null: bool = False) -> Flags:
    flags: Flags = mask.fill_null(null).to_numpy(zero_copy_only=False)
    return flags
