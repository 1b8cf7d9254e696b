"""What ships beside the code: pipeline files, their editor hints, and clean text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from configs.schema import json_schema
from configs.starters import HINT, SCHEMA_FILE
from flows.run.reading import read
from tasks.applications import registry
from tests.docs.generated import PAGES
from tests.docs.markdown import ROOT, place

PIPELINES = sorted((ROOT / "configs").glob("*.yaml"))
SCHEMA = json_schema(registry.PIPELINES)
SECTIONS: dict[str, dict[str, Any]] = SCHEMA["$defs"]
# Spelled so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
MACHINE = re.compile(r"(?<![\w.:/-])/(home|Users|work|root)/\w")


def text_files() -> list[Path]:
    """Every file of the project that git does not ignore and that holds text."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def description(schema: dict[str, Any]) -> str:
    """What an editor shows of a field: its own text, or that of the section it refers to."""
    referred = SECTIONS.get(str(schema.get("$ref", "")).rpartition("/")[2], {})
    return str(schema.get("description") or referred.get("description") or "")


def test_there_are_pipelines() -> None:
    assert PIPELINES


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_every_shipped_pipeline_loads(path: Path) -> None:
    pipeline = read(path, [])
    assert pipeline.name == path.stem


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_every_shipped_pipeline_has_the_editor_hint(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == HINT.format(schema=SCHEMA_FILE)
    assert (path.parent / SCHEMA_FILE).is_file()


def test_the_shipped_schema_is_the_generated_one() -> None:
    shipped = (ROOT / "configs" / SCHEMA_FILE).read_text(encoding="utf-8")
    advice = "write it again: onestep schema > configs/pipeline.schema.json"
    assert json.loads(shipped) == SCHEMA, advice


@pytest.mark.parametrize("path", PAGES, ids=place)
def test_every_generated_page_is_what_the_code_says(path: Path) -> None:
    advice = "write it again: python -m tests.docs"
    assert path.read_text(encoding="utf-8") == PAGES[path](), advice


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_field_has_a_description(name: str) -> None:
    fields = SECTIONS[name]["properties"]
    assert [field for field, schema in fields.items() if not description(schema)] == []


def test_every_application_ships_a_pipeline() -> None:
    assert {read(path, []).application for path in PIPELINES} == set(registry.names())


def test_no_text_names_a_machine_or_unfinished_work() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line) or MACHINE.search(line)
    ]
    assert found == []
