"""Patterns of personal data and secrets, and of the words before them.

Shapes describe folded text (:func:`fold`). A hint is a much weaker pattern, of raw text: where it
does not match, there is no value of the kind. Python and RE2 read hints in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Digits that phones and keyboards write in Arabic, Persian, Indic, Thai, Lao, Tibetan, Burmese and
# Khmer, and full-width ones: each zero.
_ZEROS = (
    "\u0660\u06f0\u0966\u09e6\u0ae6\u0be6\u0c66\u0ce6\u0d66\u0e50\u0ed0\u0f20\u1040\u17e0\uff10"
)
_WIDE_LETTERS = "\uff21-\uff3a\uff41-\uff5a"
_WIDE_MARKS = "\uff08\uff09\uff0b\uff0e\uff0f\uff1a\uff20"
_DASHES = "\u2010-\u2015\u2212\ufe63\uff0d"
_SPACES = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_FOREIGN = "".join(f"{zero}-{chr(ord(zero) + 9)}" for zero in _ZEROS) + _WIDE_LETTERS


def _members(ranges: str) -> list[int]:
    """Code points of a character class such as ``a-cx``."""
    members: list[int] = []
    for first, last in re.findall(r"(.)(?:-(.))?", ranges):
        members += range(ord(first), ord(last or first) + 1)
    return members


_FOLDED = {ord(zero) + digit: str(digit) for zero in _ZEROS for digit in range(10)}
# Full-width forms have the order of ASCII.
_FOLDED |= {code: chr(code - 0xFEE0) for code in _members(_WIDE_LETTERS + _WIDE_MARKS)}
_FOLDED |= dict.fromkeys(_members(_DASHES), "-") | dict.fromkeys(_members(_SPACES), " ")

BLANK = "\0"
"""Replaces values that are already found: no shape contains it."""


def fold(text: str) -> str:
    """Write digits, wide letters, hyphens and spaces in ASCII, in a text of the same length."""
    return text if text.isascii() else text.translate(_FOLDED)


_GAP = f"[ ()./{_DASHES}{_SPACES}\uff08\uff09\uff0e\uff0f-]"
_MARK = f"[ .+{_DASHES}{_SPACES}\uff0b\uff0e-]"
_DASH, _DOT, _COLON = f"[{_DASHES}-]", "[.\uff0e]", "[:\uff1a]"
FOREIGN = f"[{_FOREIGN}]"
"""A hint of values that only folding reveals."""
HINTS = {
    "email": "[@\uff20]",
    "phone": f"[0-9](?:{_GAP}{{0,4}}[0-9]){{6}}",
    "card": f"[0-9](?:{_GAP}?[0-9]){{13}}",
    "iban": f"[A-Za-z]{{2}}[0-9]{{2}}{_GAP}?[A-Za-z0-9]{{4}}",
    "national_id": f"[0-9](?:{_MARK}?[0-9]){{6}}",
    "ip_address": f"{_COLON}[0-9A-Fa-f]{{0,4}}{_COLON}|[0-9]{_DOT}[0-9]{{1,3}}{_DOT}[0-9]",
    "secret": "AKIA|ASIA|gh[a-z]_|github_pat_|[sr]k_(?:live|test)_|AIza|npm_|hf_|eyJ"
    f"|SG{_DOT}|(?:glpat|xox[a-z]|pypi){_DASH}|{_DASH}{{5}}BEGIN"
    f"|sk{_DASH}[A-Za-z0-9_{_DASHES}-]{{32}}",
}
# Ids with fewer than seven digits in a row.
_LETTERED = {
    "fi": "[0-9]{6}[A-Za-z][0-9]{3}",
    "gb": f"[A-Za-z]{{2}}(?:{_MARK}?[0-9]{{2}}){{3}}",
    "in": "[A-Za-z]{5}[0-9]{4}",
    "it": f"[A-Za-z]{{3}}{_MARK}?[A-Za-z]{{3}}{_MARK}?[0-9]{{2}}[A-Za-z][0-9L-Vl-v]{{2}}",
    "mx": "[A-Za-z]{4}[0-9]{6}",
}


def hints(kinds: Iterable[str], countries: Sequence[str]) -> dict[str, str]:
    """The hint of each kind; national ids need countries."""
    found = {kind: HINTS[kind] for kind in kinds if countries or kind != "national_id"}
    if "national_id" in found:
        lettered = [_LETTERED[country] for country in countries if country in _LETTERED]
        found["national_id"] = "|".join([HINTS["national_id"], *lettered])
    return found


PLACEHOLDER = re.compile(rf"\[({'|'.join(HINTS).upper()})_([0-9]{{1,6}})\]")
"""Placeholder of a redacted value: its kind and number. No shape contains brackets and letters."""

# A number does not start or end inside a word, a longer number or a decimal fraction.
_START = r"(?<![A-Za-z0-9_])(?<![0-9][.])(?<![A-Za-z0-9]-)"
_END = r"(?![A-Za-z0-9_])(?!\.[0-9])(?!-[A-Za-z0-9])"


def whole(shape: str) -> re.Pattern[str]:
    """Compile a shape as group 1, in a look-ahead so that matches may overlap."""
    return re.compile(f"{_START}(?=({shape}){_END})", re.ASCII | re.IGNORECASE)


_LETTER = "A-Za-z0-9\u00c0-\u024f"
_LABEL = f"[{_LETTER}](?:[{_LETTER}-]{{0,61}}[{_LETTER}])?"
_FILE_ENDINGS = "(?:png|jpe?g|gif|svg|webp|css|js|ts|html?|pdf)"
# Not a name in a social network (@user@host), the user of a git remote, or a file (icon@2x.png).
EMAIL = re.compile(
    f"(?<![{_LETTER}@])(?!git@)[{_LETTER}][{_LETTER}._%+&-]{{0,63}}@(?:{_LABEL}\\.){{1,8}}"
    f"(?!{_FILE_ENDINGS}(?![{_LETTER}]))(?:xn--[a-z0-9-]{{1,59}}|[A-Za-z\u00c0-\u024f]{{2,24}})"
    f"(?![{_LETTER}])"
)

CARD = re.compile(
    # Not inside the groups of an IBAN.
    rf"(?<![A-Z]{{2}}[0-9]{{2}}[ -]){_START}"
    r"(?=([0-9]{4}([ -])[0-9]{4}\2[0-9]{4}\2[0-9]{4}(?:\2[0-9]{3})?"
    rf"|[0-9]{{4}}([ -])[0-9]{{6}}\3[0-9]{{4,5}}|[0-9]{{14,19}}){_END})"
)
# Ranges of issuer identification numbers and lengths (ISO/IEC 7812): Visa, Mastercard, American
# Express, Diners, Discover, JCB, UnionPay, Mir, Maestro.
ISSUER = re.compile(
    r"4\d{15}(?:\d{3})?|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"
    r"|35(?:2[89]|[3-8]\d)\d{12,15}|62\d{14,17}|220[0-4]\d{12,15}"
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{10,15}"
)
IBAN = re.compile(
    r"(?<![A-Za-z0-9])(?=([A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}))", re.ASCII | re.IGNORECASE
)

IPV4 = whole(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
IPV6 = re.compile(
    r"(?<![A-Za-z0-9_.])([0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)[0-9.]{7,15})?)"
    r"(?![A-Za-z0-9_:]|\.[0-9])"
)

# As published by the issuers; gitleaks keeps a list (github.com/gitleaks/gitleaks).
_TOKENS = (
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36,}",
    r"github_pat_[A-Za-z0-9_]{50,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"xox[a-z]-[A-Za-z0-9-]{20,}",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"sk-[A-Za-z0-9]{32,}",
    r"sk-(?:proj|svcacct|admin|ant-[a-z]+[0-9]+|or-v1)-[A-Za-z0-9_-]{32,}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,}",
    r"SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}",
    r"hf_[A-Za-z0-9]{30,}",
    # A JSON Web Token (RFC 7519): two JSON objects and a signature in base64url.
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?",
)
TOKEN = re.compile(f"(?<![A-Za-z0-9])(?:{'|'.join(_TOKENS)})(?![A-Za-z0-9])")
_KEY = r"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
# RFC 7468: to the end line, or, if that is missing, as far as it looks like base64.
PRIVATE_KEY = re.compile(
    rf"-----BEGIN {_KEY}(?:[\s\S]{{0,8000}}?-----END {_KEY}|(?:\s*[A-Za-z0-9+/=]{{40,}})*)"
)

PHONE = re.compile(r"[(+ ]{0,4}[0-9](?:[ ()./-]{0,4}[0-9]){6,}")
TRUNK = re.compile(r"[( ]*0(?:[ ()./-]{0,4}[0-9]){7,}")
INTERNATIONAL_PREFIX = re.compile(
    r"(?<![A-Za-z0-9+])(?<![0-9][ ()./-])00(?= ?[1-9][0-9]{0,2}[ (/.-])"
)
NORTH_AMERICAN = re.compile(
    r"(?:1[ .-]?)?\([0-9]{3}\) ?[0-9]{3}[ .-][0-9]{4}|1([.-])[0-9]{3}\1[0-9]{3}\1[0-9]{4}"
)
# Other numbers seldom begin with a zero or look like a Chinese mobile number.
UNGROUPED = re.compile("0[0-9]{8,}|1[3-9][0-9]{9}")
NORTH_AMERICAN_GROUPS = re.compile(r"[0-9]{3}([.-])[0-9]{3}\1[0-9]{4}")
# Dates, ranges of years, and six or more numbers of two digits.
UNDIALLED = re.compile(
    r"(?:19|20)[0-9]{2}[./ -][0-9]{1,2}[./ -][0-9]{1,2}|[0-9]{1,2}[./ -][0-9]{1,2}[./ -](?:19|20)"
    r"[0-9]{2}|[12][0-9]{3} ?[/-] ?[12][0-9]{3}|(?:[0-9]{2}[./ -]){5,}[0-9]{2}"
)

# Words between an announcement and the number, in the languages of the announcements.
_NAMES = "no|nr|num|numbers?|id|code|nummer|num[ée]ro|n[úu]mero|n|is|was|ist|lautet|est|es|è"
_PREPOSITIONS = (
    "me|us|him|her|them|my|the|your|at|on|to|or|of|via|from|line|mich|uns|bitte|die|meine|unter|auf"
    "|an|moi|mon|le|la|au|mi|mio|il|el|al|mijn|op"
)


def announcement_of(words: str, between: str = f"{_NAMES}|{_PREPOSITIONS}") -> re.Pattern[str]:
    """The pattern of words, with few others between them and the number that they announce."""
    # Chinese has no spaces: four characters may belong to such a word.
    gap = rf"[^A-Za-z0-9\n{BLANK}]{{0,4}}"
    return re.compile(rf"(?:{words})(?:{gap}\b(?:{between})\b){{0,4}}{gap}\Z", re.IGNORECASE)


def announced(announcement: re.Pattern[str], text: str, start: int) -> bool:
    """Whether an announcement ends at ``start``."""
    return announcement.search(text, max(0, start - 64), start) is not None


CALL = announcement_of(
    r"\b(?:(?:tele)?phone[ds]?|tel|call(?:ed|ing)?|mobile|cell|whats?app|fax|sms|text(?:ed)?|ring"
    r"|dial|hotline|reach(?:ed)?|contact|message|telefon\w*|handy\w*|mobil\w*|rufen|rufnummer"
    r"|anrufen|erreichbar|erreichen|t[ée]l|t[ée]l[ée]phone\w*|appel\w*|portable|joignable|joindre"
    r"|tel[ée]fono|m[óo]vil|ll[áa]m\w*|cellulare|chiam\w*|telefoon\w*|mobiel|bel)"
    "|电话|電話|手机|手機|致电|致電|联系|聯繫|拨打|撥打|座机|微信"
)
"""Words before a number to call."""
REFERENCE = announcement_of(
    r"\b(?:orders?|invoice|tracking|parcel|shipment|ref(?:erence)?|part|sku|item|model|serial|s/n"
    r"|ticket|article|product|isbn|ean|upc|batch|lot|booking|po|bestell\w*|auftrag\w*"
    r"|rechnung\w*|sendung\w*|artikel\w*|vorgang\w*|lieferschein\w*|commande|facture|colis|suivi"
    r"|r[ée]f(?:[ée]rence)?|dossier|pedido|factura|referencia|env[íi]o|art[íi]culo|bestelling\w*"
    r"|factuur\w*|zending\w*|ordine|fattura|ordernummer)"
    "|订单|訂單|运单|運單|快递|快遞|单号|單號|编号|編號|发票|發票|#",
    _NAMES,
)
"""Words before the number of a thing, not of a person."""
VERSION = announcement_of(
    r"\b(?:versions?|ver|v|release[ds]?|builds?|firmware|drivers?|updat\w*|upgrad\w*|install\w*"
    r"|kernel|revisions?|rev|sections?|chapters?|articles?|clauses?|paragraphs?|abschnitt"
    "|kapitel)|版本|§"
)
"""Words before a dotted number that is not an address."""
ADDRESS = announcement_of(
    r"\b(?:ip(?:v4)?|address(?:es)?|adresse|hosts?|servers?|ping|ssh|dns|gateway|router|clients?"
    r"|visitors?|log(?:in|ged|s)?|requests?|traffic|connect\w*|block\w*|bann\w*|attempts?|prox\w*"
    "|vpn|firewall)|://"
)
"""Words before a network address."""
