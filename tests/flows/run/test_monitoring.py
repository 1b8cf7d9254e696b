"""What a person, and whoever a person has told to, learns of a run without opening a log."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.prefect_run import artifacts, events
from tasks.report.page import energy
from tests.docs.markdown import ROOT
from tests.support.homes import CONFIG, NAME, Finished, query
from tests.support.monitored import Monitored, monitored
from tests.support.records import gate
from tests.support.rows import reviews, write_rows

pytestmark = pytest.mark.xdist_group("monitoring")
SECRET = "xylophone"
REFUSED = "gate.thresholds={log_loss: 1e-9}"
BROKEN = "data.columns={text: review}"


def run_id(finished: Finished) -> str:
    """The id of the MLflow run."""
    return str(finished.record["mlflow_run"].partition("?")[0][-32:])


@pytest.fixture(scope="module")
def first(finished: Finished) -> Monitored:
    """What Prefect knows after a first run."""
    return monitored(finished.home)


@pytest.fixture(scope="module")
def troubled(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Monitored:
    """What Prefect knows after a version that the gate refused, and a run that failed."""
    folder = tmp_path_factory.mktemp("troubled")
    (folder / "base").symlink_to(finished.file.parent / "base")
    (folder / "reviews.yaml").write_text(CONFIG, encoding="utf-8")
    write_rows(folder / "reviews.csv", [(f"{text} {SECRET}", label) for text, label in reviews()])
    home = finished.empty(folder / "home")
    return monitored(home, folder / "reviews.yaml", REFUSED, BROKEN)


class TestFirstRun:
    """A run that promotes its version."""

    def test_its_name_says_pipeline_data_and_trigger(
        self, first: Monitored, finished: Finished
    ) -> None:
        ((digest,),) = query(finished.home, "SELECT value FROM tags WHERE key = 'onestep.data'")
        assert {run["name"] for run in first.runs} == {f"{NAME}-{digest[:8]}-manual"}

    def test_a_promotion_is_an_event(self, first: Monitored, finished: Finished) -> None:
        event = first.event("onestep.model.promoted")
        assert event["resource"]["prefect.resource.id"] == f"onestep.model.{NAME}"
        assert event["payload"] == {
            "pipeline": NAME,
            "verdict": finished.record["verdict"],
            "version": 1,
            "model": f"models:/{NAME}/1",
            "mlflow_run": finished.record["mlflow_run"],
        }
        roles = {one["prefect.resource.role"]: one for one in event["related"]}
        assert roles.keys() >= {"flow", "flow-run"}
        assert roles["flow-run"]["prefect.resource.name"] == first.runs[0]["name"]

    def test_the_summary_leads_to_the_report(self, first: Monitored, finished: Finished) -> None:
        summary = first.artifact(f"{NAME}-summary")
        assert finished.record["verdict"] in summary
        run = finished.record["mlflow_run"].partition("?")[0]
        assert f"({run}/artifacts/report.html?workflowType=machine_learning)" in summary
        rows = json.loads(first.artifact(f"{NAME}-results"))
        assert rows[0] == {"metric": "accuracy", "value": 1.0, "majority class": 0.5}

    def test_the_report_is_a_file_and_an_artifact(self, finished: Finished) -> None:
        path, latest = Path(finished.record["report"]), finished.home / "reports"
        assert path.parent == latest / NAME
        run = finished.home / "artifacts" / NAME / run_id(finished)
        for page in (path, latest / f"{NAME}.run.html", run / "artifacts" / "report.html"):
            text = page.read_text("utf-8")
            assert finished.record["verdict"] in text
            assert all(row not in text for row, _ in reviews())
        data = path.with_suffix(".contract.html")
        assert f'href="{data.name}"' in path.read_text("utf-8")
        assert "data contract passed" in data.read_text("utf-8")
        index = (latest / NAME / "index.html").read_text("utf-8")
        assert f'href="{path.name}"' in index
        assert finished.record["verdict"] in index

    def test_prefect_says_the_verdict(self, first: Monitored, finished: Finished) -> None:
        state = first.runs[0]["state"]
        assert (state["type"], state["name"]) == ("COMPLETED", "Promoted")
        assert state["message"].endswith(finished.record["verdict"])
        (summary,) = [one for one in first.artifacts if one["key"] == f"{NAME}-summary"]
        assert summary["description"] == finished.record["verdict"]

    def test_mlflow_says_the_verdict_of_run_and_version(self, finished: Finished) -> None:
        note = "SELECT value FROM tags WHERE key = 'mlflow.note.content'"
        description = "SELECT description FROM model_versions"
        for told in (query(finished.home, note), query(finished.home, description)):
            ((text,),) = told
            assert text.startswith(f"{finished.record['verdict']}\n\naccuracy **1.0000** [")
            assert f"({finished.record['mlflow_run']})" in text
            assert "/runs/flow-run/" in text
        view = "SELECT value FROM experiment_tags WHERE key = 'mlflow.sharedViewState.onestep'"
        ((saved,),) = query(finished.home, view)
        columns = json.loads(json.loads(saved)["state"])["selectedColumns"]
        assert columns[0] == "metrics.`test/accuracy`"

    def test_a_first_run_has_no_previous_one(self, finished: Finished) -> None:
        assert finished.record["changes"] is None

    def test_the_energy_of_the_training_is_in_the_report_and_in_mlflow(
        self, finished: Finished
    ) -> None:
        used = finished.record["training"]["energy"]
        assert used["wh"] > 0
        page = (finished.home / "reports" / f"{NAME}.run.html").read_text("utf-8")
        assert f"<dd>{energy(used)}</dd>" in page
        metric = "SELECT value FROM metrics WHERE key = 'train/energy_wh'"
        assert query(finished.home, metric) == [(used["wh"],)]
        tag = "SELECT value FROM tags WHERE key = 'onestep.energy'"
        assert query(finished.home, tag) == [(energy(used).split(", ", 1)[1],)]

    def test_mlflow_has_the_data_of_each_split(self, finished: Finished) -> None:
        statement = """
            SELECT t.value, d.name, d.dataset_source, d.dataset_profile, d.dataset_schema
            FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
            JOIN input_tags t ON t.input_uuid = i.input_uuid
            WHERE i.destination_type = 'RUN'
        """
        found = {split: rest for split, *rest in query(finished.home, statement)}
        rows = finished.record["rows"]
        assert set(found) == set(rows)
        for split, (name, source, profile, schema) in found.items():
            assert name == f"{NAME}-{split}"
            reading = {"file": "reviews.csv", "encoding": "utf-8", "delimiter": ","}
            found_in = {"uri": "reviews.csv", "files": ["reviews.csv"], "reading": [reading]}
            assert json.loads(source) == found_in
            assert json.loads(profile)["num_rows"] == rows[split]
            columns = json.loads(schema)["mlflow_colspec"]
            assert [column["name"] for column in columns] == ["text", "label"]


class TestTrouble:
    """A refused version and a failed run, with the shipped automations loaded."""

    def test_the_state_of_a_failed_run_is_the_reason_in_one_sentence(
        self, troubled: Monitored
    ) -> None:
        refused, failed = (run["state"] for run in troubled.runs[-2:])
        assert (refused["type"], refused["name"]) == ("COMPLETED", "Not promoted")
        assert "not promoted: " in refused["message"]
        assert (failed["type"], failed["name"]) == ("FAILED", "Failed")
        assert "reviews.csv: expected a column 'review', found 'text'" in failed["message"]
        assert "\n" not in failed["message"]
        (task,) = [task for task in troubled.tasks if task["state"]["type"] == "FAILED"]
        assert task["state"]["message"] == failed["message"]

    def test_a_failure_leaves_its_reason_as_an_artifact(self, troubled: Monitored) -> None:
        reason = troubled.runs[-1]["state"]["message"]
        told = troubled.artifact(f"{NAME}-failure")
        assert told == f"# {NAME} failed\n\n- {artifacts.plain(reason)}"

    def test_refusal_and_failure_are_events_that_reach_a_webhook(self, troubled: Monitored) -> None:
        assert "onestep to a webhook" in troubled.loaded
        assert "onestep to an e-mail address" in troubled.loaded
        refused = troubled.event("onestep.model.refused")
        failed = troubled.event("onestep.pipeline.failed")
        assert "log_loss" in refused["payload"]["verdict"]
        assert failed["resource"]["prefect.resource.id"] == f"onestep.pipeline.{NAME}"
        assert failed["payload"]["reason"] == troubled.runs[-1]["state"]["message"]
        called = {call["event"]: call["payload"] for call in troubled.calls}
        assert called == {event["event"]: event["payload"] for event in (refused, failed)}

    def test_refusal_and_failure_reach_a_person(self, troubled: Monitored) -> None:
        events = ("onestep.model.refused", "onestep.pipeline.failed")
        refused, failed = (troubled.event(name)["payload"] for name in events)
        assert {one["subject"]: one["body"] for one in troubled.messages} == {
            f"{NAME}: {event}": f"{reason}\n\nMLflow run: {payload['mlflow_run']}"
            for event, payload, reason in (
                (events[0], refused, refused["verdict"]),
                (events[1], failed, failed["reason"]),
            )
        }

    def test_no_word_of_a_row_is_told(self, troubled: Monitored) -> None:
        assert SECRET not in repr(troubled)


def test_drift_is_an_event_that_names_the_champion(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(finished.file.parent / "base")
    (tmp_path / "reviews.yaml").write_text(f"{CONFIG}contract: {{min_rows_per_class: 1}}\n")
    bad = [text for text, label in reviews() if label == "negative"]
    rows = [(text, "positive" if number < 8 else "negative") for number, text in enumerate(bad)]
    write_rows(tmp_path / "reviews.csv", rows)
    home = Path(shutil.copytree(finished.home, tmp_path / "home"))
    told = monitored(home, tmp_path / "reviews.yaml", "contract.drift.severity=refuse")
    event = told.event("onestep.data.drifted")
    assert event["resource"]["prefect.resource.id"] == f"onestep.pipeline.{NAME}"
    assert event["payload"]["model"] == f"models:/{NAME}/1"
    assert event["payload"]["version"] == 1
    assert "labels" in event["payload"]["reason"]
    assert told.runs[-1]["state"]["message"] == (
        f"contract.drift: {event['payload']['reason']} "
        "(see the report, or set contract.drift.severity: warn)"
    )
    assert "onestep.data.drifted" in {call["event"] for call in told.calls}


def test_the_gate_is_told_as_tables() -> None:
    checks, slices = artifacts.gate_tables(gate())
    assert checks.splitlines()[2:] == [
        "| text | passed | text |",
        "| text again | **failed** | text |",
    ]
    assert slices.splitlines()[2:] == [
        "| text: short | 400 | 0.9000 | 0.9200 | 0.0200 | passed |",
        "| text: long | 400 | 0.9000 | 0.9200 | 0.0200 | **fell too far** |",
        "| text: middle | 9 | 0.9000 | 0.9200 | 0.0200 | too small |",
    ]
    assert list(artifacts.gate_tables({})) == []
    assert artifacts.markdown_table(["a"], [["x | y\nz"]]).splitlines()[2] == "| x \\| y z |"


def test_the_shipped_automations_expect_events_that_exist() -> None:
    text = (ROOT / "automations.yaml").read_text("utf-8")
    for automation in YAML(typ="safe", pure=True).load(text)["automations"]:
        assert set(automation["trigger"]["expect"]) == {
            *(events.REFUSED, events.ROLLED_BACK, events.DRIFTED, events.FAILED)
        }
