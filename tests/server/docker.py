"""A stand-in for ``docker``, which does without containers what the documentation asks of it.

Commands run on this machine, in the environment of their service. Services start and stop in the
process that has them, an :class:`Engine`. An option that this module does not know is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from tests.server.compose import LOOPBACK, PORTS, Composition, settings_in
from tests.server.stand import Stand, binaries, installed
from tests.support.commands import environment

STATE = "ONESTEP_TEST_STAND"
SERVICES = (*PORTS, "worker")
PROGRAM = f"""\
#!/bin/sh
exec {sys.executable} -m tests.server.docker "$@"
"""


class Engine:
    """Answers to the stand-in, in the process that has the servers.

    Args:
        stand: the servers.
        clone: where ``compose.yaml`` and ``.env`` are.
    """

    def __init__(self, stand: Stand, clone: Path) -> None:
        self.stand = stand
        self.clone = clone

    def answer(self, words: list[str]) -> str:
        """Do what is asked; what is returned is a complaint."""
        what, *services = words
        if complaint := self._lacks():
            return complaint
        if what == "up":
            for service in services or SERVICES:
                self.stand.up(service)
        elif what == "stop":
            self.stand.stop(*services)
        return ""

    def _lacks(self) -> str:
        filled_in = settings_in(self.clone / ".env") == self.stand.composition.settings
        return "" if filled_in else ".env is not filled in"


@contextmanager
def engine(stand: Stand, clone: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Put the stand-in into a folder, and answer to it for as long as the block runs.

    Yields:
        The environment that a shell needs to find it.
    """
    program = folder / "docker"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    own = Engine(stand, clone)
    with Listener(family="AF_UNIX") as listener:
        threading.Thread(target=_serve, args=(listener, own), daemon=True).start()
        state = folder / "state.json"
        state.write_text(json.dumps(_state(stand, str(listener.address))), encoding="utf-8")
        root = str(Path(__file__).parents[2])
        path = f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        yield {STATE: str(state), "PYTHONPATH": root, "PATH": path}


def _serve(listener: Listener, own: Engine) -> None:
    while True:
        try:
            connection: Connection[Any, Any] = listener.accept()
        except OSError:
            return
        with connection:
            try:
                connection.send(own.answer(connection.recv()))
            except Exception as error:
                connection.send(f"{type(error).__name__}: {error}")


def _state(stand: Stand, address: str) -> dict[str, Any]:
    made = stand.composition
    database = {
        "PGHOST": LOOPBACK,
        "PGPORT": str(made.ports["database"]),
        "PGPASSWORD": made.settings["DATABASE_PASSWORD"],
        "PATH": f"{binaries()}{os.pathsep}{os.environ['PATH']}",
    }
    own = {name: made.environment(name) for name in ("prefect", "mlflow", "worker")}
    return {
        "address": address,
        "environments": own | {"database": database},
        "folder": str(stand.folder),
        "ports": dict(made.ports),
    }


def main() -> None:
    """Do what the words on the command line ask."""
    state = json.loads(Path(os.environ[STATE]).read_text(encoding="utf-8"))
    asked = _parser().parse_args()
    if asked.what in ("exec", "run"):
        _execute(state, asked.service, asked.words)
    elif asked.what == "logs":
        os.execvp("tail", ["tail", "-n", "+1", "-f", f"{state['folder']}/{asked.service}.log"])
    elif asked.what == "tool":
        _with_volumes(state, asked.volume, asked.words)
    with Client(state["address"], family="AF_UNIX") as connection:
        connection.send([asked.what, *asked.services])
        sys.exit(connection.recv() or None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="docker", allow_abbrev=False)
    programs = parser.add_subparsers(required=True)
    tool = programs.add_parser("run", allow_abbrev=False)
    tool.set_defaults(what="tool")
    tool.add_argument("--rm", action="store_true", required=True)
    tool.add_argument("--volume", action="append", default=[])
    tool.add_argument("image")
    tool.add_argument("words", nargs=argparse.REMAINDER)
    verbs = programs.add_parser("compose").add_subparsers(dest="what", required=True)
    flags = {"exec": ["-T"], "run": ["--rm", "--no-deps"], "logs": ["--follow"]}
    flags |= {"up": ["--detach", "--wait"], "stop": [], "build": [], "create": []}
    for name, known in flags.items():
        verb = verbs.add_parser(name, allow_abbrev=False)
        for flag in known:
            verb.add_argument(flag, action="store_true", required=flag != "-T")
        if name in ("exec", "run", "logs"):
            verb.add_argument("service", choices=SERVICES)
        if name in ("exec", "run"):
            verb.add_argument("words", nargs=argparse.REMAINDER)
        if name not in ("exec", "run", "logs"):
            verb.add_argument("services", nargs="*")
    return parser


def _execute(state: dict[str, Any], service: str, words: list[str]) -> None:
    """Become a command of a service."""
    folder = Path(state["folder"])
    here = Composition({}, state["ports"], folder)
    command = installed([here.here(word) for word in words])
    own = environment(folder, **state["environments"][service])
    os.execvpe(command[0], command, own)


def _with_volumes(state: dict[str, Any], volumes: list[str], words: list[str]) -> None:
    """Run a tool on what it would see as its volumes."""
    names = {"onestep_store": f"{state['folder']}/store"}
    places = {}
    for volume in volumes:
        source, target, *_ = volume.split(":")
        places[target] = source if source.startswith("/") else names[source]
    command = [_moved(word, places) for word in words]
    sys.exit(subprocess.run(command, check=False).returncode)


def _moved(word: str, places: dict[str, str]) -> str:
    for target, source in places.items():
        if word == target or word.startswith(f"{target}/"):
            return source + word.removeprefix(target)
    return word


if __name__ == "__main__":
    main()
