"""The README, the first pages, the guide, the concepts and the page about retraining can be
followed: each of their commands runs, in order, with little data and tiny models.

The tutorial, the pages about applications and the page about operations have tests of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.followed import INSTALLING, OVERVIEW, PIPELINE_FILES, README, RETRAINING
from tests.docs.markdown import blocks, merged, parsed
from tests.support.commands import assert_nothing_runs
from tests.support.homes import Finished, aliases, versions
from tests.support.reader import Reader, reading
from tests.support.reading import load
from tests.support.rows import reviews, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("documents")]

SPLITS = {"validation": slice(0, 16), "test": slice(16, 40), "train": slice(40, None)}
TINY: dict[str, Any] = {
    "contract": {"min_rows_per_class": 1, "sample_size": 0, "max_quarantined": 0.1},
    "training": {"epochs": 1, "precision": "fp32"},
    "evaluation": {"bootstrap_samples": 100},
    "gate": {"thresholds": {"accuracy": 0.0}, "min_gain": 1.0, "beat_baseline": False},
    "compute": {"device": "cpu", "threads": 1, "energy": False},
}
"""Only the first version is promoted by itself."""
STARS = {"positive": "5", "negative": "1"}
MISTAKES = """\
name: reviews
application: sentimant
data:
  train: reviews.csv
  validaton: 0.2
training:
  epochs: zero

  learning_rate: 2
"""


@pytest.fixture(scope="module")
def reader(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Who has followed every page, in a clone with little data.

    One of its rows for topics has no text.
    """
    folder = tmp_path_factory.mktemp("clone")
    home = finished.empty(folder / "mlruns")
    tiny = TINY | {"model": {"base": str(finished.file.with_name("base"))}}
    with reading(folder, home, tiny) as working:
        samples = folder / "configs" / "samples"
        for split, chosen in SPLITS.items():
            write_rows(samples / f"sentiment.{split}.csv", reviews()[chosen])
            write_rows(samples / f"topics.{split}.csv", [*reviews()[chosen], ("", "positive")])
        for name in ("sentiment", "topics"):
            shipped = load(folder / "configs" / f"{name}.yaml")
            record = shipped.model_dump(mode="json", exclude_unset=True)
            working.write_pipeline(f"configs/{name}.yaml", record)
        for page in OVERVIEW:
            working.follow(page, BEFORE, without=INSTALLING)
        yield working
    assert_nothing_runs(home)


def write_reviews(reader: Reader) -> None:
    """The reader's own reviews, in two formats."""
    rows = [(text, STARS[label]) for text, label in reviews()]
    table = "".join(f'"{text}",{stars}\n' for text, stars in rows)
    (reader.folder / "reviews.csv").write_text(f"review,stars\n{table}", encoding="utf-8")
    lines = [json.dumps({"text": text}) for text, _ in rows]
    (reader.folder / "reviews.jsonl").write_text("\n".join(lines), encoding="utf-8")


def name_the_files(reader: Reader) -> None:
    """Give a month of tickets to a pipeline of one's own."""
    (shown,) = yaml_of(RETRAINING)
    reader.write_pipeline("tickets.yaml", {"name": "tickets", "application": "topics"} | shown)
    add_a_month(reader, slice(0, 100))


def add_a_month(reader: Reader, chosen: slice) -> None:
    """Put a file into the folder of tickets."""
    folder = reader.folder / "tickets"
    folder.mkdir(exist_ok=True)
    rows = [{"text": t, "label": label, "created": "2026-11-01"} for t, label in reviews()[chosen]]
    month = folder / f"{len(list(folder.iterdir()))}.jsonl"
    month.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def make_mistakes(reader: Reader) -> None:
    """Write a file with the mistakes that the page about pipeline files shows."""
    (reader.folder / "typos.yaml").write_text(MISTAKES, encoding="utf-8")


def set_a_row_aside(reader: Reader) -> None:
    """Run a pipeline with a broken row, and repair a copy of its quarantine."""
    repaired = reader.folder / "repaired.jsonl"
    if repaired.exists():
        return
    reader.type("onestep run configs/topics.yaml")
    text = (reader.folder / "mlruns" / "quarantine" / "topics.jsonl").read_text(encoding="utf-8")
    entries = [json.loads(line) for line in text.splitlines()]
    mended = [entry | {"raw": entry["raw"] | {"text": "where is it now"}} for entry in entries]
    repaired.write_text("\n".join(map(json.dumps, mended)), encoding="utf-8")


def find_prefect(reader: Reader) -> None:
    """Take the port that the interfaces' command has told."""
    (port,) = re.findall(r"^Prefect +http://127.0.0.1:(\d+)", reader.said[SECOND_UI], re.MULTILINE)
    reader.instead["4200"] = port


def name_a_block(reader: Reader) -> None:
    """Create a block as one does in the interface, and put its id into the file."""
    program = "from prefect.blocks.webhook import Webhook as W; print(W(url='http://x').save('x'))"
    line = f'python -c "{program}"'
    reader.type(line, PREFECT_API_URL=f"http://127.0.0.1:{reader.instead['4200']}/api")
    file = reader.folder / "automations.yaml"
    text = file.read_text(encoding="utf-8")
    placeholder = "00000000-0000-0000-0000-000000000001"
    assert placeholder in text
    file.write_text(text.replace(placeholder, reader.said[line].strip()), encoding="utf-8")


def schedule(reader: Reader) -> None:
    """A folder with a pipeline that is due on Mondays."""
    folder = reader.folder / "pipelines"
    folder.mkdir(exist_ok=True)
    (whole,), (timed,) = yaml_of(README), yaml_of(RETRAINING)
    scheduled = {"data": {"train": "../reviews.csv"}, "schedule": timed["schedule"]}
    reader.write_pipeline("pipelines/reviews.yaml", merged(whole, scheduled))


def yaml_of(page: Path) -> list[dict[str, Any]]:
    """The pipelines, or parts of them, that a page shows."""
    return [parsed(block) for block in blocks(page) if block.language == "yaml"]


def retrain(reader: Reader) -> None:
    """Let a second version of the tickets wait for a person."""
    add_a_month(reader, slice(100, None))
    reader.type("onestep retrain tickets.yaml --json")


SECOND_UI = "onestep ui --mlflow-port 5050"
BEFORE = {
    "onestep preflight reviews.yaml": write_reviews,
    SECOND_UI: Reader.interrupt,
    "onestep check tickets.yaml": name_the_files,
    "onestep check typos.yaml": make_mistakes,
    "onestep quarantine configs/topics.yaml": set_a_row_aside,
    "export PREFECT_API_URL": find_prefect,
    "prefect automation create": name_a_block,
    "onestep schedule pipelines": schedule,
    "onestep models tickets --history": retrain,
}


def shown_below(line: str, page: Path) -> str:
    """The output that a page shows below a command."""
    found = [shown for b in blocks(page) for typed, shown in b.session() if typed == line]
    return found[-1]


def test_mistakes_are_told_as_shown(reader: Reader) -> None:
    line = "onestep check typos.yaml"
    assert reader.said[line] == shown_below(line, PIPELINE_FILES)


def test_what_a_person_decides_moves_the_champion(reader: Reader) -> None:
    home = reader.folder / "mlruns"
    assert aliases(home, "sentiment") == {"champion": 1, "previous": 2, "challenger": 3}
    assert aliases(home, "tickets") == {"champion": 2, "previous": 1}
    assert "complaints from the shop" in reader.said["onestep models sentiment --history"]


def test_a_pipeline_of_ones_own_is_trained_from_a_file_and_from_a_table(reader: Reader) -> None:
    assert versions(reader.folder / "mlruns", "reviews") == [1, 2]


def test_every_way_to_ask_gives_the_same_answer(reader: Reader) -> None:
    (served,) = [json.loads(text) for line, text in reader.said.items() if line.startswith("curl")]
    (loaded,) = [text for line, text in reader.said.items() if line.startswith("import mlflow")]
    assert served["predictions"][0]["label"] in loaded


def test_the_next_runs_are_listed_as_shown(reader: Reader) -> None:
    line = "onestep schedule pipelines --dry-run 2"
    columns, first, second = reader.said[line].splitlines()
    assert columns.split() == shown_below(line, RETRAINING).splitlines()[0].split()
    assert first.split()[1] == second.split()[1] == "pipelines/reviews.yaml"
