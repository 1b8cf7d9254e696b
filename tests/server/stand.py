"""PostgreSQL, an object store, a Prefect server and an MLflow server, on loopback ports.

The servers are started by the commands and with the environment of ``compose.yaml``.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg2

from tasks.training.launchers import stop
from tests.server.compose import LOOPBACK, PORTS, Composition, example
from tests.support.commands import environment

BINARIES = Path("/usr/lib/postgresql")
BUCKET = "mlflow"
START_SECONDS = 180.0
UNSAFE_BUT_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
MISSING = "these tests need the server of PostgreSQL; as root, `make postgres` installs it"
HEALTH = {"store": "/", "prefect": "/api/health", "mlflow": "/health"}
Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Stand:
    """The servers, and how to reach them.

    Attributes:
        composition: what they were started from.
        folder: their files.
    """

    composition: Composition
    folder: Path

    def worker(self, **changes: str) -> dict[str, str]:
        """The environment of a worker, without its home."""
        found = self.composition.environment("worker")
        del found["ONESTEP_HOME"]
        return found | changes

    def address(self, service: str) -> str:
        """Where a service listens."""
        return f"http://{LOOPBACK}:{self.composition.ports[service]}"

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL."""
        connection = self._connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def create_databases(self) -> None:
        """Do what PostgreSQL's image does on its first start."""
        connection = self._connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.composition.database}")
            for statement in self.composition.config("databases").splitlines():
                cursor.execute(statement)
        connection.close()

    def _connect(self, database: str) -> Any:
        return psycopg2.connect(
            host=LOOPBACK,
            port=self.composition.ports["database"],
            user=self.composition.role,
            password=self.composition.settings["DATABASE_PASSWORD"],
            dbname=database,
        )

    def objects(self) -> dict[str, int]:
        """Name and size of every object in the store."""
        found = self.composition.environment("bucket")
        store = boto3.client(
            "s3",
            endpoint_url=found["AWS_ENDPOINT_URL"],
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
            region_name=found["AWS_DEFAULT_REGION"],
        )
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {e["Key"]: e["Size"] for page in pages for e in page.get("Contents", ())}

    def environment(self, service: str) -> dict[str, str]:
        """The whole environment of a service's process."""
        return environment(self.folder, **self.composition.environment(service))


@contextmanager
def servers() -> Iterator[Stand]:
    """Run every server for as long as the block runs."""
    # Not below pytest's own folder, into which another user may not look.
    folder = Path(tempfile.mkdtemp(prefix="onestep-servers-"))
    folder.chmod(0o755)
    ports = {name: free_port() for name in PORTS}
    stand = Stand(Composition(_settings(), ports, folder), folder)
    try:
        with ExitStack() as stack:
            _start_all(stack, stand)
            yield stand
    finally:
        shutil.rmtree(folder)


def _start_all(stack: ExitStack, stand: Stand) -> None:
    composition = stand.composition
    _start_database(stack, stand)
    stand.create_databases()
    prefect = _start(stack, stand, "prefect", composition.command("prefect"))
    port = str(composition.ports["store"])
    store = _start(stack, stand, "store", ["moto_server", "--host", LOOPBACK, "--port", port])
    _wait(stand, "store", store)
    subprocess.run(
        _installed(composition.command("bucket")), env=stand.environment("bucket"), check=True
    )
    composition.write_configs("mlflow")
    mlflow = _start(stack, stand, "mlflow", composition.command("mlflow"))
    _wait(stand, "prefect", prefect)
    _wait(stand, "mlflow", mlflow)


def _start_database(stack: ExitStack, stand: Stand) -> None:
    binaries = _binaries()
    folder, port = stand.folder / "database", stand.composition.ports["database"]
    user = _owner()
    folder.mkdir()
    password = stand.folder / "password"
    password.write_text(stand.composition.settings["DATABASE_PASSWORD"], encoding="utf-8")
    for path in (folder, password):
        path.chmod(0o700)
        os.chown(path, user.pw_uid, user.pw_gid)
    as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    prefix = as_user if os.geteuid() == 0 else []
    create = [binaries / "initdb", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
    create += [f"--username={stand.composition.role}", "--encoding=UTF8", "--locale=C", folder]
    subprocess.run([*prefix, *map(str, create)], check=True, stdout=subprocess.DEVNULL)
    serve = [binaries / "postgres", "-D", folder, "-h", LOOPBACK, "-p", port, "-k", folder]
    fast = [word for setting in UNSAFE_BUT_FAST for word in ("-c", setting)]
    process = _start(stack, stand, "database", [*prefix, *map(str, serve), *fast])
    ready = [binaries / "pg_isready", "-q", "-h", LOOPBACK, "-p", str(port)]
    _wait_until(process, lambda: subprocess.run(ready, check=False).returncode == 0)


def _binaries() -> Path:
    """Where the programs of PostgreSQL's server are; Debian keeps them beside the PATH."""
    if known := sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])):
        return known[-1].parent
    found = shutil.which("initdb")
    assert found is not None, MISSING
    return Path(found).resolve().parent


def _owner() -> pwd.struct_passwd:
    """Who owns the database: PostgreSQL refuses to run as root."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _start(stack: ExitStack, stand: Stand, service: str, command: Sequence[str]) -> Process:
    """Start a server that ends with the stack, or with this process if that is killed."""
    declared = service not in ("database", "store")
    own = stand.environment(service) if declared else environment(stand.folder)
    with (stand.folder / f"{service}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.leash", *_installed(command)],
            env=own,
            cwd=stand.folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stack.callback(stop, process)
    return process


def _installed(command: Sequence[str]) -> list[str]:
    """A command with the path of its program in this environment, if it has it."""
    program = Path(sys.executable).with_name(command[0])
    return [str(program) if program.exists() else command[0], *command[1:]]


def _wait(stand: Stand, service: str, process: Process) -> None:
    def answers() -> bool:
        with suppress(OSError):
            urllib.request.urlopen(stand.address(service) + HEALTH[service], timeout=5).close()
            return True
        return False

    try:
        _wait_until(process, answers)
    except AssertionError:
        print((stand.folder / f"{service}.log").read_text("utf-8", "replace"))
        raise


def _wait_until(process: Process, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert process.poll() is None, "a server ended"
        assert time.monotonic() < deadline, "a server does not answer"
        time.sleep(0.1)


def _settings() -> dict[str, str]:
    """A filled in ``.env``."""
    made = {name: value or f"a{secrets.token_hex(12)}" for name, value in example().items()}
    return made | {"PREFECT_AUTH": f"onestep:{secrets.token_hex(12)}"}


def free_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
