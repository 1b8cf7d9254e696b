"""The caps on dependencies that decide whether anything runs: each is tried, not trusted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment

SCHEDULED = """
import sys, time
from pathlib import Path
from tasks.workspace import Workspace
from flows.servers.prefect import prefect_api

with prefect_api(Workspace.open(Path(sys.argv[1]))):
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.client.schemas.sorting import FlowRunSort

    @flow
    def nothing() -> None:
        pass

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(nothing)
        client.create_deployment(
            flow_id,
            name="cron",
            schedules=[{"schedule": CronSchedule(cron="* * * * *"), "active": True}],
        )
        deadline = time.monotonic() + 90
        while not (runs := client.read_flow_runs(limit=10, sort=FlowRunSort.ID_DESC)):
            assert time.monotonic() < deadline, "the scheduler made no run"
            time.sleep(0.5)
    print(len(runs))
"""


GROUPED = """
import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(8))
def test_nothing(number: int) -> None:
    pass
"""


def _run(program: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, str(home)],
        env=environment(home),
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_locked_pytest_keeps_groups_together(tmp_path: Path) -> None:
    (tmp_path / "test_grouped.py").write_text(GROUPED, encoding="utf-8")
    options = ("-v", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        env=environment(tmp_path / "home"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    workers = {line.split()[0] for line in done.stdout.splitlines() if " PASSED " in line}
    assert len(workers) == 1


def test_prefects_server_imports_with_the_locked_fastapi(tmp_path: Path) -> None:
    done = _run("import prefect.server.api.server", tmp_path / "home")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_cron_deployment_gets_runs_with_the_locked_sqlalchemy(tmp_path: Path) -> None:
    done = _run(SCHEDULED, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0


def test_importing_the_command_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys, flows.cli.main; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    loaded = set(_run(program, tmp_path / "home").stdout.split())
    assert loaded.isdisjoint({"torch", "transformers", "mlflow", "prefect", "pandas", "datasets"})
