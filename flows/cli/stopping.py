"""The end of a run that is told to stop, also if its servers were stopped at the same time."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import typer

from configs.language import english, translated
from flows.servers.prefect import configured

ENDINGS: Final = {
    int(signal.SIGINT): (130, english("interrupted")),
    int(signal.SIGTERM): (143, english("terminated")),
}
"""Exit code and word of each signal."""
GOES_ON: Final = english("the same command goes on from here")
LOOK_SECONDS: Final = 0.5
LOOKS: Final = 3
_received: list[int] = []
_begun = threading.Event()


def ending(number: int) -> tuple[int, str]:
    """Exit code and sentence of a signal; a server is over, and only a run goes on later."""
    code, word = ENDINGS[number]
    return code, f"{word}; {GOES_ON}" if _begun.is_set() else word


def received() -> int | None:
    """The first signal to stop that came during :func:`bounded`."""
    return _received[0] if _received else None


@contextmanager
def bounded() -> Iterator[None]:
    """End the process soon after a signal if Prefect does not answer, which would be waited for.

    What is unfinished is settled by the next run, as after a kill. The worker ends by itself.
    """
    _begun.set()
    _received.clear()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # Prefect replaces the handlers of signals, but not this.
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()


def _watch(reader: socket.socket) -> None:
    with reader:
        while byte := reader.recv(1):
            if byte[0] in ENDINGS:
                _received.append(byte[0])
                _end_without_server(byte[0])


def _end_without_server(number: int) -> None:
    """Wait for the usual end, which comes first while the server answers."""
    silent = 0
    while silent < LOOKS:
        time.sleep(LOOK_SECONDS)
        silent = 0 if _answers(configured() or "") else silent + 1
    code, sentence = ending(number)
    with suppress(OSError, ValueError):
        typer.echo(translated(sentence), err=True)
    os._exit(code)


def _answers(url: str) -> bool:
    """Whether a server listens at an address."""
    try:
        address = urlsplit(url)
        port, host = address.port or (443 if address.scheme == "https" else 80), address.hostname
        if address.scheme in getproxies() and not proxy_bypass(host or ""):
            # A proxy answers whether or not the server does.
            return True
        socket.create_connection((host or "", port), LOOK_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
