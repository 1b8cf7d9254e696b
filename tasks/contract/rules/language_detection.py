"""Detect the language of a text by naive Bayes over byte n-grams (Lui and Baldwin 2012).

The model is inside the wheel of ``py3langid``. False alarms cost more than misses, so languages
that it confuses count as one, and a doubtful text has no language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

LEAST_BYTES: Final = 15
"""Bytes of letters that a text needs in UTF-8: 15 Latin letters, 8 Cyrillic, 5 Han."""
MOST_CHARACTERS: Final = 300
"""Characters that are read; more change no result and take longer."""
SURE: Final = 0.7
"""Least probability of a detected language."""
EXCLUDED: Final = 0.05
"""Highest probability of the declared language at which another one is reported."""
NO_LANGUAGE: Final = "zxx"

RELATIVES: Final = (
    *("en pcm", "no nn da", "zh wuu yue", "hr sr bs", "id ms", "ar ary arz", "pt gl", "cs sk"),
    *("bg mk", "es an ext", "it vec lij", "lv ltg", "he hbo", "el grc", "ku sdh", "tt ba"),
    *("tl bcl", "uz uzs", "xh zu", "st nso", "ht gcf gcr"),
)
"""Languages that count as one, by the first of them. Short English questions are taken for Nigerian
Pidgin."""

ALIASES: Final = (
    "afr:af alb:sq amh:am ara:ar arb:ar arg:an arm:hy asm:as aze:az azj:az bak:ba baq:eu bel:be "
    "ben:bn bos:bs bre:br bul:bg bur:my cat:ca ces:cs chi:zh cmn:zh cym:cy cze:cs dan:da deu:de "
    "dut:nl dzo:dz ekk:et ell:el eng:en epo:eo est:et eus:eu fao:fo fas:fa fil:tl fin:fi fra:fr "
    "fre:fr fry:fy geo:ka ger:de gla:gd gle:ga glg:gl gn:gug gre:el grn:gug guj:gu hat:ht hau:ha "
    "heb:he hin:hi hrv:hr hun:hu hye:hy ibo:ig ice:is in:id ind:id isl:is ita:it iw:he jav:jv "
    "jpn:ja kan:kn kat:ka kaz:kk khk:mn khm:km ki:kik kin:rw kir:ky kmr:ku kor:ko kur:ku lao:lo "
    "lat:la lav:lv lin:ln lit:lt ltz:lb lug:lg lvs:lv mac:mk mal:ml mar:mr may:ms mkd:mk mlg:mg "
    "mlt:mt mon:mn msa:ms mya:my nb:no nep:ne nld:nl nno:nn nob:no nor:no npi:ne oci:oc ori:or "
    "orm:om ory:or pan:pa per:fa pes:fa plt:mg pol:pl por:pt prs:fa pus:ps que:qu ron:ro rum:ro "
    "rus:ru san:sa sh:sr sin:si slk:sk slo:sk slv:sl sme:se sna:sn som:so sot:st spa:es sqi:sq "
    "srp:sr swa:sw swe:sv swh:sw tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tuk:tk tur:tr uig:ug "
    "ukr:uk urd:ur uzb:uz uzn:uz vie:vi vol:vo wel:cy wln:wa xho:xh yor:yo zho:zh zsm:ms zul:zu"
)
"""ISO 639-3 and -2 codes, and old ones of ISO 639-1, each with the model's label."""


class Detector:
    """Finds texts that are surely not in the declared language, if the model ``knows`` it.

    Args:
        declared: a code such as ``en``, ``eng``, ``zh_CN`` or ``deu_Latn``.
    """

    def __init__(self, declared: str) -> None:
        code = re.split("[-_]", declared)[0].lower()
        self._model = _model()
        self._declared = _home(_aliases().get(code, code))
        known = {_home(label) for label in self._model.labels} - {NO_LANGUAGE}
        self.knows = self._declared in known

    def wrong(self, texts: Sequence[str]) -> list[str | None]:
        """The language of each text that is surely in another than declared, and None for others.

        Languages are ISO 639-1 codes, or 639-3 where there is none.
        """
        if not self.knows:
            return [None] * len(texts)
        return [self._other(text[:MOST_CHARACTERS]) for text in texts]

    def _other(self, text: str) -> str | None:
        if len("".join(filter(str.isalpha, text)).encode()) < LEAST_BYTES:
            return None
        # Most texts end here, since a ranking takes longer.
        if _home(self._model.classify(text)[0]) == self._declared:
            return None
        ranking: list[tuple[str, float]] = self._model.rank(text)
        shares: dict[str, float] = {}
        for label, share in ranking:
            shares[_home(label)] = shares.get(_home(label), 0) + share
        best = max(shares, key=lambda home: shares[home])
        if best == NO_LANGUAGE or shares[best] < SURE or shares[self._declared] > EXCLUDED:
            return None
        members = [label for label, _ in ranking if _home(label) == best]
        return next((label for label in members if len(label) == 2), members[0])


@cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _aliases() -> dict[str, str]:
    return dict(pair.split(":") for pair in ALIASES.split())


@cache
def _homes() -> dict[str, str]:
    return {label: group.split()[0] for group in RELATIVES for label in group.split()}


def _home(label: str) -> str:
    return _homes().get(label, label)
