"""Text from data in tables of the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Group
from rich.text import Text

from flows.cli.progress import Display
from flows.cli.tables import PlainConsole, difference, table
from flows.models.diff import Difference
from onestep import display
from tasks.progress import Notice

LABELS = ["[other]", "[/other]", "[red]x[/red]", ":smile:", "\\[a]", "a[link=b]c"]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_shown_as_it_is(label: str) -> None:
    drawn = Group(table([label, label], [[label, label]], label), Text(label), label)
    assert display.text(drawn).count(label) == 7
    assert display.html(drawn).count(label) == 7


@pytest.mark.parametrize("label", LABELS)
def test_a_note_is_shown_as_it_is(label: str) -> None:
    console = PlainConsole(file=io.StringIO(), width=80)
    Display(console)(Notice(label))
    assert console.file.getvalue() == f"  note: {label}\n"  # type: ignore[attr-defined]


def test_a_terminal_does_not_obey_control_characters_of_data() -> None:
    console = PlainConsole(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(Group(table(["\x1b[2J"], [["\x1b[31m"]]), Text("\x1b]0;t\x07"), "\x9b1m"))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.strip() for line in printed.splitlines()] == ["␛[2J", "␛[31m", "␛]0;t", "�1m"]


def test_a_number_of_rows_has_no_fraction() -> None:
    metrics = {"accuracy": (1.0, 0.5), "rows": (30.0, None)}
    found = Difference(("a/1", "a/2"), {}, {}, metrics, ("accuracy", "accuracy"), {}, None)
    lines = [line.split() for line in display.text(difference(found)).splitlines()]
    assert ["accuracy", "1.0000", "0.5000"] in lines
    assert ["rows", "30"] in lines


def test_digests_of_data_are_short_in_a_difference() -> None:
    data = {"files.train": ("ab" * 32, f"{'cd' * 32}, {'ef' * 32}")}
    found = Difference(("a/1", "a/2"), {}, data, {}, ("accuracy", "accuracy"), {}, None)
    lines = [line.split() for line in display.text(difference(found)).splitlines()]
    assert ["files.train", "ab" * 6, f"{'cd' * 6},", "ef" * 6] in lines
