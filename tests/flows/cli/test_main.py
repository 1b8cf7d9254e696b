"""The command as people and scripts use it: real processes, real servers, a tiny model."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Pipeline
from tasks.applications import registry
from tests.docs.markdown import ROOT
from tests.support.commands import (
    ONESTEP,
    assert_nothing_runs,
    environment,
    leftovers,
    onestep,
    succeed,
)
from tests.support.homes import (
    NAME,
    STEPS,
    Finished,
    aliases,
    logged,
    logged_steps,
    losses,
    run_states,
    versions,
)
from tests.support.rows import reviews, write_rows

HEAVY = ("torch", "transformers", "mlflow", "prefect", "pandas", "datasets", "numpy", "sklearn")
STAGES = ("validation", "tokenization", "finetuning", "evaluation", "registration")
TEXTS = ("the coffee was wonderful", "the coffee was terrible")
LABELS = ["positive", "negative"]
LOADS_ELSEWHERE = """
import sys
sys.modules.update(dict.fromkeys(("configs", "flows", "onestep", "tasks")))
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(*model.predict(pandas.DataFrame({"text": sys.argv[3:]}))["label"])
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    return tmp_path / "home"


def imported(stderr: str) -> set[str]:
    """Top-level packages in the output of ``python -X importtime``."""
    names = (line.rsplit("|", 1)[-1].strip() for line in stderr.splitlines() if "|" in line)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("schema",)])
def test_help_and_schema_import_nothing_heavy(home: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ONESTEP), *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    assert imported(done.stderr).isdisjoint(HEAVY)
    assert not home.exists()


def test_help_names_every_command(home: Path) -> None:
    text = succeed(home, "--help")
    for command in ("init", "check", "preflight", "run", "predict", "models", "ui", "schema"):
        assert command in text


def test_a_wrong_command_is_the_users_mistake(home: Path) -> None:
    done = onestep(home, "rnu")
    assert done.code == 2
    assert "rnu" in done.err
    assert "Traceback" not in done.err


def test_schema_is_the_file_that_ships(home: Path) -> None:
    import configs.schema

    shipped = Path(configs.schema.__file__).with_name("pipeline.schema.json")
    assert json.loads(succeed(home, "schema")) == json.loads(shipped.read_text("utf-8"))


def test_config_prints_a_file_that_means_the_same(home: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "filled.yaml").write_text(succeed(home, "config", file), encoding="utf-8")
    again = json.loads(succeed(home, "config", tmp_path / "filled.yaml", "--json"))
    assert again == json.loads(succeed(home, "config", file, "--json"))
    assert set(again) == set(Pipeline.model_fields)


def test_a_printed_model_from_scratch_can_be_read_again(home: Path, tmp_path: Path) -> None:
    printed = succeed(home, "config", ROOT / "configs" / "translation.yaml")
    (tmp_path / "again.yaml").write_text(printed, encoding="utf-8")
    assert succeed(home, "config", tmp_path / "again.yaml") == printed


def test_an_override_reaches_the_config(home: Path, file: Path) -> None:
    overrides = ("--set", "training.epochs=7", "--set", "data.columns={text: review}")
    config = json.loads(succeed(home, "config", file, "--json", *overrides))
    assert config["training"]["epochs"] == 7
    assert config["data"]["columns"] == {"text": "review"}


@pytest.mark.parametrize("application", registry.names())
def test_init_writes_a_valid_file_once(home: Path, tmp_path: Path, application: str) -> None:
    succeed(home, "init", application, cwd=tmp_path)
    written = (tmp_path / f"{application}.yaml").read_text("utf-8")
    assert "$schema=pipeline.schema.json" in written
    assert (tmp_path / "pipeline.schema.json").exists()
    config = json.loads(succeed(home, "config", f"{application}.yaml", "--json", cwd=tmp_path))
    assert config["application"] == application
    again = onestep(home, "init", application, cwd=tmp_path)
    assert again.code == 2
    assert f"{application}.yaml: the file exists" in again.err
    assert (tmp_path / f"{application}.yaml").read_text("utf-8") == written


def test_a_started_file_passes_the_check_once_it_has_data(
    home: Path, file: Path, tmp_path: Path
) -> None:
    succeed(home, "init", "sentiment", "--output", tmp_path / "mine.yaml")
    write_rows(tmp_path / "train.csv", reviews())
    base = f"model.base={file.parent / 'base'}"
    text = succeed(home, "check", tmp_path / "mine.yaml", "--set", base)
    assert "mine.yaml is valid" in text
    assert "96 train, 12 validation, 12 test rows; 0 quarantined" in text


def test_a_terminal_may_lack_characters_and_a_file_lacks_none(home: Path, tmp_path: Path) -> None:
    file, extra = tmp_path / "łatki.yaml", {"PYTHONIOENCODING": "latin-1"}
    written = succeed(home, "init", "sentiment", "--output", file, extra=extra)
    assert written.startswith(f"wrote {tmp_path}/\\u0142atki.yaml; ")
    labels = "data.labels=[łódź, inne]"
    assert "- łódź\n" in succeed(home, "config", file, "--set", labels, extra=extra)
    done = onestep(home, "check", tmp_path / "łąki.yaml", extra=extra)
    assert (done.code, "\\u0142\\u0105ki.yaml: no such file" in done.err) == (2, True)


def test_init_suggests_the_nearest_application(home: Path, tmp_path: Path) -> None:
    done = onestep(home, "init", "sentimant", cwd=tmp_path)
    assert done.code == 2
    assert "did you mean `sentiment`?" in done.err
    assert list(tmp_path.glob("*.yaml")) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("onestep pre", ["preflight", "predict"]),
        ("onestep init ", list(registry.names())),
        ("onestep run rev", ["reviews.yaml"]),
        ("onestep run reviews.yaml --fr", ["--fresh"]),
    ],
)
def test_tab_completes(home: Path, file: Path, words: str, expected: list[str]) -> None:
    position = len(words.split()) - (not words.endswith(" "))
    asked = {"_ONESTEP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    offered = succeed(home, cwd=file.parent, extra=asked).split()
    assert sorted(offered) == sorted(expected)


def test_check_tells_scripts_about_the_data(home: Path, file: Path) -> None:
    summary = json.loads(succeed(home, "check", file, "--json"))
    assert summary["rows"] == 120
    assert summary["quarantined"] == 0
    assert summary["labels"]["labels"] == ["negative", "positive"]
    assert summary["truncated"] == 0
    assert set(summary["tokens"]) == {"train", "validation", "test"}


def test_preflight_takes_one_step_and_forecasts_the_run(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    report = json.loads(succeed(home, "preflight", finished.file, "--json"))
    assert report["loss"] == pytest.approx(report["expected_loss"], rel=0.5)
    assert report["grad_norm"] > 0
    assert len(report["grad_norm_by_group"]) > 3
    assert report["frozen"] == []
    assert report["rows"] == 8
    assert report["forecast"]["steps"] == STEPS
    figures = (
        *(report["forecast"][name] for name in ("training_seconds", "test_seconds", "peak_memory")),
        *(report[name] for name in ("seconds", "setup_seconds", "run_seconds", "peak_memory")),
    )
    assert all(figure > 0 for figure in figures)
    assert {"dead", "longest", "device", "precision", "threads"} <= report.keys()
    assert not (home / "stages" / "finetuning").exists()
    assert leftovers(home) == []


@pytest.mark.usefixtures("one_prefect")
@pytest.mark.xdist_group("cli-run")
class TestRun:
    """What the first run of a pipeline prints, records and leaves behind."""

    def test_json_is_all_that_is_printed(self, finished: Finished) -> None:
        record = finished.record
        assert record["uri"] == f"models:/{NAME}/1"
        assert record["alias"] == "champion"
        assert record["reused"] == dict.fromkeys(STAGES, False)
        assert record["metrics"]["accuracy"] == 1.0
        assert record["interval"][0] <= record["metrics"]["accuracy"] <= record["interval"][1]
        assert record["training"]["steps"] == STEPS
        assert record["seconds"] > 0

    def test_progress_goes_to_stderr_as_plain_lines(self, finished: Finished) -> None:
        for stage in ("validation", "tokenization", "fine-tuning", "evaluation", "registration"):
            assert f"{stage} ..." in finished.noise
        assert plain(finished.noise)

    def test_the_run_is_recorded_once(self, finished: Finished) -> None:
        assert versions(finished.home) == [1]
        assert aliases(finished.home) == {"champion": 1}
        assert logged_steps(finished.home) == list(range(1, STEPS + 1))
        assert logged_steps(finished.home, "validation/loss") == [9, 18, 27, 36]
        assert run_states(finished.home) == ["FINISHED"]
        assert len(losses(finished.home)) == STEPS

    def test_nothing_unfinished_is_left(self, finished: Finished) -> None:
        assert leftovers(finished.home) == []
        assert_nothing_runs(finished.home)

    def test_the_model_loads_with_mlflow_alone(self, finished: Finished, tmp_path: Path) -> None:
        uri = f"sqlite:///{finished.home / 'mlflow.db'}"
        printed = subprocess.run(
            [sys.executable, "-c", LOADS_ELSEWHERE, uri, finished.record["uri"], *TEXTS],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stdout.split() == LABELS


def plain(text: str) -> bool:
    """Whether a text has no escape codes, no bar and no line that overwrites itself."""
    return not any(sign in text for sign in ("\x1b", "\r", "━", "█"))


@pytest.mark.usefixtures("one_prefect")
@pytest.mark.xdist_group("cli-again")
def test_a_second_run_reuses_and_a_fresh_one_recomputes(
    finished: Finished, own_finished: Path, tmp_path: Path
) -> None:
    again = json.loads(succeed(own_finished, "run", finished.file, "--json"))
    assert again["reused"] == dict.fromkeys(STAGES, True)
    assert {k: again[k] for k in ("uri", "metrics", "verdict", "alias")} == {
        k: finished.record[k] for k in ("uri", "metrics", "verdict", "alias")
    }
    assert logged(own_finished) == logged(finished.home)
    timeline = tmp_path / "timeline.json"
    again = ("--fresh", "--set", "compute.energy=true", "--trace", timeline)
    text = succeed(own_finished, "run", finished.file, *again)
    assert_timeline(timeline)
    assert "reused" not in text.split("registration ...")[0]
    assert f"models:/{NAME}/1" in text
    assert re.search(r"^energy, (partly )?estimated +\S+ Wh$", text, re.MULTILINE)
    assert plain(text)
    assert versions(own_finished) == [1]
    assert losses(own_finished) == losses(finished.home)
    assert logged_steps(own_finished) == list(range(1, STEPS + 1))
    assert leftovers(own_finished) == []


def assert_timeline(path: Path) -> None:
    """Each stage and each step of the run has a span, and the spans of a thread do not cross."""
    events = json.loads(path.read_text("utf-8").rstrip().removesuffix(",") + "]")
    spans = [event for event in events if event["ph"] == "X"]
    named = {event["pid"] for event in events if event["ph"] == "M"}
    count = Counter(span["name"] for span in spans)
    assert count["step"] == STEPS
    assert count["validation pass"] == 4
    assert {count[stage] for stage in (*STAGES[:2], "fine-tuning", *STAGES[3:])} == {1}
    assert named == {span["pid"] for span in spans}
    (training,) = [span for span in spans if span["name"] == "fine-tuning"]
    for span in spans:
        if span["name"] == "step":
            assert training["ts"] < span["ts"] < span["ts"] + span["dur"] < ends(training)
    for a, b in combinations(spans, 2):
        if (a["pid"], a["tid"]) == (b["pid"], b["tid"]):
            first, second = sorted((a, b), key=lambda span: (span["ts"], -span["dur"]))
            assert second["ts"] >= ends(first) or ends(second) <= ends(first)


def ends(span: dict[str, Any]) -> float:
    """When a span ends, in microseconds."""
    return float(span["ts"] + span["dur"])


@pytest.fixture
def own_finished(finished: Finished, tmp_path: Path) -> Path:
    """A home of one's own in which the pipeline has run.

    MLflow keeps absolute paths, so a copy's artifacts are those of the original: good enough for
    tests that register nothing.
    """
    import shutil

    return Path(shutil.copytree(finished.home, tmp_path / "home"))


@pytest.mark.xdist_group("cli-models")
class TestModels:
    """Looking models up."""

    def test_a_table_for_people(self, finished: Finished) -> None:
        text = succeed(finished.home, "models")
        assert NAME in text
        assert "@champion" in text
        assert "accuracy 1.0000" in text
        assert plain(text)

    def test_a_record_for_scripts(self, finished: Finished) -> None:
        (record,) = json.loads(succeed(finished.home, "models", NAME, "--json"))
        assert record["uri"] == finished.record["uri"]
        assert record["aliases"] == ["champion"]
        assert record["metrics"] == finished.record["metrics"] | record["metrics"]
        assert record["value"] == finished.record["metrics"]["accuracy"]
        assert record["verdict"] == finished.record["verdict"]
        assert record["base_model"] == "base"
        assert len(record["data"]) == 64

    def test_an_unknown_name_is_answered_with_what_exists(self, finished: Finished) -> None:
        done = onestep(finished.home, "models", "revues")
        assert done.code == 2
        assert f"revues: no such model (registered: {NAME})" in done.err

    def test_an_empty_registry_says_how_to_fill_it(self, home: Path) -> None:
        assert "no model is registered yet" in succeed(home, "models")


@pytest.mark.xdist_group("cli-predict")
class TestPredict:
    """Batch prediction."""

    def test_csv_in_and_csv_out(self, finished: Finished, tmp_path: Path) -> None:
        source = write_rows(tmp_path / "in.csv", zip(TEXTS, ("a", "b"), strict=True))
        rows = from_csv(succeed(finished.home, "predict", NAME, source))
        assert [row["predicted_label"] for row in rows] == LABELS
        assert [(row["text"], row["label"]) for row in rows] == [(TEXTS[0], "a"), (TEXTS[1], "b")]
        assert all(0.5 < float(row["score"]) <= 1 for row in rows)
        assert "probabilities" not in rows[0]

    def test_json_lines_from_a_pipe(self, finished: Finished) -> None:
        lines = "".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(TEXTS))
        printed = succeed(finished.home, "predict", f"{NAME}@champion", "-", stdin=lines.encode())
        rows = [json.loads(line) for line in printed.splitlines()]
        assert [(row["id"], row["label"]) for row in rows] == list(enumerate(LABELS))

    def test_gzip_another_column_and_another_format(
        self, finished: Finished, tmp_path: Path
    ) -> None:
        source = tmp_path / "in.csv.gz"
        source.write_bytes(gzip.compress("\n".join(["review", *TEXTS, ""]).encode()))
        options = ("--column", "text=review", "--to", "jsonl", "--probabilities")
        printed = succeed(finished.home, "predict", f"{NAME}/1", source, *options)
        rows = [json.loads(line) for line in printed.splitlines()]
        assert [row["label"] for row in rows] == LABELS
        assert all(sum(row["probabilities"]) == pytest.approx(1) for row in rows)

    def test_a_missing_column_is_named(self, finished: Finished, tmp_path: Path) -> None:
        source = tmp_path / "in.csv"
        source.write_text("review\nxylophone\n", encoding="utf-8")
        done = onestep(finished.home, "predict", NAME, source)
        assert done.code == 2
        assert "expected a column 'text', found 'review'" in done.err
        assert "--column text=YOURS" in done.err
        assert "xylophone" not in done.output

    def test_a_pipe_that_closes_early_is_no_error(self, finished: Finished, tmp_path: Path) -> None:
        source = write_rows(tmp_path / "in.csv", [(TEXTS[0] * 20, "a")] * 3000)
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; '{ONESTEP}' predict {NAME} '{source}' | head -n 1"],
            env=environment(finished.home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "text,label,predicted_label,score\n"
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("revues", "in.csv"), f"no such model (registered: {NAME})"),
            ((f"{NAME}@best", "in.csv"), "aliases: @champion"),
            ((NAME, "nowhere.csv"), "nowhere.csv: no such file"),
            ((NAME, "in.csv", "--to", "xml"), "expected csv, jsonl or xlsx, found 'xml'"),
            ((NAME, "in.csv", "--column", "review"), "expected NAME=YOURS"),
        ],
    )
    def test_a_mistake_is_answered(
        self, finished: Finished, tmp_path: Path, arguments: tuple[str, ...], message: str
    ) -> None:
        write_rows(tmp_path / "in.csv", [(TEXTS[0], "a")])
        done = onestep(finished.home, "predict", *arguments, cwd=tmp_path)
        assert done.code == 2
        assert message in done.err
        assert "Traceback" not in done.output


def from_csv(text: str) -> list[dict[str, Any]]:
    """Rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text)))
