"""Calls under a running loop, interrupts, and the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from onestep.session import outside_loop, session


def test_without_a_loop_work_is_done_in_this_thread() -> None:
    assert outside_loop(threading.current_thread) is threading.current_thread()


def test_under_a_loop_work_is_done_in_another_thread() -> None:
    def work() -> threading.Thread:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return threading.current_thread()

    async def call() -> threading.Thread:
        return outside_loop(work)

    assert asyncio.run(call()) is not threading.main_thread()


def test_under_a_loop_errors_come_through() -> None:
    def work() -> None:
        raise ValueError("mine")

    async def call() -> None:
        outside_loop(work)

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(call())


def test_an_interrupt_reaches_the_thread_and_waits_for_it() -> None:
    events: list[str] = []
    begun = threading.Event()

    def work() -> None:
        begun.set()
        try:
            while True:
                time.sleep(0.01)
        finally:
            events.append("cleaned up")

    def interrupt() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    async def call() -> None:
        threading.Thread(target=interrupt).start()
        # asyncio's own handler would cancel the task instead of raising.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        outside_loop(work)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(call())
    assert events == ["cleaned up"]


def test_the_environment_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "before")
    before = dict(os.environ)
    with session(tmp_path) as workspace:
        os.environ |= {"MINE": "changed", "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    assert workspace.root == tmp_path
    assert dict(os.environ) == before


def test_bars_of_other_libraries_are_off_for_the_call_only(tmp_path: Path) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    before = are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    with session(tmp_path):
        assert are_progress_bars_disabled()
        assert not logging.is_progress_bar_enabled()
    assert (are_progress_bars_disabled(), logging.is_progress_bar_enabled()) == before
