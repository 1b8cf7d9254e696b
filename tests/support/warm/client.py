"""Stand in for a command: let a server run it with these streams, and end as it ends.

It is started without site packages, in milliseconds, as ``client.py SOCKET NAME ARGUMENT...``.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

PROGRAMS = {
    "onestep": [str(Path(sys.executable).with_name("onestep"))],
    "fork_server": ["-m", "tasks.processes.fork_server"],
    "script": ["-P", "-"],
}
where, name, *arguments = sys.argv[1:]
served = json.loads(Path(where).with_name("environment.json").read_text("utf-8"))


def imported_with(environment):
    """What decides how the server's libraries are imported."""
    items = {key: environment[key] for key in environment if key.startswith(tuple(served["read"]))}
    return {key: value for key, value in items.items() if served["set"].get(key) != value}


if imported_with(os.environ) != imported_with(served["environment"]):
    os.execv(sys.executable, [sys.executable, *PROGRAMS[name], *arguments])

with socket.socket(socket.AF_UNIX) as server:
    server.connect(where)
    asked = {"command": sys.argv[2:], "environment": dict(os.environ), "folder": os.getcwd()}
    socket.send_fds(server, [b"\0"], [0, 1, 2])
    server.sendall(json.dumps(asked).encode() + b"\n")
    with server.makefile() as answers:
        pid = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        code = int(answers.readline() or 70)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
