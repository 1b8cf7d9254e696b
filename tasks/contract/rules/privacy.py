"""Find personal data and secrets in text.

Every kind is found by its shape and then verified: checksums by python-stdnum, numbering plans by
phonenumbers, network addresses by the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.contract.rules import national_ids
from tasks.contract.rules import privacy_patterns as patterns
from tasks.contract.rules.national_ids import NATIONAL_IDS
from tasks.contract.rules.privacy_patterns import BLANK, announced

Places = Iterator[tuple[int, int]]
Finder = Callable[[str, Sequence[str]], Places]
Accepts = Callable[[str, int, str], bool]


@dataclass(frozen=True, slots=True)
class Span:
    """A value of one of the ``KINDS``, from offset ``start`` to before ``end``."""

    kind: str
    start: int
    end: int


def _emails(text: str, countries: Sequence[str]) -> Places:
    return (match.span() for match in patterns.EMAIL.finditer(text))


def _secrets(text: str, countries: Sequence[str]) -> Places:
    yield from (match.span() for match in patterns.PRIVATE_KEY.finditer(text))
    for match in patterns.TOKEN.finditer(text):
        # The xxxx of documentation is no secret.
        if len(set(match[0][-16:])) > 4:
            yield match.span()


def _ibans(text: str, countries: Sequence[str]) -> Places:
    from stdnum import iban

    for match in patterns.IBAN.finditer(text):
        start = match.start(1)
        # The next word or number may look like a part of it.
        ends = [found.start() for found in re.finditer(r"(?<=\w)\b", match[1] + " ", re.ASCII)]
        valid = (end for end in reversed(ends) if iban.is_valid(match[1][:end]))
        if (end := next(valid, None)) is not None:
            yield start, start + end


def _cards(text: str, countries: Sequence[str]) -> Places:
    from stdnum import luhn

    for match in patterns.CARD.finditer(text):
        digits = re.sub("[ -]", "", match[1])
        if not patterns.ISSUER.fullmatch(digits) or not luhn.is_valid(digits):
            continue
        if digits != match[1] or not announced(patterns.REFERENCE, text, match.start(1)):
            yield match.span(1)


def _national_ids(text: str, countries: Sequence[str]) -> Places:
    forms = [form for country in countries for form in NATIONAL_IDS[country]]
    for start in _beginnings(text, countries):
        for form in forms:
            match = form.shape.match(text, start)
            if match and _is_national_id(form, text, *match.span(1)):
                yield match.span(1)


def _beginnings(text: str, countries: Sequence[str]) -> set[int]:
    """Starts of the words near a hint of a national id."""
    hint = patterns.hints(["national_id"], countries)["national_id"]
    return {
        word.start()
        for hit in re.finditer(hint, text)
        for word in national_ids.WORD.finditer(text, max(0, hit.start() - 24), hit.end())
    }


def _is_national_id(form: national_ids.Form, text: str, start: int, end: int) -> bool:
    if form.announcement is None:
        if announced(patterns.REFERENCE, text, start):
            return False
    elif not announced(form.announcement, text, start):
        return False
    written = text[start:end].upper()
    compact = re.sub("[^0-9A-Z]", "", written)
    # The separator in some ids shows the century.
    numbers = (compact, written)
    checks = [import_module(f"stdnum.{name}").is_valid for name in form.modules]
    return not checks or any(check(number) for check in checks for number in numbers)


def _ip_addresses(text: str, countries: Sequence[str]) -> Places:
    for match in patterns.IPV4.finditer(text):
        if _is_host(match[1]) and not _is_version(text, *match.span(1)):
            yield match.span(1)
    for match in patterns.IPV6.finditer(text):
        written = re.sub("(?<!:):$", "", match[1])
        # Ratios, clock times and hardware addresses have no group of three digits.
        has_group = re.search("[0-9A-Fa-f]{3}", written) and re.search("[0-9]", written)
        if has_group and _is_host(written):
            yield match.start(1), match.start(1) + len(written)


def _is_version(text: str, start: int, end: int) -> bool:
    if announced(patterns.VERSION, text, start):
        return True
    # Few addresses outside of the private network 10.0.0.0/8 have only small numbers.
    small = re.fullmatch(r"(?!10\.)[0-9]{1,2}(?:\.[0-9]{1,2}){3}", text[start:end])
    return bool(small) and not announced(patterns.ADDRESS, text, start)


def _is_host(written: str) -> bool:
    """Whether it is an address of a host: no loopback address, no net mask."""
    import ipaddress

    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if address.version == 4 and address.is_reserved:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)


def _phones(text: str, countries: Sequence[str]) -> Places:
    dialled = patterns.INTERNATIONAL_PREFIX.sub(" +", text)
    regions = [country.upper() for country in countries]
    for candidate in patterns.PHONE.finditer(dialled):
        if patterns.UNDIALLED.fullmatch(candidate[0].strip(" ()")):
            continue
        for start, end in _numbers(dialled, candidate, regions):
            # In an international prefix, a plus sign has replaced the second zero.
            yield start - (text[start] != dialled[start]), end


def _numbers(text: str, candidate: re.Match[str], regions: list[str]) -> Places:
    """Spans of telephone numbers in a run of digits."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    # Numbers with a trunk prefix are grouped in any way.
    grouping = Leniency.VALID if patterns.TRUNK.match(candidate[0]) else Leniency.EXACT_GROUPING
    searches: list[tuple[str | None, int, Accepts]] = [(None, Leniency.VALID, _is_dialled)]
    searches += [(region, grouping, _is_national) for region in regions]
    if "US" not in regions:
        searches.append(("US", Leniency.EXACT_GROUPING, _is_north_american))
    if announced(patterns.CALL, text, candidate.start()):
        searches += [(region, Leniency.POSSIBLE, _is_dialled) for region in (None, *regions)]
    # With one character on either side, which may show that it is part of something else.
    low = max(0, candidate.start() - 1)
    window = text[low : candidate.end() + 1]
    for region, leniency, accepts in searches:
        last = 0
        for match in PhoneNumberMatcher(window, region, leniency=leniency):
            start, number = low + match.start, match.raw_string
            if number.startswith("(") and ")" not in number:
                start, number = start + 1, number[1:]
            if not _continues(text, start, last) and accepts(text, start, number):
                last = low + match.end
                yield start, last


def _continues(text: str, start: int, last: int) -> bool:
    """Whether it follows digits other than those of a number that ended at ``last``."""
    if text[start] in "+(":
        return False
    return bool(re.search("[0-9][ ./-]$", text[max(last, start - 2) : start]))


def _is_dialled(text: str, start: int, number: str) -> bool:
    return bool(patterns.PHONE.match(number)) and not patterns.UNDIALLED.match(number)


def _is_national(text: str, start: int, number: str) -> bool:
    """Whether a number of a declared country is used as one."""
    if not _is_dialled(text, start, number):
        return False
    if announced(patterns.CALL, text, start):
        return True
    if announced(patterns.REFERENCE, text, start):
        return False
    return not number.isdigit() or bool(patterns.UNGROUPED.fullmatch(number))


def _is_north_american(text: str, start: int, number: str) -> bool:
    """Whether the form alone shows that it is a number, whatever country is declared."""
    if patterns.NORTH_AMERICAN.match(number):
        return not announced(patterns.REFERENCE, text, start)
    grouped = patterns.NORTH_AMERICAN_GROUPS.match(number)
    return bool(grouped) and announced(patterns.CALL, text, start)


# Of two values of the same length at one place, the first kind counts.
_FINDERS: Final[dict[str, Finder]] = {
    "secret": _secrets,
    "email": _emails,
    "iban": _ibans,
    "national_id": _national_ids,
    "card": _cards,
    "ip_address": _ip_addresses,
    "phone": _phones,
}
KINDS: Final[tuple[str, ...]] = tuple(patterns.HINTS)
"""Kinds of values that can be found."""


class Recognizer:
    """Finds personal data and secrets of the given kinds.

    Args:
        kinds: some of ``KINDS``.
        countries: some of ``NATIONAL_IDS``: whose ids to find, and whose telephone numbers without
            a country code. Numbers with one are found whatever is declared.
    """

    def __init__(self, kinds: Collection[str], countries: Sequence[str] = ()) -> None:
        self.kinds = tuple(kind for kind in KINDS if kind in kinds)
        self.countries = tuple(countries)
        self._hints = patterns.hints(self.kinds, self.countries)
        self._searches = [
            (kind, re.compile(self._hints[kind]), finder)
            for kind, finder in _FINDERS.items()
            if kind in self._hints
        ]

    def find(self, text: str) -> list[Span]:
        """Find every value in order; of two that overlap, the longer one."""
        folded = patterns.fold(text)
        spans: list[Span] = []
        # Without the found values, others beside them can be found.
        while found := self._longest(folded):
            spans += found
            folded = blank(folded, found)
        return sorted(spans, key=lambda span: span.start)

    def _longest(self, folded: str) -> list[Span]:
        found = [
            Span(kind, start, end)
            for kind, hint, finder in self._searches
            if hint.search(folded)
            for start, end in finder(folded, self.countries)
        ]
        taken = bytearray(len(folded))
        chosen = []
        for span in sorted(found, key=lambda span: span.start - span.end):
            if not any(taken[span.start : span.end]):
                taken[span.start : span.end] = bytes([1]) * (span.end - span.start)
                chosen.append(span)
        return chosen

    def masks(self, texts: pa.Array | pa.ChunkedArray) -> dict[str, NDArray[np.bool_]]:
        """For each kind a mask of the texts that contain it; a null contains none."""
        texts = texts.cast(pa.large_string())
        masks = {kind: np.zeros(len(texts), dtype=bool) for kind in self.kinds}
        # One search in compiled code leaves few rows for the exact search.
        hint = "|".join([*self._hints.values(), patterns.FOREIGN])
        hit = pc.fill_null(pc.match_substring_regex(texts, hint), False)
        rows = np.flatnonzero(hit.to_numpy(zero_copy_only=False))
        for row, text in zip(rows, texts.take(pa.array(rows)).to_pylist(), strict=True):
            for span in self.find(text):
                masks[span.kind][row] = True
        return masks


def blank(text: str, spans: Iterable[Span]) -> str:
    """Overwrite spans with characters that no value contains."""
    characters = list(text)
    for span in spans:
        characters[span.start : span.end] = BLANK * (span.end - span.start)
    return "".join(characters)
