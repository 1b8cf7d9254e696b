"""Calls in processes of their own: results, errors, updates, and how they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from configs.errors import DataError, Problem, WorkerFailure
from tasks.processes import calls
from tasks.processes.calls import RunningCall
from tasks.progress import Notice, Update, announce, listening
from tests.support.workers import alive, wait_until

pytestmark = pytest.mark.xdist_group("workers")


def describe(name: str) -> dict[str, Any]:
    announce(Notice(f"{name} began"))
    print(f"{name} prints")
    where = {"pid": os.getpid(), "group": os.getpgrp(), "folder": str(Path.cwd())}
    loaded = {
        name for name in ("torch", "transformers", "mlflow", "prefect") if name in sys.modules
    }
    return where | {"variable": os.environ.get("A_VARIABLE"), "loaded": loaded}


def refuse() -> NoReturn:
    raise DataError([Problem("a.csv, row 2", "no text"), Problem("a.csv, row 3", "no label")])


class OddError(Exception):
    """Cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def fail(odd: bool) -> NoReturn:
    raise OddError("a", "b") if odd else ZeroDivisionError("by zero")


def end(how: int) -> None:
    os.kill(os.getpid(), how)


def wait_with_child(file: Path) -> None:
    child = subprocess.Popen(["sleep", "600"])
    file.write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)


def result(function: Any, *arguments: Any) -> Any:
    call = RunningCall(function, arguments)
    try:
        return call.result()
    finally:
        call.stop()


def test_a_call_has_its_own_process_and_the_place_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A_VARIABLE", "set")
    seen: list[Update] = []
    call = RunningCall(describe, ("stage",), tmp_path / "log")
    with listening(seen.append):
        found = call.result()
    assert found["pid"] == found["group"] != os.getpid()
    assert (found["folder"], found["variable"]) == (str(tmp_path), "set")
    assert found["loaded"] == {"torch", "transformers", "mlflow"}
    assert seen == [Notice("stage began")]
    assert call.watch() == 0
    assert (tmp_path / "log").read_text() == "stage prints\n"


def test_the_server_is_kept_until_a_library_would_load_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = calls._server()
    monkeypatch.setenv("A_VARIABLE", "set")
    assert calls._server() is server
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert calls._server() is not server
    assert server.process.poll() is not None


def test_problems_arrive_as_they_were_raised() -> None:
    with pytest.raises(DataError) as raised:
        result(refuse)
    assert [problem.where for problem in raised.value.problems] == ["a.csv, row 2", "a.csv, row 3"]


def lose_connection() -> NoReturn:
    try:
        raise ConnectionRefusedError("no server")
    except ConnectionRefusedError as error:
        raise RuntimeError("the store does not answer") from error


def test_an_error_keeps_its_cause() -> None:
    """By the cause, work is tried again when a server is back."""
    with pytest.raises(RuntimeError) as raised:
        result(lose_connection)
    assert isinstance(raised.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize(("odd", "kind"), [(False, ZeroDivisionError), (True, RuntimeError)])
def test_an_unexpected_error_brings_its_trace(odd: bool, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        result(fail, odd)
    assert "in fail" in "".join(raised.value.__notes__)


def test_a_process_that_is_killed_is_a_failure() -> None:
    with pytest.raises(
        WorkerFailure, match=r"was killed by SIGKILL; out of memory .*; run the same"
    ):
        result(end, signal.SIGKILL)


def family(file: Path) -> list[psutil.Process]:
    """The process of a call and its child, once both run."""
    wait_until(lambda: file.exists() and len(file.read_text().split()) == 2)
    return [psutil.Process(int(pid)) for pid in file.read_text().split()]


def test_a_stop_ends_what_the_call_has_started(tmp_path: Path) -> None:
    call = RunningCall(wait_with_child, (tmp_path / "pids",))
    processes = family(tmp_path / "pids")
    call.stop()
    assert call.code == -signal.SIGTERM
    wait_until(lambda: not any(map(alive, processes)))


def leave_a_fork() -> int:
    child = os.fork()
    if child == 0:
        time.sleep(600)
    return child


def test_a_call_ends_although_it_leaves_a_fork_behind() -> None:
    child = psutil.Process(result(leave_a_fork))
    wait_until(lambda: not alive(child))


def test_a_stop_before_the_beginning_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "GRACE_SECONDS", 600)
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    RunningCall(os.getpid, ()).stop()


def test_a_call_ends_with_its_caller(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tasks.processes.calls import RunningCall;"
        "from tests.processes.test_calls import wait_with_child;"
        "RunningCall(wait_with_child, (Path(sys.argv[1]),)).watch()"
    )
    caller = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "pids")])
    server = psutil.Process(caller.pid)
    wait_until(lambda: len(server.children()) == 1)
    processes = [*server.children(), *family(tmp_path / "pids")]
    caller.kill()
    caller.wait()
    wait_until(lambda: not any(map(alive, processes)))


@pytest.fixture
def without_forks() -> Iterator[socket.socket]:
    """A server on a machine where a GPU's driver may be loaded."""
    program = (
        "from tasks.processes import fork_server;"
        "fork_server.GPU_DRIVERS = ('/dev/null',); fork_server.main()"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = subprocess.Popen([sys.executable, "-c", program], stdin=theirs.fileno())
        theirs.close()
        yield ours
    server.wait()


def test_without_forks_every_call_gets_an_interpreter(
    without_forks: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Server:
        control = without_forks

    monkeypatch.setattr(calls, "_server", Server)
    first, second = result(describe, "first"), result(describe, "second")
    assert first["loaded"] == set()
    assert first["pid"] != second["pid"]


def test_a_process_with_torch_calls_the_function_itself() -> None:
    import torch

    assert torch.__name__ in sys.modules
    assert calls.call(os.getpid) == os.getpid()
