"""An application that an installed package brings, as the page about applications shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.applications import registry
from tests.docs.markdown import DOCS, blocks
from tests.docs.reference import configuration, rules
from tests.support import packages
from tests.support.commands import assert_nothing_runs, onestep, succeed
from tests.support.homes import Finished, aliases, versions
from tests.support.rows import reviews, write_rows

PAGE = DOCS / "extending" / "applications.md"
NAME = "onestep_intents"
SHOUTED = "WHERE IS MY PARCEL?"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of the page, outside the source tree."""
    _, full = (block.text for block in blocks(PAGE) if block.language == "python")
    points = {registry.GROUP: {"intents": "APPLICATION"}}
    registry.get.cache_clear()
    return packages.install(tmp_path / "packages", monkeypatch, NAME, full, points)


@pytest.mark.slow
@pytest.mark.usefixtures("one_prefect")
def test_an_application_of_a_package_trains_and_is_served(
    installed: Path, finished: Finished, tmp_path: Path
) -> None:
    home, file = finished.empty(tmp_path / "mlruns"), tmp_path / "intents.yaml"
    succeed(home, "init", "intents", cwd=tmp_path)
    starter = file.read_text("utf-8")
    assert "# messages:" in starter
    assert "shouting: quarantine" in starter
    write_rows(tmp_path / "messages.csv", [*reviews(), (SHOUTED, "positive")])
    file.write_text(_pipeline(finished), "utf-8")
    run = json.loads(succeed(home, "run", file, "--json"))
    assert (run["headline"], run["quarantined"]) == ("macro_f1", 1)
    assert (versions(home, "intents"), aliases(home, "intents")) == ([1], {"champion": 1})
    (tmp_path / "new.csv").write_text("text\nwhere is my parcel\n")
    answers = succeed(home, "predict", "intents", "new.csv", "--to", "jsonl", cwd=tmp_path)
    assert json.loads(answers.splitlines()[-1])["label"] in {"positive", "negative"}
    assert_nothing_runs(home)


def _pipeline(finished: Finished) -> str:
    text = finished.file.read_text("utf-8").replace("sentiment", "intents")
    text = text.replace("name: reviews", "name: intents").replace("reviews.csv", "messages.csv")
    text = text.replace("base: base", f"base: {finished.file.with_name('base')}")
    lenient = "contract:\n  max_quarantined: 0.1\ngate:\n  beat_baseline: false\n"
    return text.replace("epochs: 4", "epochs: 1") + lenient


def test_it_shows_in_the_schema_and_in_the_reference(installed: Path, tmp_path: Path) -> None:
    schema = json.loads(succeed(tmp_path / "mlruns", "schema"))
    assert "intents" in json.dumps(schema)
    assert "least_words" in json.dumps(schema)
    pages = configuration.page(registry.PIPELINES), rules.page(registry.PIPELINES)
    assert "`least_words`" in pages[0]
    assert "`shouting`" in pages[1]


def test_its_keys_belong_to_it_alone(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "topics.yaml"
    file.write_text("name: t\napplication: topics\ndata:\n  train: a.csv\nmessages: {}\n")
    done = onestep(tmp_path / "mlruns", "check", file)
    assert done.code == 2
    assert f"{file}:5: messages: topics has no use for it" in done.err
    assert "intents" in done.err


def test_an_application_that_cannot_be_loaded_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {registry.GROUP: {"broken": "APPLICATION"}}
    packages.install(tmp_path / "packages", monkeypatch, "broken_package", "", points)
    with pytest.raises(Exception, match="application broken: cannot be loaded"):
        registry.get("broken")


def test_a_starter_is_written_in_full_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {registry.GROUP: {"broken": "APPLICATION"}}
    packages.install(tmp_path / "packages", monkeypatch, "broken_package", "", points)
    folder = tmp_path / "folder"
    folder.mkdir()
    done = onestep(tmp_path / "mlruns", "init", "topics", cwd=folder)
    assert done.code == 2
    assert "application broken: cannot be loaded" in done.err
    assert not list(folder.iterdir())
