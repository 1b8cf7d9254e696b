from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.rules import characters

SOUND = [
    "The parcel came much too late.",
    "if a < b and c > d, then a<b and c>d too",
    "I <3 this shop, and it cost < 5 dollars",
    "<unk> came late <s> and </s> <mask>",
    "Write to <maria@example.com> or see <https://example.com/?a=1&copy=2&lt=3>.",
    "AT&T; R&D; Marks & Spencer; Tom &Jerry",
    "Song #1; room #12; bug #1234; and plug it into the amp; then play",
    "“Don’t”, she said — «déjà vu», ½ of it… at 20 °C for 3 € or £5",
    "naïve café, Å is a letter, À LA CARTE, AMANHÃ É",
    "Straße, größer, „Spaß“, Übergröße",
    "Łódź, żółć, ŚĆŹŻ, Dvořák, Škoda, İstanbul, ő ű",
    "Посылка пришла слишком поздно. Ещё раз: «Ёлка» № 5",
    "Το δέμα έφτασε πολύ αργά.",
    "وصل الطرد متأخرا جدا.",
    "包裹到得太晚了。「真的」！",
    "荷物が届くのが遅すぎました。",
    "소포가 너무 늦게 도착했어요.",
    "ﬁne ＦＵＬＬ width e\u0301 👩\u200d👩\u200d👧 👍🏽",
    "tab\there\r\nand two\nlines",
]
Check = Callable[[Any], Any]
CHECKS: list[Check] = [
    characters.missing,
    characters.replacement,
    characters.control,
    characters.mojibake,
    characters.html,
]


def broken(check: Check, *texts: str | None) -> list[bool]:
    flags = check(pa.array(texts, pa.string()))
    assert flags.dtype == np.bool_
    assert flags.shape == (len(texts),)
    return [bool(flag) for flag in flags]


@pytest.mark.parametrize("check", CHECKS)
def test_sound_text_of_any_language_passes(check: Check) -> None:
    assert [text for text, flag in zip(SOUND, broken(check, *SOUND), strict=True) if flag] == []


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "\t\r\n\v\f",
        "\u00a0\u2003\u3000\u2028\x85",
        "\u200b\u200c\u200d\ufeff\u2060\u00ad",
        "\u3164\u2800\ufe0f",
    ],
)
def test_nothing_to_see_is_missing(text: str | None) -> None:
    assert broken(characters.missing, text) == [True]


@pytest.mark.parametrize("text", [".", "0", " a ", "\u200ba", "😀", "🇳🇴", "é", "\n字"])
def test_a_single_sign_is_not_missing(text: str) -> None:
    assert broken(characters.missing, text) == [False]


def test_a_lost_character_is_noticed() -> None:
    assert broken(characters.replacement, "caf\ufffd", "\ufffd", "café", "caf?") == [
        *(True, True, False, False),
    ]


@pytest.mark.parametrize(
    "character", ["\x00", "\x08", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f", "\x80", "\x9f"]
)
def test_a_control_character_is_noticed(character: str) -> None:
    assert broken(characters.control, f"par{character}cel", character) == [True, True]


@pytest.mark.parametrize("character", ["\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0010ffff"])
def test_a_noncharacter_is_noticed(character: str) -> None:
    assert broken(characters.control, f"par{character}cel") == [True]


def test_neighbours_of_control_characters_are_sound() -> None:
    neighbours = ["\t", "\n", "\r", " ", "~", "\xa0", "\ufdcf", "\ufdf0", "\ufffd", "\U00010000"]
    assert broken(characters.control, *neighbours) == [False] * len(neighbours)


ORIGINALS = [
    "café crème",
    "don’t",
    "“quoted” – and … more",
    "à la carte",
    "Größe: 5 €",
    "Посылка пришла",
    "Το δέμα έφτασε",
    "包裹到得太晚了",
    "荷物が届く",
    "وصل الطرد",
    "thanks 👍🏽",
    "Łódź i żółć",
]


@pytest.mark.parametrize("codec", ["latin-1", "sloppy-windows-1252"])
@pytest.mark.parametrize("text", ORIGINALS)
def test_utf8_that_was_read_as_something_else_is_noticed_and_repaired(
    text: str, codec: str
) -> None:
    import ftfy.bad_codecs

    ftfy.bad_codecs.ok()
    garbled = text.encode().decode(codec)
    assert broken(characters.mojibake, garbled, f"A parcel: {garbled}", text) == [True, True, False]
    assert characters.repair(garbled) == text


@pytest.mark.parametrize(
    ("garbled", "text"),
    [
        ("РџРѕСЃС‹Р»РєР° РїСЂРёС€Р»Р°", "Посылка пришла"),
        ("cafÃ© and café", "café and café"),
        ("voilÃ  le colis", "voilà le colis"),
        ("donÃ¢â‚¬â„¢t", "don’t"),
    ],
    ids=["Windows-1251", "in part", "no-break space lost", "twice"],
)
def test_other_mojibake_is_noticed_and_repaired(garbled: str, text: str) -> None:
    assert broken(characters.mojibake, garbled) == [True]
    assert characters.repair(garbled) == text


@pytest.mark.parametrize("lost", ["?", "\ufffd"])
def test_mojibake_that_has_lost_a_byte_is_noticed_but_not_repaired(lost: str) -> None:
    garbled = f"it is doneâ€{lost}"
    assert broken(characters.mojibake, garbled) == [True]
    assert characters.repair(garbled) == garbled


@pytest.mark.parametrize(
    "text",
    [
        "good<br />bad",
        "good<br>bad",
        "<p>A parcel</p>",
        'see <a href="https://example.com">this</a>',
        "see <A HREF=https://example.com target=x>",
        "<b>late</B>",
        "<!-- hidden -->",
        "<!DOCTYPE html>",
        "<h2>Title</h2>",
        "Tom &amp; Jerry",
        "5&nbsp;kg",
        "Haiti&#39;s",
        "Haiti&#x27;s",
        "caf&eacute;",
        "it&apos;s",
        "&lt;b&gt;",
        "Haiti #39;s straits",
        "the  #36;10 million prize",
        "football #8217;s mecca",
        "he said quot;no quot;",
        "S amp;P 500",
    ],
)
def test_markup_is_noticed(text: str) -> None:
    assert broken(characters.html, text) == [True]


def test_length_is_counted_in_characters_and_both_ends_are_allowed() -> None:
    texts = ["", "ab", "abc", "字字字", "é" * 5, "👍" * 5, "x" * 6]
    flags = broken(lambda array: characters.length(array, 3, 5), *texts)
    assert flags == [True, True, False, False, False, False, True]


@pytest.mark.parametrize("check", [*CHECKS[1:], lambda texts: characters.length(texts, 1, 2)])
def test_a_null_is_only_missing(check: Check) -> None:
    assert broken(check, None, None) == [False, False]


MIXED = ["sound", None, "caf\ufffd", "a\x00b", "cafÃ©", "<br>", "", "包裹"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(MIXED, pa.large_string()),
        pa.array(["cafÃ© <br>", *MIXED, "a\x00\ufffd"]).slice(1, len(MIXED)),
        pa.chunked_array([MIXED[:3], [], MIXED[3:]], pa.string()),
        pa.chunked_array([MIXED[:5], MIXED[5:]], pa.large_string()),
    ],
    ids=["large", "slice", "chunks", "large chunks"],
)
def test_every_kind_of_array_is_taken(array: Any) -> None:
    found = {check.__name__: np.flatnonzero(check(array)).tolist() for check in CHECKS}
    assert found == {
        "missing": [1, 6],
        "replacement": [2],
        "control": [3],
        "mojibake": [4],
        "html": [5],
    }
    assert np.flatnonzero(characters.length(array, 1, 4)).tolist() == [0, 4, 6]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("empty", [pa.array([], pa.string()), pa.chunked_array([], pa.string())])
def test_no_rows_are_no_error(check: Check, empty: Any) -> None:
    assert check(empty).shape == (0,)


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_is_not_touched(text: str) -> None:
    assert characters.repair(text) == text


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("par\x00cel\x7f", "parcel"),
        ("one\x0ctwo\x1fthree", "one two three"),
        ("it\x92s late\ufffe", "it’s late"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("“cafÃ©” ﬁne ＡＢ e\u0301 \r\n\u2028", "“café” ﬁne ＡＢ e\u0301 \r\n\u2028"),
    ],
    ids=["removed", "between words", "C1", "terminal", "nothing else"],
)
def test_what_can_be_mended_is_mended_and_all_else_stays(text: str, mended: str) -> None:
    assert characters.repair(text) == mended


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("Tom &amp; Jerry&#39;s", "Tom & Jerry's"),
        ("a &lt; b", "a < b"),
        ("Haiti #39;s straits", "Haiti's straits"),
        ("the  #36;10 million prize", "the $10 million prize"),
        ("S amp;P said  quot;no quot;", 'S&P said "no"'),
        ("caf&eacute; cafÃ©", "café café"),
    ],
)
def test_entities_are_unescaped(text: str, mended: str) -> None:
    assert characters.repair(text) == mended


@pytest.mark.parametrize(
    "text",
    [
        "caf\ufffd and cafÃ©",
        "he said â€œyesâ€\ufffd",
        "&lt;b&gt;late&lt;/b&gt; &amp; lost",
        "<br>cafÃ©",
        "cafÃ© \ud800",
    ],
)
def test_what_would_still_be_broken_stays_as_it_is(text: str) -> None:
    assert characters.repair(text) == text


ANY = st.text(st.characters(), max_size=60)
GARBLED = st.text(st.characters(max_codepoint=0x2FF), max_size=40)


@given(st.lists(st.none() | st.text(max_size=60) | GARBLED, max_size=8))
def test_no_text_makes_a_check_raise(texts: list[str | None]) -> None:
    for check in CHECKS:
        broken(check, *texts)


@given(ANY | GARBLED)
def test_a_repaired_text_passes_the_checks(text: str) -> None:
    mended = characters.repair(text)
    if mended != text:
        assert not any(flag for check in CHECKS[1:] for flag in broken(check, mended))
