"""What a command says when it is told to stop."""

from __future__ import annotations

import signal
import threading

import pytest

from flows.cli import stopping


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_only_a_run_goes_on_later(
    number: int, code: int, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_begun", threading.Event())
    assert stopping.ending(number) == (code, word)
    with stopping.bounded():
        assert stopping.ending(number) == (code, f"{word}; the same command goes on from here")
