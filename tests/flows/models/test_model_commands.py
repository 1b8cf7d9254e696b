"""Versions of a model: their history, their origin, two side by side, and one that is served."""

from __future__ import annotations

import getpass
import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import Running, assert_nothing_runs, eventually, onestep, started
from tests.support.commands import succeed as run
from tests.support.homes import NAME, Finished, aliases
from tests.support.html import Document
from tests.support.stores import closed_port

pytestmark = pytest.mark.xdist_group("models")
TEXTS = {"dataframe_records": [{"text": "the coffee was wonderful"}]}


@pytest.fixture(scope="module")
def project(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline in a folder of its own, from which files may be taken away."""
    folder = tmp_path_factory.mktemp("project") / "reviews"
    return Path(shutil.copytree(finished.file.parent, folder)) / finished.file.name


@pytest.fixture(scope="module")
def two(finished: Finished, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion, and a second version that is worse."""
    home = finished.copy(tmp_path_factory.mktemp("models") / "home")
    run(home, "run", project)
    told = run(home, "run", project, "--set", "training.epochs=1", "--json")
    (home / "told.json").write_text(told, "utf-8")
    assert aliases(home) == {"champion": 1, "challenger": 2}
    return home


def test_history_tells_every_verdict(two: Path) -> None:
    first, second = json.loads(run(two, "models", "--history", "--json"))
    assert (first["version"], first["event"], first["by"]) == (1, "promoted", getpass.getuser())
    assert first["why"].startswith("promoted: the first version")
    assert (second["version"], second["event"]) == (2, "registered")
    assert second["why"].startswith("not promoted: accuracy")
    shown = run(two, "models", NAME, "--history")
    assert "promoted: the first version" in shown
    assert "not promoted" in shown


def test_lineage_tells_what_a_version_was_made_from(
    two: Path, project: Path, finished: Finished
) -> None:
    record = json.loads(run(two, "lineage", f"{NAME}@challenger", "--json"))
    assert (record["version"], record["predecessor"]) == (2, f"models:/{NAME}/1")
    assert record["config"]["training"]["epochs"] == 1
    assert record["data"]["rows"] == finished.record["rows"]
    assert list(record["data"]["sources"]["train"]) == ["reviews.csv"]
    assert record["folder"] == str(project.parent)
    assert record["gate"]["reference"] == f"models:/{NAME}/1"
    assert record["metrics"].keys() >= finished.record["metrics"].keys()
    shown = run(two, "lineage", NAME)
    assert f"models:/{NAME}/1" in shown
    assert "reviews.csv" in shown


def test_diff_names_settings_metrics_and_examples(two: Path) -> None:
    found = json.loads(run(two, "diff", NAME, "1", "2", "--json"))
    assert found["config"] == {"training.epochs": ["4", "1"]}
    assert found["data"] == {}
    before, after = found["metrics"]["accuracy"]
    examples = found["examples"]
    assert examples["shared"] == 24
    assert (examples["better"] - examples["worse"]) / 24 == pytest.approx(after - before)
    assert {(one["before"], one["after"]) for one in examples["worst"]} == {(1.0, 0.0)}
    assert set(found["slices"]) == {"length: short", "length: middle", "length: long"}
    shown = run(two, "diff", NAME, "1", "2")
    assert "training.epochs" in shown
    assert f"reviews.csv row {examples['worst'][0]['row']}" in shown


def test_a_run_tells_what_has_changed_since_the_previous_one(two: Path) -> None:
    told = json.loads((two / "told.json").read_text("utf-8"))
    found = told["changes"]
    assert found["model"] == f"models:/{NAME}/1"
    assert found["config"] == {"training.epochs": ["4", "1"]}
    assert (found["data"], found["labels"], found["same_test_rows"]) == ({}, {}, True)
    assert found["rows"]["test"] == {"added": 0, "moved": 0, "gone": 0}
    page = Document(Path(told["report"]).read_text("utf-8"))
    assert page.table("Settings") == [["training.epochs", "4", "1"]]
    kept = Document((two / "reports" / NAME / "index.html").read_text("utf-8"))
    second, first = (row[1] for row in kept.table("2 runs, the newest first"))
    assert second == f"Not promoted{told['verdict']}"
    assert first == "Promotedpromoted: the first version, accuracy 1.0000"


def test_a_version_can_be_made_again(two: Path) -> None:
    found = json.loads(run(two, "reproduce", NAME, "2", "--json"))
    assert (found["same_rows"], found["same_weights"], found["identical"]) == (True, True, True)
    assert all(then == now for then, now in found["metrics"].values())
    assert found["changed"] == []


def test_what_has_changed_since_is_named_before_anything_runs(two: Path, project: Path) -> None:
    data, base = project.with_name("reviews.csv"), project.parent / "base"
    away = data.with_name("away.csv"), base.with_name("away")
    data.rename(away[0])
    base.rename(away[1])
    try:
        done = onestep(two, "reproduce", NAME, "1")
    finally:
        away[0].rename(data)
        away[1].rename(base)
    assert done.code == 2
    assert "reviews.csv" in done.err
    assert "base" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("promote", NAME, "1", "--reason", "x"), "is the champion already"),
        (("promote", NAME, "9", "--reason", "x"), "no such version"),
        (("promote", NAME, "2", "--reason", " "), "expected a reason"),
        (("rollback", NAME), "there is no previous champion"),
        (("lineage", "nobody"), "no such model"),
        (("diff", NAME, "1", "9"), "no such version"),
        (("serve", "nobody"), "no such model"),
    ],
)
def test_the_users_mistakes_are_told_in_a_line(
    two: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = onestep(two, *arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def ask(port: int) -> tuple[int, str, str]:
    """Status, label, and the version that answered."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(TEXTS).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        (row,) = json.loads(answer.read())["predictions"]
        return answer.status, row["label"], answer.headers["x-onestep-model"]


@contextmanager
def served(home: Path, port: int) -> Iterator[Running]:
    with started(home, "serve", NAME, "--port", str(port)) as server:
        server.says("serving models:/")
        eventually(lambda: _answers(port), server)
        yield server


def _answers(port: int) -> bool:
    try:
        ask(port)
    except OSError:
        return False
    return True


def test_a_promotion_drops_no_request_and_a_rollback_neither(two: Path) -> None:
    port, answers, ended = closed_port(), [], threading.Event()

    def keep_asking() -> None:
        while not ended.is_set():
            answers.append(ask(port))

    with served(two, port) as server:
        thread = threading.Thread(target=keep_asking)
        thread.start()
        try:
            run(two, "promote", NAME, "2", "--reason", "a trial")
            server.says(f"now serving models:/{NAME}/2")
            assert rolled_back_without_prefect(two).startswith("Prefect at http://127.0.0.1:")
            server.says(f"now serving models:/{NAME}/1")
        finally:
            ended.set()
            thread.join()
        answers.append(ask(port))
        server.process.terminate()
        assert server.wait().code == 143
    assert {status for status, _, _ in answers} == {200}
    versions = [version for _, _, version in answers]
    changes = [b for a, b in zip(["", *versions], versions, strict=False) if a != b]
    assert changes == [f"models:/{NAME}/{number}" for number in (1, 2, 1)]
    assert aliases(two) == {"champion": 1, "previous": 2}
    events = json.loads(run(two, "models", NAME, "--history", "--json"))
    assert [event["event"] for event in events[-2:]] == ["promoted", "rolled back"]
    assert events[-1]["why"] == "the trial is over"
    assert_nothing_runs(two)
    assert_moves_wait_for_a_server(two)


def rolled_back_without_prefect(home: Path) -> str:
    """Roll back while the Prefect server that is named is down; what is said of it."""
    prefect = {"PREFECT_API_URL": f"http://127.0.0.1:{closed_port()}/api"}
    done = onestep(home, "rollback", NAME, "--reason", "the trial is over", extra=prefect)
    assert done.code == 0, done.output
    (line,) = done.err.splitlines()
    return line


def assert_moves_wait_for_a_server(home: Path) -> None:
    """Each move is noted for the next run, with who and why, and who was the champion before."""
    notes = [json.loads(path.read_text("utf-8")) for path in (home / "outbox").iterdir()]
    told = {note["event"]: note["payload"] for note in notes}
    common = {"who": getpass.getuser()}
    expected = {
        "onestep.model.promoted": {"reason": "a trial", "version": 2, "previous": 1},
        "onestep.model.rolled_back": {"reason": "the trial is over", "version": 1, "previous": 2},
    }
    assert told.keys() == expected.keys()
    for event, payload in expected.items():
        assert told[event].items() >= (common | payload).items()
        assert told[event]["model"] == f"models:/{NAME}/{payload['version']}"
        assert "/runs/" in told[event]["mlflow_run"]
