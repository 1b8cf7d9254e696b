"""The energy of a training: measured with the real library, and what happens without or to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.report import page
from tasks.training import checkpoints, energy, events, worker
from tasks.training.events import EventLog, Record
from tasks.training.job import Job
from tests.support.commands import environment
from tests.support.pipelines import Prepared
from tests.support.workers import run, wait_until

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("workers")

Library = Callable[[str], None]
EPOCHS = 6
MOST_WATTS = 2000
IMPATIENT = """
import sys
from pathlib import Path
from tasks.training import energy, worker
energy.SECONDS_BETWEEN_EVENTS = 0.1
sys.exit(worker.main(Path(sys.argv[1])))
"""
ABSENT = "raise ModuleNotFoundError('No module named codecarbon', name='codecarbon')"
TRACKER = """
class OfflineEmissionsTracker:
    def __init__(self, **settings):
        {made}

    def get_detected_hardware(self):
        self._hardware = [RAM()]

    def start(self):
        {started}

    def stop(self):
        pass

class RAM:
    pass
"""
BROKEN = {
    "import": "raise OSError('no driver')",
    "made": TRACKER.format(made="raise OSError('no driver')", started="pass"),
    "started": TRACKER.format(made="pass", started="raise OSError('no driver')"),
    "silent": TRACKER.format(made="pass", started="pass"),
}
ALONE = """
import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

from tasks.training.energy import Meter
from tasks.training.events import EventLog

asked = []
sys.addaudithook(
    lambda event, values: asked.append(f"{event} {values}")
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}
    else None
)
folder = Path(sys.argv[1])
with EventLog(folder) as events:
    meter = Meter(events)
    meter.prepare(folder, SimpleNamespace(type="cpu"))
    with meter:
        own = [signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)]
    assert own == [signal.default_int_handler, signal.SIG_DFL]
print(json.dumps([meter.how, asked]))
"""
TALKATIVE = """
[codecarbon]
output_methods = csv,api,logger
output_dir = /nowhere
emissions_endpoint = http://127.0.0.1:9/
co2_signal_api_token = token
allow_multiple_runs = false
log_level = debug
"""


def computed(records: Iterable[Record]) -> list[tuple[float, ...]]:
    """What each step computed, without the seconds that it took."""
    names = ("step", "loss", "grad_norm", "learning_rate", "samples", "tokens")
    return [tuple(r[name] for name in names) for r in records if r["kind"] == "step"]


def of_kind(folder: Path, kind: str) -> list[Record]:
    return [record for record in events.history(folder) if record["kind"] == kind]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """Let this process find a module of some text in place of the library."""

    def replace_by(text: str) -> None:
        folder = tmp_path / "library"
        folder.mkdir()
        (folder / "codecarbon.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)

    forget()
    yield replace_by
    forget()


def forget() -> None:
    """Have the library imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "codecarbon"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def job(prepared: Prepared) -> Job:
    """A training that asks for its energy."""
    return replace(prepared.job(epochs=EPOCHS, save_steps=20), energy=True)


@pytest.fixture(scope="module")
def resumed(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that is killed after some of its energy is logged, and then resumed."""
    folder = tmp_path_factory.mktemp("resumed")
    job.write(folder)
    command = [sys.executable, "-c", IMPATIENT, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        wait_until(lambda: checkpoints.latest(folder) is not None and spent(folder) > 0)
        process.kill()
    assert not of_kind(folder, "done")
    run(job, folder)
    return folder


def trained(job: Job, folder: Path) -> list[Record]:
    """Do the work of a training process in this one."""
    folder.mkdir()
    job.write(folder)
    with EventLog(folder) as log:
        worker._work(folder, log)
    return events.history(folder)


def spent(folder: Path) -> float:
    return sum(r["cpu_wh"] + r["ram_wh"] for r in of_kind(folder, "energy"))


def test_a_resumed_run_used_what_all_its_workers_did(resumed: Path) -> None:
    records = events.history(resumed)
    _, again = [at for at, record in enumerate(records) if record["kind"] == "started"]
    parts = [energy.total(records[:again]), energy.total(records[again:])]
    whole = energy.total(records)
    assert whole is not None
    assert [part is not None and part["wh"] > 0 for part in parts] == [True, True]
    assert whole["wh"] == pytest.approx(sum(part["wh"] for part in parts if part))
    assert whole["wh"] == pytest.approx(sum(whole["parts"].values()))


def test_the_energy_is_one_that_the_machine_can_have_used(resumed: Path) -> None:
    whole = energy.total(events.history(resumed))
    assert whole is not None
    assert whole["parts"]["cpu"] > 0
    assert set(whole["how"]) == set(whole["parts"]) == {"cpu", "ram"}
    assert whole["how"]["ram"] == "estimated"
    moments = [record["time"] for record in events.history(resumed)]
    assert whole["wh"] < MOST_WATTS * (max(moments) - min(moments)) / 3600


def test_without_the_library_all_else_is_the_same(
    job: Job, resumed: Path, tmp_path: Path, library: Library
) -> None:
    library(ABSENT)
    seen = trained(job, tmp_path / "run")
    assert energy.total(seen) is None
    kinds = {record["kind"] for record in seen}
    assert kinds == {"forecast", "started", "step", "validation", "done"}
    assert computed(seen) == computed(events.history(resumed))


def test_a_meter_that_breaks_leaves_the_training_alone(
    job: Job, resumed: Path, tmp_path: Path, library: Library
) -> None:
    library(BROKEN["silent"])
    seen = trained(job, tmp_path / "run")
    assert [r["problem"] for r in seen if r["kind"] == "energy"] == [
        "RuntimeError: CodeCarbon stopped without a result"
    ]
    assert energy.total(seen) is None
    assert seen[-1]["kind"] == "done"
    assert computed(seen) == computed(events.history(resumed))


@pytest.mark.parametrize("when", BROKEN)
def test_a_broken_meter_raises_nothing(when: str, tmp_path: Path, library: Library) -> None:
    library(BROKEN[when])
    reached = False
    with EventLog(tmp_path) as log:
        meter = energy.Meter(log)
        meter.prepare(tmp_path, torch.device("cpu"))
        log.append("started", energy=meter.how)
        with meter:
            reached = True
    assert reached
    records = events.history(tmp_path)
    assert [record["kind"] for record in records if "problem" in record] == ["energy"]
    assert energy.total(records) is None


def test_an_error_of_the_training_is_not_the_meters(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        meter = energy.Meter(log)
        meter.prepare(tmp_path, torch.device("cpu"))
        log.append("started", energy=meter.how)
        with pytest.raises(FloatingPointError), meter:
            raise FloatingPointError
    whole = energy.total(events.history(tmp_path))
    assert whole is not None
    assert whole["wh"] > 0


def test_the_meter_asks_nobody_and_says_nothing_whatever_its_own_settings(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    folder.mkdir()
    (home / ".codecarbon.config").write_text(TALKATIVE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(folder)],
        env=environment(tmp_path / "mlruns", HOME=str(home)),
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    how, asked = json.loads(done.stdout)
    assert set(how) == {"cpu", "ram"}
    assert asked == []
    assert done.stderr == ""
    assert [path.name for path in home.iterdir()] == [".codecarbon.config"]
    assert [path.name for path in folder.iterdir()] == ["events.jsonl"]
    assert not any("problem" in record for record in events.history(folder))


ESTIMATED = {"cpu": "estimated", "ram": "estimated"}
STARTED = {"kind": "started", "energy": ESTIMATED}
USED = {"kind": "energy", "cpu_wh": 2.0, "gpu_wh": 0.0, "ram_wh": 1.0}


@pytest.mark.parametrize(
    ("records", "watt_hours"),
    [
        ([], None),
        ([STARTED], None),
        ([STARTED, USED, USED], 6.0),
        ([STARTED, USED, {"kind": "started"}], None),
        ([STARTED, USED, {"kind": "energy", "problem": "?"}], None),
    ],
    ids=["older log", "nothing yet", "sums", "one worker without", "one that broke"],
)
def test_a_sum_with_a_gap_is_no_sum(records: list[Record], watt_hours: float | None) -> None:
    whole = energy.total(records)
    assert (whole and whole["wh"]) == watt_hours


@pytest.mark.parametrize(
    ("watt_hours", "how", "words"),
    [
        (0.00187, ESTIMATED, "0.00187 Wh, estimated"),
        (12.34, {"cpu": "measured", "ram": "measured"}, "12.3 Wh, measured"),
        (
            1250.0,
            ESTIMATED | {"gpu": "measured"},
            "1.25 kWh, processor and memory estimated, GPU measured",
        ),
    ],
)
def test_energy_has_a_unit_and_says_how_it_was_found(
    watt_hours: float, how: dict[str, Any], words: str
) -> None:
    assert page.energy({"wh": watt_hours, "how": how}) == words
