"""Messages in the reader's language, and the catalogue that has all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from configs.errors import Problem
from configs.language import PLACEHOLDER, VARIABLES, _, english, language, translated
from tests.docs.markdown import ROOT
from tests.support.messages import MO, PO, calls, catalogue, compiled, completed, sources

CONSTRUCTORS = ("ConfigError", "DataError", "ModelError", "UserError")
LOCATED = ("Problem", *(f"{name}.at" for name in CONSTRUCTORS))
"""What takes a place before its texts."""
CONSTRUCTORS += ("Failure", "StorageFailure", "WorkerFailure", "TrackingFailure", "Notice")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    speak(monkeypatch, LANGUAGE="zh_CN.UTF-8")


def speak(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_CN.GB18030"}, "zh_CN"),
        ({"LANG": "zh_CN"}, "zh_CN"),
        ({"LANG": "zh"}, "zh_CN"),
        ({"LANG": "zh-Hans"}, "zh_CN"),
        ({"LANG": "zh_TW.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_ALL": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh_CN"),
        ({"LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "en:zh_CN"}, "en"),
        ({"LANGUAGE": "fr:zh_CN"}, "zh_CN"),
        ({"LANGUAGE": "", "LANG": "zh_CN.UTF-8"}, "zh_CN"),
    ],
)
def test_the_first_variable_that_is_set_decides(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    speak(monkeypatch, **variables)
    assert language() == expected


@pytest.mark.usefixtures("chinese")
def test_values_are_filled_in_and_never_formatted() -> None:
    assert _("no such file") == "没有这个文件"
    assert _("not valid YAML: {message}", message="{0} {x") == "不是合法的 YAML：{0} {x"


@pytest.mark.usefixtures("chinese")
def test_a_stored_text_is_found_by_the_message_that_made_it() -> None:
    one = english(
        "{words}; try a lower training.learning_rate than {learning_rate:g}",
        words=english("more rows of them"),
        learning_rate=2e-5,
    )
    assert translated(one) == "这些标签的更多数据行；可以尝试比 2e-05 更小的 training.learning_rate"
    assert translated("its schedule was changed; repair it first") == (
        "它的定时计划有变化；请先修复它"
    )
    assert translated("models:/a/1; not promoted: 3 test rows: enough") == (
        "models:/a/1；未晋升：3 个测试行: enough"
    )
    assert translated("what nobody says") == "what nobody says"
    assert translated("") == ""


@pytest.mark.usefixtures("chinese")
def test_values_that_look_like_messages_stay_as_they_are() -> None:
    assert (
        translated(
            english(
                "unknown column {unknown!r}; {name} has {canonical}",
                unknown="training",
                name="x",
                canonical="none",
            )
        )
        == "未知的列 'training'；x 的列有 none"
    )
    assert translated("text: unknown key (none)") == "text: 未知的键 (无)"
    found = Problem("data", "unknown key", "repair it first").translated()
    assert str(found) == "data: 未知的键 (请先修复它)"


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (
            "expected text in column 'Billing: refund', found only numbers",
            "列 'Billing: refund' 中应为文本，实际只有数值",
        ),
        (
            "expected a column 'text', found 'Billing: refund', 'a; b' (rename one)",
            "应有列 'text'，实际为 'Billing: refund', 'a; b' (请给其中一列改名)",
        ),
        (
            """rename one (set data.sheet: "Billing: refund" or data.sheet: "Q2; x")""",
            """请给其中一列改名 (请设置 data.sheet: "Billing: refund" or data.sheet: "Q2; x")""",
        ),
        ("what the big Billing: refund says", "what the big Billing: refund says"),
        ("no such file; who; knows", "没有这个文件; who; knows"),
        ("rename one; repair it first", "请给其中一列改名；请先修复它"),
    ],
)
def test_values_keep_their_punctuation(stored: str, expected: str) -> None:
    assert translated(stored) == expected


def test_the_catalogue_has_every_message_and_no_other() -> None:
    assert PO.read_bytes() == completed(catalogue()), "run: python -m tests.docs"
    assert MO.read_bytes() == compiled(catalogue()), "run: python -m tests.docs"


def test_every_message_is_translated_with_its_placeholders() -> None:
    for message in catalogue():
        if message.id:
            places = [
                sorted(map(str, PLACEHOLDER.findall(text))) for text in (message.id, message.string)
            ]
            assert message.string.strip()
            assert not message.fuzzy, message.id
            assert places[0] == places[1], message.id


def test_a_message_has_a_value_for_each_placeholder() -> None:
    for path in sources("*.py"):
        for call in calls(path, ("_", "english")):
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            text = call.args[0]
            if isinstance(text, ast.Name) and text.id == "message":
                # A function of messages passes its own on.
                continue
            assert isinstance(text, ast.Constant), f"{where}: not a literal"
            given = {keyword.arg for keyword in call.keywords}
            if given and None not in given:
                names = {place[1] for place in PLACEHOLDER.finditer(str(text.value))}
                assert {name.split(".")[0].split("[")[0] for name in names} == given, where


def test_errors_and_notices_are_translated() -> None:
    assert [*bare_texts()] == []


def bare_texts() -> Iterator[str]:
    """Where an error or a notice gets a text that is not a message."""
    for path in sources("*.py"):
        name = str(path.relative_to(ROOT))
        for call in calls(path, (*CONSTRUCTORS, *LOCATED)):
            texts = call.args[1:] if ast.unparse(call.func) in LOCATED else call.args
            yield from (f"{name}:{text.lineno}" for text in texts if is_bare(text))


def is_bare(text: ast.expr) -> bool:
    return isinstance(text, ast.JoinedStr) or bool(isinstance(text, ast.Constant) and text.value)
