"""Readings of bytes in encodings other than UTF-8, and how well their characters fit a language.

A reading is plausible if nearly all of its characters fit one language that is written in the
encoding: accents inside words, one script and one way of capitals a word, and Chinese, Japanese and
Korean characters that are in common use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

PLAUSIBLE: Final = 0.9
"""Share of fitting characters from which a reading is plausible."""
MARGIN: Final = 0.1
"""How much better the best reading must fit than one with another text."""
ENOUGH_HANGUL: Final = 10

WESTERN: Final = {
    "en": "éèêëïöüôçñáíóúàâäæœ",
    "de": "äöüßé",
    "fr": "éèêëàâçîïôùûüœæÿ",
    "es": "áéíóúüñ",
    "it": "àèéìíòóùú",
    "pt": "áâãàçéêíóôõúü",
    "nl": "éèëïöüóáíêç",
    "da no": "æøåéäöòô",
    "sv fi": "åäöéüàšž",
    "is": "áðéíóúýþæö",
    "ca": "àçèéíïòóúü·",
    "de fr it": "äöüßéèêëàâçîïôùûœò",
}
CENTRAL: Final = {
    "de": "äöüßé",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýž",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "hu": "áéíóöőúüű",
    "hr sl": "čćđšž",
    "ro": "ăâîşţșț",
}
CYRILLIC: Final = {
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
}
GREEK: Final = {"el": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ"}
TURKISH: Final = {"tr": "çğıöşüâîû"}
BALTIC: Final = {"lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "et": "äõöüšž"}
HEBREW: Final = {"he": "אבגדהוזחטיךכלםמןנסעףפץצקרשת"}
ARABIC: Final = {"ar": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي"}
ALONE: Final = CYRILLIC, GREEK, HEBREW, ARABIC
"""Alphabets whose words have no letters of ASCII."""
LETTERS: Final = {
    **dict.fromkeys(("cp1252", "iso8859-15", "mac-roman", "cp850"), WESTERN),
    **dict.fromkeys(("cp1250", "iso8859-2", "cp852"), CENTRAL),
    **dict.fromkeys(("cp1251", "koi8-u", "cp866", "iso8859-5", "mac-cyrillic"), CYRILLIC),
    **dict.fromkeys(("cp1253", "iso8859-7"), GREEK),
    "cp1254": TURKISH,
    "cp1257": BALTIC,
    **dict.fromkeys(("cp1255", "cp862"), HEBREW),
    "cp1256": ARABIC,
}
"""Letters of the languages that are written in an encoding; the commoner encoding comes first."""
DENSITY: Final = {
    **{"pl": 0.03, "cs": 0.06, "sk": 0.05, "hu": 0.05, "hr sl": 0.012, "ro": 0.03},
    **{"lt": 0.04, "lv": 0.05, "et": 0.02},
}
"""Least share of such letters in a text of a language, since fewer are foreign words in another."""
MOST_ENGLISH: Final = 0.06
"""Most of them in a text in English, where all are of foreign words."""
FREQUENT: Final = frozenset("оеаинтсрвлкмдпуі")
FREQUENT_SHARE: Final = 0.7
"""Least share of these letters in Cyrillic text; encodings that swap the cases have fewer."""
FREQUENT_HANZI: Final = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年"
    "过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心"
    "她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间"
    "由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给"
    "世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变"
    "四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社"
    "便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北"
    "边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
)
"""Half of the characters of Chinese texts are one of these."""
FEW_FREQUENT: Final = 0.25
"""Share of them in a text that is hardly Chinese; a misread one has a tenth."""
ENOUGH_HANZI: Final = 4
KANA_SHARE: Final = 0.15
"""Least kana in Japanese, by ideographs."""
COMMON: Final = {
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6),
    "cp932": ("euc_jp", 0xB0, 0xCF),
    "euc_jp": ("euc_jp", 0xB0, 0xCF),
    "cp949": ("euc_kr", 0xB0, 0xC8),
}
"""The codec that tells common characters by their first byte, and the range of that byte."""
ALIKE: Final = {
    **{"gbk": "gb18030", "gb2312": "gb18030", "big5hkscs": "big5", "cp950": "big5"},
    **{"shift_jis": "cp932", "shift_jis_2004": "cp932", "euc_kr": "cp949", "latin-1": "cp1252"},
    **{"iso8859-1": "cp1252", "koi8-r": "koi8-u"},
}
"""Encodings that differ from one above in few characters."""
PUNCTUATION: Final = frozenset("“”‘’–—…€°§«»„‚•·£©®™½¼¾²³ªº¿¡×±\xa0№¹µ¢¥‹›†\xad")  # noqa: RUF001
INSIDE: Final = frozenset("’·–—\xad\xa0")
"""Punctuation between two letters."""
QUOTES: Final = frozenset("“”‘„‚«»")  # noqa: RUF001
MARKS: Final = re.compile(r"(?:[^\w\x00-\x7f]|[ªº¹²³¼½¾])+")
WIDE_PUNCTUATION: Final = re.compile("[\u00b7\u2010-\u2026\u3000-\u301f\uff01-\uff5e\uffe5]")
OTHER: Final = re.compile(r"[^\x00-\x7f]")
WORD: Final = re.compile(r"[^\W_]+")
KANA: Final = re.compile("[\u3040-\u30ff]")
HANZI: Final = re.compile("[\u4e00-\u9fff]")
HANGUL: Final = re.compile("[\uac00-\ud7a3]")
GLUED: Final = re.compile(
    "(?<=[A-Za-z])[\u4e00-\u9fff](?![\u4e00-\u9fff])"
    "|(?<![\u4e00-\u9fff])[\u4e00-\u9fff](?=[a-z])"
    "|(?<=[A-Za-z])[\uff01-\uff5e](?=[a-z])"
)
"""A single ideograph or wide sign in a word of ASCII, as other letters and signs are misread."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of bytes in an encoding.

    Attributes:
        fit: the share of characters that fit.
        count: characters besides ASCII.
    """

    name: str
    text: str
    fit: float
    count: int


def plausible(sample: bytes) -> list[Reading]:
    """Readings whose characters fit, the best first; of equal ones, the commoner encoding.

    If the best fits in part, so may those that fit little worse.
    """
    readings = [found for name in (*LETTERS, *COMMON) if (found := read(sample, name))]
    korean = next((one for one in readings if one.name == "cp949"), None)
    hangul = len(HANGUL.findall(korean.text)) if korean else 0
    if korean and korean.fit >= PLAUSIBLE and hangul >= max(ENOUGH_HANGUL, korean.count / 2):
        # Every Korean text is Chinese of common characters too, but hardly the other way round.
        readings = [one for one in readings if one.name not in ("gb18030", "big5")]
    readings = _with_euc_jp(sample, readings)
    best = max((one.fit for one in readings), default=0.0)
    least = min(PLAUSIBLE, best - MARGIN) if best >= PLAUSIBLE else PLAUSIBLE
    fitting = [one for one in readings if one.fit >= least]
    return sorted(fitting, key=lambda one: -one.fit)


def _with_euc_jp(sample: bytes, found: list[Reading]) -> list[Reading]:
    """The readings, that in EUC-JP as good as that in GB 18030 if it may be what was written.

    Common characters of one are common in the other, but hardly those that every Chinese text
    has, and kana are in the same place.
    """
    chinese = next((one for one in found if one.name == "gb18030"), None)
    hanzi = HANZI.findall(chinese.text) if chinese else []
    frequent = sum(one in FREQUENT_HANZI for one in hanzi)
    if not chinese or len(hanzi) < ENOUGH_HANZI:
        return found
    kana = len(KANA.findall(chinese.text))
    japanese = read(sample, "euc_jp")
    if not japanese or (kana < KANA_SHARE * len(hanzi) and frequent >= FEW_FREQUENT * len(hanzi)):
        return found
    fit = max(japanese.fit, chinese.fit)
    return [*(one for one in found if one.name != "euc_jp"), replace(japanese, fit=fit)]


def knows(name: str) -> bool:
    """Whether it is known which characters are common in an encoding."""
    return ALIKE.get(name, name) in (*LETTERS, *COMMON)


def is_wide(name: str) -> bool:
    """Whether an encoding has several bytes for a character."""
    return ALIKE.get(name, name) in COMMON


def read(sample: bytes, name: str, *, part: bool = False) -> Reading | None:
    """The reading in an encoding, if the bytes are that and not ASCII; one of no table fits 0.

    A ``part`` of a Japanese text may have no kana.
    """
    try:
        text = sample.decode(name)
    except UnicodeDecodeError:
        return None
    others = OTHER.findall(text)
    if not others:
        return None
    fit, table = 0.0, ALIKE.get(name, name)
    if table in COMMON:
        fit = _fit_wide(text, others, table, part=part)
    elif table in LETTERS:
        fit = _fit_letters(text, LETTERS[table])
    return Reading(name, text, fit / len(others), len(others))


def _fit_wide(text: str, others: list[str], name: str, *, part: bool) -> float:
    """How many characters are common in Chinese, Japanese or Korean; Japanese has kana."""
    kana = sum(bool(KANA.match(one)) for one in others)
    hanzi = sum(bool(HANZI.match(one)) for one in others)
    if name in ("cp932", "euc_jp") and not part and kana < hanzi * KANA_SHARE:
        return 0
    fitting = sum(_is_common(one, name) for one in others)
    return fitting - len(GLUED.findall(text))


def are_common(text: str) -> bool:
    """Whether most ideographs of a text are common in a language."""
    hanzi = HANZI.findall(text)
    common = sum(any(_is_common(one, name) for name in COMMON) for one in hanzi)
    return common >= PLAUSIBLE * len(hanzi)


@cache
def _is_common(character: str, name: str) -> bool:
    if WIDE_PUNCTUATION.match(character):
        return True
    codec, low, high = COMMON[name]
    try:
        encoded = character.encode(codec)
    except UnicodeEncodeError:
        return False
    if len(encoded) != 2:
        return False
    first = encoded[0]
    # The rows before the common ideographs have kana and the letters of other languages.
    return low <= first <= high or (0xA1 <= first < low and character.isalpha())


def _fit_letters(text: str, languages: dict[str, str]) -> float:
    """How many characters fit the language that fits best."""
    words = [word for word in WORD.findall(text) if not word.isascii()]
    kept = Counter(word for word in words if word.isalpha() and _has_one_case(word))
    letters = sum(map(str.isalpha, text))
    best = 0.0
    for language, alphabet in languages.items():
        known = frozenset(alphabet + alphabet.upper())
        alone = any(languages is script for script in ALONE)
        fitting = sum(n * _count_fitting(word, known, alone=alone) for word, n in kept.items())
        if language == "en" and fitting > MOST_ENGLISH * letters:
            continue
        enough = DENSITY.get(language, 0) * letters
        best = max(best, fitting * min(1.0, fitting / enough if enough else 1.0))
    return best * (_frequent(words) if languages is CYRILLIC else 1) + _count_marks(text)


def _frequent(words: Iterable[str]) -> float:
    """How usual the letters of Cyrillic words are, at most 1."""
    letters = "".join(words).lower()
    share = sum(letter in FREQUENT for letter in letters) / max(len(letters), 1)
    return min(1.0, share / FREQUENT_SHARE)


def _count_fitting(word: str, known: frozenset[str], *, alone: bool) -> int:
    """Letters of a word that are known, if it is of one script, or has accents among ASCII."""
    others = [character for character in word if ord(character) > 127]
    if alone:
        return len(others) if len(others) == len(word) and known.issuperset(others) else 0
    dense = len(word) > 3 and len(others) > 0.6 * len(word)
    return 0 if dense else sum(character in known for character in others)


def _has_one_case(word: str) -> bool:
    return word in (word.lower(), word.upper()) or word[1:] == word[1:].lower()


def _count_marks(text: str) -> int:
    """Characters that are punctuation; inside a word, only some are."""
    count = 0
    for run in MARKS.finditer(text):
        before, after = text[max(0, run.start() - 1) : run.start()], text[run.end() : run.end() + 1]
        inside = before.isalpha() and after.isalpha()
        allowed = INSIDE if len(run[0]) == 1 else INSIDE | QUOTES
        if PUNCTUATION.issuperset(run[0]) and not (inside and not allowed.issuperset(run[0])):
            count += len(run[0])
    return count
