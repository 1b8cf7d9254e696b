"""Ports on loopback."""

from __future__ import annotations

import socket

from configs.errors import Problem, UserError

HOST = "127.0.0.1"


def refuse_taken(port: int, option: str) -> None:
    """Refuse a port that is in use.

    Raises:
        UserError: naming the option that gives another.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise UserError(Problem(option, f"port {port} is taken", "name another one")) from None
