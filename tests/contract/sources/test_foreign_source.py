"""A source of an installed package reads files for the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import packages
from tests.support.commands import onestep
from tests.support.tables import quarantined

FIXED_WIDTH = """
from tasks.contract.sources import text_files
from tasks.contract.sources.base import FileSource, Unreadable


class FixedWidth(FileSource):
    def columns(self):
        with text_files.text(self.path) as lines:
            return next(lines).split()

    def rows(self, block=None):
        with text_files.text(self.path) as lines:
            names = next(lines).split()
            for number, line in enumerate(lines, 1):
                if len(line) <= 10:
                    yield Unreadable(number, "expected more than 10 characters", line.rstrip())
                else:
                    yield number, dict(zip(names, (line[:10].strip(), line[10:].strip())))
"""


@pytest.fixture(autouse=True)
def fixed_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"onestep.sources": {"fwf": "FixedWidth"}}
    packages.install(tmp_path / "package", monkeypatch, "fixed_width", FIXED_WIDTH, points)


def test_source_from_an_installed_package_is_checked(tmp_path: Path) -> None:
    rows = [f"{'ab'[n % 2]:10}this is the text with number {n}" for n in range(60)]
    rows[20], rows[30] = "short", f"{'a':10}  "
    content = "\n".join(["label     text", *rows]) + "\n"
    (tmp_path / "rows.fwf").write_text(content, "utf-8")
    (tmp_path / "rows.yaml").write_text(
        "name: rows\napplication: topics\ndata:\n  train: rows.fwf\n"
        "contract:\n  max_quarantined: 0.1\n  rules: {near_duplicates: warn, near_leakage: warn}\n",
        "utf-8",
    )
    home = tmp_path / "home"
    done = onestep(home, "check", tmp_path / "rows.yaml", "--json")
    assert done.code == 0, done.output
    report = json.loads(done.out)["contract"]
    assert report["files"] == ["rows.fwf"]
    assert (report["rows"]["in"], report["rows"]["quarantined"]) == (60, 2)
    aside = quarantined(home / "quarantine" / "rows.jsonl")
    found = {entry["row"]: (entry["rules"], entry["raw"]) for entry in aside}
    assert found[21] == (["unreadable"], "short")
    assert found[31] == (["missing"], {"text": "", "label": "a"})
    assert {entry["file"] for entry in aside} == {str(tmp_path / "rows.fwf")}


def test_unknown_ending_names_the_installed_formats(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").touch()
    (tmp_path / "rows.yaml").write_text(
        "name: rows\napplication: topics\ndata:\n  train: rows.txt\n", "utf-8"
    )
    done = onestep(tmp_path / "home", "check", tmp_path / "rows.yaml")
    assert done.code == 2
    assert "expected CSV, TSV, JSON, JSONL, Parquet or XLSX, each also .gz, or .fwf" in " ".join(
        done.output.split()
    )
