"""Patterns of national ids by country.

An id is verified by its check digit, or found by the words that announce it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.contract.rules.privacy_patterns import announcement_of, whole


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a national id.

    Attributes:
        shape: as group 1.
        modules: of python-stdnum, one of which must accept it; none if there is no check digit.
        announcement: words that must precede a shape that other numbers often have.
    """

    shape: re.Pattern[str]
    modules: tuple[str, ...] = ()
    announcement: re.Pattern[str] | None = None


def _form(shape: str, *modules: str, after: str = "") -> Form:
    announcement = announcement_of(rf"(?<![A-Za-z])(?:{after})") if after else None
    return Form(whole(shape), modules, announcement)


WORD = re.compile(r"\b[A-Za-z0-9]", re.ASCII)
_SEPARATED = "[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{3}"
NATIONAL_IDS: dict[str, tuple[Form, ...]] = {
    "at": (_form("[0-9]{4} ?[0-9]{6}", "at.vnr", after=r"sv-?nr|sozialvers\w*|vers\w*nummer"),),
    "au": (_form("[0-9]{3} ?[0-9]{3} ?[0-9]{2,3}", "au.tfn", after="tfn|tax file"),),
    "be": (_form("[0-9]{2}[. ]?[0-9]{2}[. ]?[0-9]{2}[- ]?[0-9]{3}[. ]?[0-9]{2}", "be.nn"),),
    "br": (_form(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}|[0-9]{11}", "br.cpf"),),
    "ca": (_form(f"{_SEPARATED}|[0-9]{{9}}", "ca.sin", after="sin|nas|social insurance"),),
    "ch": (_form(r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}|756[0-9]{10}", "ch.ssn"),),
    "cn": (_form("[0-9]{17}[0-9X]", "cn.ric"),),
    "de": (_form("[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", "de.idnr"),),
    "dk": (
        _form("[0-9]{6}-[0-9]{4}", "dk.cpr"),
        _form("[0-9]{10}", "dk.cpr", after="cpr"),
    ),
    "es": (
        _form(r"[0-9]{8}[ -]?[A-Z]|[0-9]{2}\.[0-9]{3}\.[0-9]{3}[ -]?[A-Z]", "es.dni"),
        _form("[XYZ][ -]?[0-9]{7}[ -]?[A-Z]", "es.nie"),
    ),
    "fi": (_form("[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Y]", "fi.hetu"),),
    "fr": (
        _form(
            "[1-478] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
            "fr.nir",
        ),
    ),
    "gb": (
        # Shape of a National Insurance number: HMRC manual NIM39110. It has no check digit.
        _form(
            "(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?"
            "[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]"
        ),
        _form("[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", "gb.nhs", after="nhs"),
    ),
    "ie": (_form("[0-9]{7}[A-W][A-IW]?", "ie.pps"),),
    "in": (
        _form("[2-9][0-9]{3} ?[0-9]{4} ?[0-9]{4}", "in_.aadhaar", after="aadhaar|uidai|uid"),
        _form("[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]", "in_.pan"),
    ),
    "it": (
        _form(
            "[A-Z]{3} ?[A-Z]{3} ?[0-9]{2}[A-EHLMPRST][0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{3}[A-Z]",
            "it.codicefiscale",
        ),
    ),
    "jp": (
        _form(
            "[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}",
            "jp.in_",
            after="my number|マイナンバー|個人番号",
        ),
    ),
    "kr": (_form("[0-9]{6}-[0-9]{7}", "kr.rrn"),),
    "mx": (_form("[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[A-Z0-9][0-9]", "mx.curp"),),
    "nl": (
        _form(r"[0-9]{4}\.[0-9]{2}\.[0-9]{3}", "nl.bsn"),
        _form(f"{_SEPARATED}|[0-9]{{9}}", "nl.bsn", after=r"bsn|burgerservice\w*|sofi\w*"),
    ),
    "no": (_form("[0-9]{6} ?[0-9]{5}", "no.fodselsnummer"),),
    "pl": (_form("[0-9]{11}", "pl.pesel"),),
    "pt": (
        _form("[0-9]{8} ?[0-9] ?[A-Z0-9]{2}[0-9]", "pt.cc"),
        _form(f"{_SEPARATED}|[0-9]{{9}}", "pt.nif", after="nif|contribuinte"),
    ),
    "se": (
        _form("(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}|[0-9]{12}", "se.personnummer"),
        _form("[0-9]{10}", "se.personnummer", after="personnummer|pnr"),
    ),
    "us": (
        _form("[0-9]{3}-[0-9]{2}-[0-9]{4}", "us.ssn", "us.itin"),
        _form(
            "[0-9]{3} [0-9]{2} [0-9]{4}|[0-9]{9}",
            "us.ssn",
            "us.itin",
            after="ssn|social security|itin",
        ),
    ),
    "za": (_form("[0-9]{6} ?[0-9]{4} ?[0-9]{3}", "za.idnr"),),
}
