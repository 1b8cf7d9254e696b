"""A stage from outside the source tree, in the middle of the real flow of the real command."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.homes import Finished, query

STAGE = """
from dataclasses import dataclass

from flows.cli.main import main
from flows.run.run import Stage
from flows.stages import STAGES
from tasks.validation import ValidationResult


@dataclass(frozen=True)
class Counted:
    note: str
    reused: bool = False
    stored: None = None


def count(run):
    return Counted(f"{sum(run[ValidationResult].rows.values())} rows counted")


STAGES.insert(2, Stage("row-count", count, version=1))
main()
"""
ORDER = ["validation", "tokenization", "rowcount", "finetuning", "evaluation", "registration"]


def ask(home: Path, statement: str) -> list[str]:
    """The first column of what Prefect's database answers."""
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as database:
        return [row[0] for row in database.execute(statement)]


@pytest.mark.slow
def test_a_stage_is_one_file_and_one_line(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    (tmp_path / "counting.py").write_text(STAGE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "counting.py", "run", str(finished.file), "--json"],
        cwd=tmp_path,
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    record = json.loads(done.stdout)
    note = f"{sum(record['rows'].values())} rows counted"
    assert list(record["reused"]) == ORDER
    assert record["metrics"] == finished.record["metrics"]
    terminal = done.stderr.index
    assert terminal("tokenization ") < terminal(note) < terminal("fine-tuning ")
    tasks = ask(home, "SELECT name FROM task_run ORDER BY start_time")
    names = [task.rpartition("-")[0].replace("-", "") for task in tasks[-len(ORDER) :]]
    assert names == ORDER
    assert any(note in str(data) for data in ask(home, "SELECT data FROM artifact"))
    assert note in (home / "reports" / "reviews.run.html").read_text("utf-8")
    assert fingerprints(home) != fingerprints(finished.home)


def fingerprints(home: Path) -> list[tuple[str]]:
    """Of the registered versions."""
    statement = "SELECT value FROM model_version_tags WHERE key = 'onestep.fingerprint'"
    return query(home, statement)
