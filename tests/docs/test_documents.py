"""What the documents say can be done."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main

from flows.cli.main import app
from flows.run.reading import read
from tests.docs.followed import (
    APPLICATIONS,
    INSTALLING,
    OPERATIONS,
    OVERVIEW,
    TUTORIAL,
    lines,
)
from tests.docs.markdown import (
    DOCS,
    DOCUMENTS,
    LINK,
    ROOT,
    Block,
    Command,
    anchors,
    blocks,
    called,
    merged,
    parsed,
    place,
    write_yaml,
)

GROUP: Any = typer.main.get_command(app)
ONESTEP = called("onestep")
MAKE = called("make")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) *[?:]?=", MAKEFILE, re.MULTILINE))
YAML_BLOCKS = [b for document in DOCUMENTS for b in blocks(document) if b.language == "yaml"]
MINIMAL: dict[str, Any] = {"name": "a", "application": "topics", "data": {"train": "a.csv"}}
PLACEHOLDER = re.compile(r"\b[A-Z]{4,}\b")
MOST_BYTES_OF_AN_IMAGE = 200_000


def load(record: Mapping[str, Any], folder: Path) -> None:
    """Check a pipeline the way every command does."""
    path = folder / "pipeline.yaml"
    write_yaml(path, record)
    read(path, [])


@pytest.mark.parametrize("command", ONESTEP, ids=str)
def test_every_command_exists_with_these_options(command: Command) -> None:
    name, *arguments = command.words[1:]
    if name == "--help":
        return
    assert name in GROUP.commands, command
    named_only = not arguments and ":" not in command.where
    GROUP.commands[name].make_context(name, arguments, resilient_parsing=named_only)


@pytest.mark.parametrize("command", ONESTEP, ids=str)
def test_every_override_names_a_key(command: Command, tmp_path: Path) -> None:
    words = list(command.words)
    values = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    path = tmp_path / "pipeline.yaml"
    path.write_text("name: a\napplication: topics\ndata: {train: a.csv}\n", encoding="utf-8")
    read(path, values)


def test_every_line_shown_is_typed_by_a_test() -> None:
    typed = {*lines([*OVERVIEW, TUTORIAL, OPERATIONS, *APPLICATIONS])}
    for document in DOCUMENTS:
        untried = [line for line in lines([document]) if line not in typed]
        assert [line for line in untried if not line.startswith(INSTALLING)] == [], document


def test_the_documentation_shows_every_command() -> None:
    typed = [c for c in ONESTEP if c.where.startswith("docs/") and ":" in c.where]
    assert {command.words[1] for command in typed} >= set(GROUP.commands)


@pytest.mark.parametrize("command", MAKE, ids=str)
def test_every_make_target_exists(command: Command) -> None:
    for word in command.words[1:]:
        name, equals, _ = word.partition("=")
        assert name in (VARIABLES if equals else TARGETS), command


def test_make_help_names_targets_that_exist() -> None:
    assert set(re.findall(r'@echo "make (\w+)', MAKEFILE)) <= TARGETS


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_every_pipeline_shown_is_valid(block: Block, tmp_path: Path) -> None:
    record = parsed(block)
    load(record if record.keys() >= MINIMAL.keys() else merged(MINIMAL, record), tmp_path)


def test_the_readme_shows_a_whole_pipeline() -> None:
    shown = [parsed(block) for block in YAML_BLOCKS if block.document == "README.md"]
    assert any(record.keys() >= MINIMAL.keys() for record in shown)


@pytest.mark.parametrize("document", DOCUMENTS, ids=place)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


@pytest.mark.parametrize("path", sorted((DOCS / "images").iterdir()), ids=lambda p: p.name)
def test_every_image_is_small_and_shown(path: Path) -> None:
    assert path.stat().st_size <= MOST_BYTES_OF_AN_IMAGE
    shown = [
        document.parent / target
        for document in DOCUMENTS
        for target in LINK.findall(document.read_text(encoding="utf-8"))
    ]
    assert path in [link.resolve() for link in shown]


def test_every_file_that_the_prose_names_exists() -> None:
    pattern = re.compile(r"`((?:configs|flows|tasks|tests|docs|onestep)/[\w./-]*)`")
    for document in DOCUMENTS:
        for path in pattern.findall(document.read_text(encoding="utf-8")):
            if not PLACEHOLDER.search(path):
                assert (ROOT / path).exists(), f"{document}: {path}"


def test_the_changelog_and_the_readme_speak_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(project['version'])}\]", changes, re.MULTILINE)
    assert project["readme"] == "README.md"
