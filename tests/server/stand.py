"""PostgreSQL, an object store, a Prefect server and an MLflow server, on loopback ports.

The services are started by the commands and with the environment of ``compose.yaml``.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psycopg2

from tasks.processes import children
from tests.docs.markdown import ROOT
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
        composition: what they are started from.
        folder: their files.
        running: the process of each service that was started.
    """

    composition: Composition
    folder: Path
    running: dict[str, Process] = field(default_factory=dict)

    def up(self, *services: str) -> None:
        """Start those services that do not run, and wait until they answer."""
        for service in services:
            if service not in self.running:
                START.get(service, _start)(self, service)
        for service in services:
            _wait(self, service)

    def stop(self, *services: str) -> None:
        """End services."""
        for service in services:
            children.stop(self.running.pop(service))

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
        own = f"CREATE DATABASE {self.composition.database}"
        self.execute("postgres", own, *self.composition.config("databases").splitlines())

    def execute(self, database: str, *statements: str) -> None:
        """Have PostgreSQL do something."""
        connection = self._connect(database)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
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
        stand.up("database")
        stand.create_databases()
        stand.up("store")
        stand.up("prefect", "mlflow")
        yield stand
    finally:
        stand.stop(*reversed(stand.running))
        shutil.rmtree(folder)


def _start_database(stand: Stand, service: str) -> None:
    folder, port = stand.folder / service, str(stand.composition.ports[service])
    user, program = _owner(), binaries() / "postgres"
    as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    prefix = as_user if os.geteuid() == 0 else []
    if not folder.exists():
        _create_database(stand, folder, prefix)
    serve = [str(program), "-D", str(folder), "-h", LOOPBACK, "-p", port, "-k", str(folder)]
    fast = [word for setting in UNSAFE_BUT_FAST for word in ("-c", setting)]
    _spawn(stand, service, [*prefix, *serve, *fast], environment(stand.folder))


def _create_database(stand: Stand, folder: Path, prefix: list[str]) -> None:
    user = _owner()
    folder.mkdir()
    password = stand.folder / "password"
    password.write_text(stand.composition.settings["DATABASE_PASSWORD"], encoding="utf-8")
    for path in (folder, password):
        path.chmod(0o700)
        os.chown(path, user.pw_uid, user.pw_gid)
    create = [binaries() / "initdb", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
    create += [f"--username={stand.composition.role}", "--encoding=UTF8", "--locale=C", folder]
    subprocess.run([*prefix, *map(str, create)], check=True, stdout=subprocess.DEVNULL)


def _start_store(stand: Stand, service: str) -> None:
    folder = stand.folder / service
    folder.mkdir(exist_ok=True)
    port = str(stand.composition.ports[service])
    command = [sys.executable, "-m", "tests.server.store", port, str(folder)]
    _spawn(stand, service, command, environment(stand.folder, PYTHONPATH=str(ROOT)))


def _start_mlflow(stand: Stand, service: str) -> None:
    _wait(stand, "store")
    bucket = installed(stand.composition.command("bucket"))
    subprocess.run(bucket, env=stand.environment("bucket"), check=True)
    stand.composition.write_configs(service)
    _start(stand, service)


def _start(stand: Stand, service: str) -> None:
    command = installed(stand.composition.command(service))
    _spawn(stand, service, command, stand.environment(service))


START = {"database": _start_database, "store": _start_store, "mlflow": _start_mlflow}
"""What a container does before the command of its service, or in place of it."""


def _spawn(stand: Stand, service: str, command: Sequence[str], own: dict[str, str]) -> None:
    """Start a process that ends with this one, even if this one is killed."""
    with (stand.folder / f"{service}.log").open("ab") as log:
        stand.running[service] = children.start(
            [*children.GUARD, *command], env=own, cwd=stand.folder, stdout=log, stderr=log
        )


def binaries() -> Path:
    """Where the programs of PostgreSQL's server are; Debian keeps them beside the PATH."""
    if known := sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])):
        return known[-1].parent
    found = shutil.which("initdb")
    assert found is not None, MISSING
    return Path(found).resolve().parent


def _owner() -> pwd.struct_passwd:
    """Who owns the database: PostgreSQL refuses to run as root."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def installed(command: Sequence[str]) -> list[str]:
    """A command with the path of its program in this environment, if it has it."""
    program = Path(sys.executable).with_name(command[0])
    return [str(program) if program.exists() else command[0], *command[1:]]


def _wait(stand: Stand, service: str) -> None:
    def listens() -> bool:
        port = str(stand.composition.ports[service])
        ask = [binaries() / "pg_isready", "-q", "-h", LOOPBACK, "-p", port]
        return subprocess.run(ask, check=False).returncode == 0

    def answers() -> bool:
        with suppress(OSError):
            urllib.request.urlopen(stand.address(service) + HEALTH[service], timeout=5).close()
            return True
        return False

    def tells() -> bool:
        return (stand.folder / f"{service}.log").stat().st_size > 0

    healthy = {"database": listens, "worker": tells}.get(service, answers)
    try:
        _wait_until(stand.running[service], healthy)
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
