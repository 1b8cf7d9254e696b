"""``prefect.yaml`` against a real Prefect server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.run.reading import read
from tests.docs.markdown import ROOT
from tests.support.commands import HANG_SECONDS, assert_nothing_runs, environment

DEPLOY = """
import json, subprocess, sys, time, urllib.request
from pathlib import Path
from flows.servers.prefect import prefect_api
from tasks.workspace import Workspace

prefect = str(Path(sys.executable).with_name("prefect"))

def ask(api, path, **body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{api}/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)

with prefect_api(Workspace.open()) as api:
    ask(api, "work_pools/", name="onestep", type="process")
    command = [prefect, "--no-prompt", "deploy", "--all"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    deployments = ask(api, "deployments/filter")
    runs, deadline = [], time.monotonic() + 60
    while not runs and time.monotonic() < deadline:
        time.sleep(0.2)
        runs = ask(api, "flow_runs/filter", sort="EXPECTED_START_TIME_ASC")
print(json.dumps({"said": said, "deployments": deployments, "runs": runs}))
"""


@pytest.mark.xdist_group("deployment")
def test_the_deployments_are_made_and_get_scheduled_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    (deployment,) = found["deployments"]
    assert "successfully created" in found["said"]
    assert deployment["entrypoint"] == "flows.retraining.retraining"
    assert deployment["work_pool_name"] == "onestep"
    assert [one["schedule"]["cron"] for one in deployment["schedules"]] == ["0 3 * * 1"]
    assert found["runs"]
    for run in found["runs"]:
        assert run["deployment_id"] == deployment["id"]
        assert (run["auto_scheduled"], run["state_name"]) == (True, "Scheduled")
        assert "T03:00:00" in run["expected_start_time"]
    assert_nothing_runs(home)


def test_every_deployed_pipeline_is_valid() -> None:
    record = YAML(typ="safe", pure=True).load((ROOT / "prefect.yaml").read_text("utf-8"))
    for deployment in record["deployments"]:
        assert read(ROOT / deployment["parameters"]["file"], []).name == deployment["name"]
