"""The hidden Prefect server: lives while a command uses it, and keeps its history.

Every command that needs it holds a shared lock while it runs. The server ends when it can take that
lock exclusively, which also happens when its last user was killed.
"""

from __future__ import annotations

import argparse
import fcntl
import socket
import threading
import time
from pathlib import Path
from typing import IO

from tasks.processes.children import no_collection
from tasks.trace import span

POLL_SECONDS = 0.5
IDLE_POLLS = 4


def main() -> None:
    """Serve on an inherited, listening socket until the users' lock is free."""
    parser = argparse.ArgumentParser(description="Serve Prefect on an inherited socket.")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--users", type=Path, required=True, help="lock file of the users")
    arguments = parser.parse_args()
    with span("load Prefect's server"), no_collection():
        import uvicorn
        from prefect.server.api.server import create_app

        config = uvicorn.Config(
            create_app(), log_level="error", lifespan="on", timeout_graceful_shutdown=3
        )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_without_users, args=(server, arguments.users), daemon=True).start()
    server.run(sockets=[socket.socket(fileno=arguments.socket)])


def _end_without_users(server: object, users: Path) -> None:
    """End the server when it has been idle for a while; its last events are stored by then."""
    with users.open("a") as stream:
        idle = 0
        while idle < IDLE_POLLS:
            time.sleep(POLL_SECONDS)
            idle = idle + 1 if _is_free(stream) else 0
        # Held until the process ends: a new user waits, and starts another server.
        fcntl.flock(stream, fcntl.LOCK_EX)
        server.should_exit = True  # type: ignore[attr-defined]
        threading.Event().wait()


def _is_free(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(stream, fcntl.LOCK_UN)
    return True


if __name__ == "__main__":
    main()
