"""Workers with homes of their own, at once, on the same servers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tasks.tracking.step_sender import TAG, identity
from tasks.workspace import Workspace
from tests.server.stand import Stand
from tests.support.commands import (
    Running,
    assert_nothing_runs,
    environment,
    eventually,
    fault,
    leftovers,
    onestep,
    started,
)
from tests.support.homes import STEPS, recorded_steps

pytestmark = pytest.mark.xdist_group("servers")
HOLD = """
import sys, time
from flows.servers.leases import lease

with lease(sys.argv[1], 60):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""
OPEN_RUN = """
import sys, time
from pathlib import Path
from flows.servers.leases import shared
from tasks.tracking import runs
from tasks.tracking.client import reach
from tasks.workspace import Workspace

workspace = shared(Workspace.open())
client = reach(workspace)
print("ready", flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.001)
print(runs.open_run(client, workspace, "at-once", "f" * 64, "run"))
"""
TELL_TWICE = """
from flows.servers import outbox
from tasks.workspace import Workspace

workspace, found = Workspace.open(), []
for _ in range(2):
    resource = {"prefect.resource.id": "onestep.model.again"}
    outbox.note(workspace, "onestep.model.promoted", resource, {"version": 1})
    problem = outbox.deliver(workspace)
    found.append((problem, list(outbox.folder(workspace).iterdir())))
print(found)
"""
OFTEN = {"MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.1"}
SLOW_REGISTRATION = fault("tasks.tracking.registry:create:1", "sleep-3")


@contextmanager
def program(stand: Stand, home: Path, text: str, *arguments: str) -> Iterator[Callable[[], str]]:
    """Run a program on a machine of its own, and kill it at the end of the block.

    Yields:
        What waits for its next line.
    """
    home.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        env=environment(home, **stand.worker()),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process:
        try:
            yield lambda: process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture(scope="module", autouse=True)
def orphan(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lease whose holder was killed; it has to expire while the other tests run."""
    home = tmp_path_factory.mktemp("orphan") / "home"
    with program(stand, home, HOLD, "orphan", "600") as said:
        assert said() == "held"
    return "orphan"


def test_workers_with_three_homes_agree_on_versions_and_champion(
    stand: Stand, file: Path, tmp_path: Path
) -> None:
    """One of the two that train the same is killed while it sends the steps, and goes on."""
    command = ("run", file, "--json", "--set", "name=rivals")
    seeds = {"one": "2", "same": "2", "other": "3"}
    extra = stand.worker(**SLOW_REGISTRATION, **OFTEN)
    with ExitStack() as stack:

        def start(name: str) -> Running:
            seed = ("--set", f"seed={seeds[name]}")
            return stack.enter_context(started(tmp_path / name, *command, *seed, extra=extra))

        workers = {name: start(name) for name in seeds}
        writer = the_writer(stand, {name: tmp_path / name for name in ("one", "same")})
        eventually(lambda: recorded_steps(tmp_path / writer) >= 4, workers[writer])
        workers[writer].process.kill()
        workers[writer].process.wait()
        workers[writer] = start(writer)
        done = {name: worker.wait() for name, worker in workers.items()}
    assert [d.code for d in done.values()] == [0, 0, 0], "\n".join(d.output for d in done.values())
    records = {name: json.loads(d.out) for name, d in done.items()}
    for name in seeds:
        assert leftovers(tmp_path / name) == []
        assert_nothing_runs(tmp_path / name)

    assert records["one"]["uri"] == records["same"]["uri"] != records["other"]["uri"]
    assert records["one"]["mlflow_run"] == records["same"]["mlflow_run"]
    assert records["one"]["reused"]["registration"] != records["same"]["reused"]["registration"]
    versions = "SELECT version FROM model_versions WHERE name = 'rivals' ORDER BY version"
    assert stand.query("mlflow", versions) == [(1,), (2,)]
    assert_one_champion(stand, records["one"], records["other"])
    assert_logged_once(stand, str(records["one"]["mlflow_run"]).partition("?")[0][-32:])
    assert_a_promotion_by_hand_is_told(stand, tmp_path / "other")


def the_writer(stand: Stand, homes: dict[str, Path]) -> str:
    """Which of several workers sends the steps of their run."""
    found: list[str] = []

    def look() -> bool:
        signs = stand.query("mlflow", f"SELECT value FROM tags WHERE key = '{TAG}'")
        owners = {sign.partition(" ")[0] for (sign,) in signs}
        made = {n: Workspace(home) for n, home in homes.items() if (home / "home-id").exists()}
        found.extend(name for name, home in made.items() if identity(home) in owners)
        return bool(found)

    eventually(look)
    return found[0]


def assert_logged_once(stand: Stand, run: str) -> None:
    """The shared run has every step, and nothing twice."""
    by = "run_uuid, key, step"
    repeated = f"SELECT {by} FROM metrics GROUP BY {by} HAVING count(*) > 1"
    assert stand.query("mlflow", repeated) == []
    statement = f"SELECT step FROM metrics WHERE run_uuid = '{run}' AND key = '%s' ORDER BY step"
    expected = {
        "train/loss": list(range(1, STEPS + 1)),
        "train/step_seconds": list(range(1, STEPS + 1)),
        "validation/loss": [9, 18, 27, 36],
        "test/accuracy": [STEPS],
        "train/seconds": [STEPS],
    }
    for key, steps in expected.items():
        assert [step for (step,) in stand.query("mlflow", statement % key)] == steps
    load = stand.query("mlflow", statement % "system/cpu_utilization_percentage")
    assert load == [(step,) for step in range(len(load))] != []
    inputs = f"SELECT source_id FROM inputs WHERE destination_id = '{run}'"
    assert len(stand.query("mlflow", inputs)) == 3
    nested = (
        "SELECT p.value, n.value FROM tags p JOIN tags n USING (run_uuid)"
        " WHERE p.key = 'mlflow.parentRunId' AND n.key = 'mlflow.runName'"
    )
    found = stand.query("mlflow", nested)
    assert len(found) == len(set(found))
    assert stand.query("mlflow", f"SELECT value FROM tags WHERE key = '{TAG}'") == []


def assert_one_champion(stand: Stand, *records: dict[str, object]) -> None:
    """The alias is where the verdicts of both versions, taken in order, leave it."""
    statement = "SELECT version FROM registered_model_aliases WHERE name = 'rivals' AND alias = %s"
    (champion,) = stand.query("mlflow", statement % "'champion'")
    verdicts = (
        "SELECT version, value FROM model_version_tags"
        " WHERE name = 'rivals' AND key = 'onestep.verdict' ORDER BY version"
    )
    said = dict(stand.query("mlflow", verdicts))
    assert said[1].startswith("promoted: the first version")
    assert champion[0] == max(version for version, text in said.items() if text.startswith("prom"))
    by_version = {record["version"]: record for record in records}
    assert {number: by_version[number]["verdict"] for number in (1, 2)} == said


def assert_a_promotion_by_hand_is_told(stand: Stand, home: Path) -> None:
    """Once to the Prefect server that is named; and so are the verdicts of the runs before."""
    statement = "SELECT version FROM registered_model_aliases WHERE name = 'rivals' AND alias = %s"
    ((champion,),) = stand.query("mlflow", statement % "'champion'")
    chosen = 3 - champion
    move = ("promote", "rivals", str(chosen), "--reason", "read the mistakes")
    done = onestep(home, *move, extra=stand.worker())
    assert (done.code, done.err) == (0, ""), done.output
    events = (
        "SELECT payload FROM events WHERE resource_id = 'onestep.model.rivals' ORDER BY occurred"
    )
    eventually(lambda: len(stand.query("prefect", events)) == 3)
    *judged, (moved,) = stand.query("prefect", events)
    assert sorted(payload["version"] for (payload,) in judged) == [1, 2]
    expected = {"reason": "read the mistakes", "version": chosen, "previous": champion}
    assert moved.items() >= expected.items()


def test_an_event_that_is_sent_again_is_known_to_the_server(stand: Stand, tmp_path: Path) -> None:
    with program(stand, tmp_path / "again", TELL_TWICE) as said:
        assert said() == "[('', []), ('', [])]"
    events = "SELECT event FROM events WHERE resource_id = 'onestep.model.again'"
    eventually(lambda: stand.query("prefect", events))
    assert stand.query("prefect", events) == [("onestep.model.promoted",)]


def test_two_homes_that_open_a_run_at_once_get_the_same(stand: Stand, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with (
        program(stand, tmp_path / "one", OPEN_RUN, str(go)) as one,
        program(stand, tmp_path / "two", OPEN_RUN, str(go)) as two,
    ):
        assert (one(), two()) == ("ready", "ready")
        go.touch()
        run = one()
        assert run == two() != ""
    found = f"SELECT run_uuid FROM tags WHERE key = 'onestep.fingerprint' AND value = '{'f' * 64}'"
    assert stand.query("mlflow", found) == [(run,)]


def test_the_lease_of_a_killed_holder_expires(stand: Stand, orphan: str, tmp_path: Path) -> None:
    with program(stand, tmp_path / "heir", HOLD, orphan, "0") as said:
        assert said() == "held"
