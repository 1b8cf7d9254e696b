"""The ``contract`` section: what valid data is, and what happens to invalid rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from configs.language import english
from configs.values import Country, Fraction, Section, Severity

Strict = Literal["refuse", "quarantine"]
"""Severities of rules that every usable row must meet."""
Repeated = Literal["refuse", "quarantine", "drop", "warn"]
"""Severities of rules about rows that are there more than once."""
Treatment = Literal["refuse", "redact", "allow"]
PROTECTED: Treatment = "redact"


class Rules(Section):
    """What happens to rows that break a rule: `refuse` fails the run, `quarantine` removes the
    row from the data and stores it for review, `drop` removes and counts it, `warn` only counts it.
    """

    missing: Strict = "quarantine"
    """A value is missing, or a text has no visible character."""
    wrong_type: Strict = "quarantine"
    """A value is not of its column's type, such as a number where text belongs."""
    unknown_label: Strict = "quarantine"
    """A label is not in `data.labels`."""
    private_label: Strict = "quarantine"
    """A label holds private data that is not allowed, such as an address."""
    rare_label: Severity = "refuse"
    """A label has fewer training rows than `contract.min_rows_per_class`."""
    length: Severity = "quarantine"
    """A text is shorter than `contract.min_characters` or longer than `contract.max_characters`."""
    mojibake: Severity = "quarantine"
    """UTF-8 was decoded with another encoding, so that é became Ã©."""
    replacement: Severity = "warn"
    """A text has a replacement character (U+FFFD), so a character was lost."""
    control: Severity = "warn"
    """A text has control characters."""
    html: Severity = "warn"
    """A text has HTML tags or entities."""
    wrong_language: Severity = "warn"
    """A text is not in its declared language, with high confidence."""
    duplicates: Repeated = "drop"
    """The same row occurs twice in one split: the first is kept. The same input with another target
    is quarantined, also with `drop`: the target that was read last is kept."""
    label_conflict: Severity = "warn"
    """The same input occurs twice in one split with different targets."""
    leakage: Repeated = "quarantine"
    """The same text is in two splits: the test split keeps it before validation, and validation
    before train."""
    group_leakage: Severity = "quarantine"
    """A group of `data.group_column` is in two splits: the test split keeps its rows before
    validation, and validation before train."""
    near_duplicates: Severity = "warn"
    """Two texts of one split are near duplicates: the first is kept."""
    near_leakage: Severity = "warn"
    """Near duplicates are in two splits: the test split keeps its text before validation, and
    validation before train."""


class Privacy(Section):
    """What happens to personal data and secrets: `refuse` fails the run, `redact` puts a
    placeholder such as `[EMAIL_1]` in their place before anything is stored, `allow` leaves
    them.
    """

    email: Treatment = PROTECTED
    """E-mail addresses."""
    phone: Treatment = PROTECTED
    """Telephone numbers: international ones, and national ones of `countries`."""
    card: Treatment = PROTECTED
    """Numbers of payment cards (Luhn)."""
    iban: Treatment = PROTECTED
    """International bank account numbers."""
    national_id: Treatment = PROTECTED
    """National ids of `countries`."""
    ip_address: Treatment = PROTECTED
    """IPv4 and IPv6 addresses of hosts."""
    secret: Treatment = PROTECTED
    """Keys and tokens with well-known prefixes, and private keys."""
    countries: tuple[Country, ...] = ()
    """Countries whose national ids and telephone numbers to find, such as `[de, us]`."""

    @field_validator("countries", mode="before")
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        names = value if isinstance(value, list | tuple) else [value]
        return tuple(name.lower() if isinstance(name, str) else name for name in names)

    def treated(self, treatment: Treatment) -> tuple[str, ...]:
        """The kinds of private data that get a treatment."""
        kinds = (name for name in type(self).model_fields if name != "countries")
        return tuple(kind for kind in kinds if getattr(self, kind) == treatment)


class Drift(Section):
    """When new data differs too much from the training data of the champion."""

    severity: Literal["refuse", "warn"] = "warn"
    """`refuse` fails the run."""
    max_effect_size: Annotated[float, Field(gt=0, le=1000)] = 0.2
    """Largest effect size that counts as no drift: Cohen's w of labels, vocabulary and the
    champion's predictions, Cohen's d of text lengths. 0.1 is small, 0.3 medium, 0.5 large."""
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Confidence at which the effect must be larger than that."""
    num_predictions: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    """Rows that the champion predicts, to compare its predictions; 0 for none."""


class Contract(Section):
    """What valid data is, and what happens to invalid rows."""

    max_quarantined: Fraction = 0.01
    """The run fails if more than this share of the rows is quarantined."""
    rules: Rules = Rules()
    """Each rule's severity."""
    privacy: Privacy = Privacy()
    """Personal data and secrets."""
    drift: Drift = Drift()
    """Comparison with the training data of the champion."""
    repair: bool = False
    """Repair damaged encoding, control characters and HTML entities where the repair is
    unambiguous."""
    min_characters: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1
    """Shortest text, in characters."""
    max_characters: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1_000_000
    """Longest text, in characters."""
    near_duplicate_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """Jaccard similarity from which two texts are near duplicates."""
    sample_size: Annotated[int, Field(ge=0, le=1_000_000_000)] = 10_000
    """Number of texts that the slow rules check (language, near duplicates, label quality); 0 turns
    them off. The report says which share was checked."""
    label_quality: bool = False
    """Whether to list training rows that are probably labelled wrongly."""
    min_rows_per_class: Annotated[int, Field(ge=1, le=1_000_000_000)] = 8
    """Each label needs at least this many training rows."""
    max_truncated: Fraction = 0.5
    """The run fails if more than this share of the rows is longer than `model.max_length`."""
    max_unknown: Fraction = 0.2
    """The run fails if more than this share of the tokens of words is unknown to the model's
    tokenizer, as with texts in a language or script that it was not made for."""
    show_text: bool = False
    """Whether the report may quote rows; no other output does."""

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Contract:
        if self.min_characters > self.max_characters:
            raise ValueError(english("`min_characters` is greater than `max_characters`"))
        return self
