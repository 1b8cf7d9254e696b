"""``check``, ``quarantine`` and ``drift`` as people and scripts use them."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import onestep, succeed
from tests.support.homes import Finished
from tests.support.rows import flipped, reviews, write_rows

EMAIL = "anna.meyer@example.org"
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
def project(file: Path, tmp_path: Path) -> Path:
    """A pipeline with one row that mentions an address, one without text and one twice."""
    folder = tmp_path / "project"
    shutil.copytree(file.parent, folder)
    rows = reviews()
    rows[3] = (f"the film was terrible, write to {EMAIL} or use {SECRET}", "negative")
    rows[8] = ("", "positive")
    write_rows(folder / "reviews.csv", [*rows, rows[0]])
    return folder / "reviews.yaml"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


LENIENT = ("--set", "contract.max_quarantined=0.1")
ASIDE = ("--set", "contract.rules.duplicates=quarantine")


def found(report: dict[str, Any]) -> dict[str, int]:
    return {rule["name"]: rule["found"] for rule in report["rules"] if rule["found"]}


def test_a_check_shows_every_rule_and_writes_a_report(home: Path, project: Path) -> None:
    text = succeed(home, "check", project, *LENIENT)
    assert "dropped as copies" in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert lines["missing"][1:4] == ["quarantine", "1", "121"]
    assert lines["duplicates"][1:3] == ["drop", "1"]
    assert lines["privacy.email"][1:3] == ["redact", "1"]
    assert lines["html"][1:3] == ["warn", "0"]
    assert "is valid" in text
    report = home / "reports" / "reviews.html"
    assert f"report:     {report.relative_to(home.parent)}" in text
    assert "<h1" in report.read_text("utf-8")


def test_a_check_tells_scripts_the_same(home: Path, project: Path) -> None:
    record = json.loads(succeed(home, "check", project, *LENIENT, "--json"))
    assert record["contract"]["verdict"] == "passed"
    assert record["contract"]["rows"] == {
        "in": 121,
        "kept": 119,
        "quarantined": 1,
        "dropped": 1,
        "superseded": 0,
        "empty": 0,
        "outside": 0,
        "repaired": 0,
        "redacted": 1,
    }
    assert found(record["contract"])["privacy.secret"] == 1


def test_refused_data_is_reported_as_well(home: Path, project: Path) -> None:
    done = onestep(home, "check", project, *ASIDE)
    assert done.code == 2
    assert "2 of 121 rows break the contract, more than 1.0%" in done.err
    assert "missing" in done.out
    page = (home / "reports" / "reviews.html").read_text("utf-8")
    assert "Refused" in page
    assert "2 of 121 rows break the contract" in page


def test_every_refusal_is_told_at_once(home: Path, project: Path) -> None:
    strict = ("contract.rules.duplicates=refuse", "contract.privacy.email=refuse")
    done = onestep(home, "check", project, *(part for key in strict for part in ("--set", key)))
    assert done.code == 2
    for setting in ("contract.rules.duplicates", "contract.privacy.email"):
        assert f"{setting} is `refuse`" in done.err
    assert EMAIL not in done.output


def test_what_is_private_is_in_the_quarantine_only(home: Path, project: Path) -> None:
    done = onestep(home, "run", project, *LENIENT, "--set", "training.epochs=1")
    assert done.code == 0, done.output
    for private in (EMAIL, SECRET):
        assert private not in done.output
        places = [
            path.relative_to(home)
            for path in home.rglob("*")
            if path.is_file() and private.encode() in path.read_bytes()
        ]
        assert [path for path in places if "quarantine" not in str(path)] == []


def test_a_repaired_row_comes_back(home: Path, project: Path) -> None:
    succeed(home, "check", project, *LENIENT, *ASIDE)
    listed = json.loads(succeed(home, "quarantine", project, "--json"))
    assert [(row["row"], row["rules"]) for row in listed] == [
        (9, ["missing"]),
        (121, ["duplicates"]),
    ]
    assert all("raw" not in row for row in listed)
    records = (home / "quarantine" / "reviews.jsonl").read_text("utf-8").splitlines()
    entry = json.loads(records[0])
    entry["raw"]["text"] = "the coffee was cold but the cake was wonderful"
    fixed = project.parent / "fixed.jsonl"
    fixed.write_text(json.dumps(entry) + "\n", "utf-8")
    assert "1 rows taken back" in succeed(home, "quarantine", project, "--fixed", fixed)
    record = json.loads(succeed(home, "check", project, *LENIENT, *ASIDE, "--json"))
    assert record["contract"]["rows"]["kept"] == 120
    assert "missing" not in found(record["contract"])


def test_a_table_with_places_is_taken_back_as_well(home: Path, project: Path) -> None:
    succeed(home, "check", project, *LENIENT)
    entry = json.loads((home / "quarantine" / "reviews.jsonl").read_text("utf-8").splitlines()[0])
    fixed = project.parent / "fixed.csv"
    with fixed.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["split", "file", "row", "text", "label"])
        writer.writerow([entry["split"], entry["file"], 9, "this jacket keeps me warm", "positive"])
    succeed(home, "quarantine", project, "--fixed", fixed)
    record = json.loads(succeed(home, "check", project, *LENIENT, "--json"))
    assert record["contract"]["rows"]["kept"] == 120


def test_a_row_that_is_still_broken_stays_where_it_is(home: Path, project: Path) -> None:
    succeed(home, "check", project, *LENIENT, *ASIDE)
    lines = (home / "quarantine" / "reviews.jsonl").read_text("utf-8").splitlines()
    first, second = map(json.loads, lines)
    first["raw"]["text"] = "   "
    second["row"] = 99
    fixed = project.parent / "fixed.jsonl"
    fixed.write_text("".join(json.dumps(entry) + "\n" for entry in (first, second)), "utf-8")
    done = onestep(home, "quarantine", project, "--fixed", fixed)
    assert done.code == 2
    assert "row 9: still breaks the contract: text: the text is empty" in done.err
    assert "fixed.jsonl row 2: no row in the quarantine has its split, file and row" in done.err
    record = json.loads(succeed(home, "check", project, *LENIENT, "--json"))
    assert record["contract"]["rows"]["kept"] == 119


def test_without_a_champion_there_is_nothing_to_compare_with(home: Path, file: Path) -> None:
    assert "has no champion" in succeed(home, "drift", file)


def test_drift_is_measured_against_the_champion(finished: Finished, tmp_path: Path) -> None:
    home = Path(shutil.copytree(finished.home, tmp_path / "home"))
    same = json.loads(succeed(home, "drift", finished.file, "--json"))
    assert {measure["name"] for measure in same["drift"]} == {
        "labels",
        "characters of text",
        "vocabulary of text",
        "predictions",
    }
    assert not any(measure["drifted"] for measure in same["drift"])
    bad = [row for row in reviews() if row[1] == "negative"]
    other = write_rows(tmp_path / "other.csv", [*flipped(bad[:8]), *bad[8:]])
    moved = ("--set", f"data.train={other}", "--set", "contract.min_rows_per_class=1")
    text = succeed(home, "drift", finished.file, *moved)
    assert "drift from models:/reviews/1: labels" in text
    strict = ("--set", "contract.drift.severity=refuse")
    done = onestep(home, "drift", finished.file, *moved, *strict)
    assert done.code == 2
    assert "error: contract.drift: drift from models:/reviews/1: labels" in done.err
    done = onestep(home, "check", finished.file, *moved, *strict)
    assert done.code == 2
    assert "drift from models:/reviews/1" in done.err


def test_a_run_shows_the_contract_in_both_interfaces(finished: Finished) -> None:
    run_id = finished.record["mlflow_run"].partition("?")[0][-32:]
    run = finished.home / "artifacts" / "reviews" / run_id
    kept = {path.name for path in (run / "artifacts" / "validation").iterdir()}
    assert kept == {"report.json", "report.html", "profile.json"}
    package = run / "artifacts" / "model" / "artifacts" / "package"
    assert json.loads((package / "contract.json").read_text("utf-8"))["verdict"] == "passed"
    with closing(sqlite3.connect(finished.home / "prefect" / "prefect.db")) as database:
        query = "SELECT description FROM artifact WHERE key = 'reviews-data-contract'"
        (description,) = database.execute(query).fetchone()
    assert description.startswith("Data contract: passed, ")
