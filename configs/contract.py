"""The ``contract`` section: what valid data is, and what happens to a row that is not."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from configs.section import Section
from configs.values import Country, Fraction, Severity

Strict = Literal["refuse", "quarantine"]
"""Of rules without which a row cannot be used."""
Treatment = Literal["refuse", "redact", "allow"]
PROTECTED: Treatment = "redact"


class Rules(Section):
    """What happens to rows that break a rule: `refuse` fails the run, `quarantine` sets the row
    aside, `warn` only counts it.
    """

    missing: Strict = "quarantine"
    """A value is missing, or a text has nothing to see."""
    wrong_type: Strict = "quarantine"
    """A value is not of its column's type, such as a number where text belongs."""
    unknown_label: Strict = "quarantine"
    """A label is none of those that `data.labels` declares."""
    private_label: Strict = "quarantine"
    """A label holds private data that is not allowed, such as an address."""
    rare_label: Severity = "refuse"
    """A label has fewer training rows than `contract.min_rows_per_class`."""
    length: Severity = "quarantine"
    """A text is shorter than `contract.min_characters` or longer than `contract.max_characters`."""
    mojibake: Severity = "quarantine"
    """UTF-8 was read in another encoding, so that é became Ã©."""
    replacement: Severity = "warn"
    """A replacement character (U+FFFD) stands where a character was lost."""
    control: Severity = "warn"
    """Control characters, which no keyboard types."""
    html: Severity = "warn"
    """Tags or entities of HTML are left in a text."""
    wrong_language: Severity = "warn"
    """A text is surely not in its declared language."""
    duplicates: Severity = "quarantine"
    """The same row twice in one split: the first is kept."""
    label_conflict: Severity = "warn"
    """The same input twice in one split, with different targets."""
    leakage: Severity = "quarantine"
    """The same text in two splits: the row is kept in the test split, then in validation."""
    group_leakage: Severity = "quarantine"
    """The same `data.group_column` in two splits: its rows are kept in the test split, then in
    validation."""
    near_duplicates: Severity = "warn"
    """Two nearly equal texts in one split: the first is kept."""
    near_leakage: Severity = "warn"
    """Two nearly equal texts in two splits: kept in the test split, then in validation."""


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
        """The kinds that are treated in one way."""
        kinds = (name for name in type(self).model_fields if name != "countries")
        return tuple(kind for kind in kinds if getattr(self, kind) == treatment)


class Drift(Section):
    """When new data differs too much from what the champion was trained on."""

    severity: Literal["refuse", "warn"] = "warn"
    """`refuse` fails the run."""
    max_effect_size: Annotated[float, Field(gt=0)] = 0.2
    """Largest effect size that counts as no drift: Cohen's w of labels, vocabulary and the
    champion's predictions, Cohen's d of text lengths. 0.1 is small, 0.3 medium, 0.5 large."""
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """How sure it must be that the effect is larger than that."""
    num_predictions: Annotated[int, Field(ge=0)] = 500
    """Rows that the champion predicts to compare its answers; 0 for none."""


class Contract(Section):
    """What valid data is, and what happens to a row that is not."""

    max_quarantined: Fraction = 0.01
    """The run fails if more than this share of the rows is set aside."""
    rules: Rules = Rules()
    """Each rule's severity."""
    privacy: Privacy = Privacy()
    """Personal data and secrets."""
    drift: Drift = Drift()
    """Comparison with the data of the champion."""
    repair: bool = False
    """Mend damaged encoding, control characters and entities of HTML where that needs no guess."""
    min_characters: Annotated[int, Field(ge=0)] = 1
    """Shortest text, in characters."""
    max_characters: Annotated[int, Field(ge=0)] = 1_000_000
    """Longest text, in characters."""
    near_duplicate_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """Jaccard similarity from which two texts are nearly equal."""
    sample_size: Annotated[int, Field(ge=0)] = 10_000
    """Texts that the slow rules look at (language, nearly equal texts, label quality); 0 turns them
    off. The report says what share that was."""
    label_quality: bool = False
    """Whether to point out training rows that are probably labelled wrongly."""
    min_rows_per_class: Annotated[int, Field(ge=1)] = 8
    """Each label needs at least this many training rows."""
    max_truncated: Fraction = 0.5
    """The run fails if more than this share of the rows is longer than `model.max_length`."""
    show_text: bool = False
    """Whether the report may quote rows; nothing else ever does."""

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Contract:
        if self.min_characters > self.max_characters:
            raise ValueError("`min_characters` is greater than `max_characters`")
        return self
