"""Run a server that ends with whoever started it, even if that one is killed.

Standard input is the leash: it closes when the owner is gone. Started in a session of its own, the
whole process group then ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 5.0


def main(command: list[str]) -> None:
    """Run a command until it ends or standard input closes."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    # Not the default: the leash outlives the request, to kill what does not follow it.
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=_end_after_owner, daemon=True).start()
    sys.exit(child.wait())


def _end_after_owner() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
