from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.schema import Pipeline
from tests.support.reading import GOOD, load, loaded, problems


def test_overrides_win_and_reach_sections_that_the_file_does_not_have(file: Path) -> None:
    overrides = [
        "training.epochs=7",
        "name=other",
        "gate.thresholds={accuracy: 0.5}",
        "model.base=a=b",
    ]
    config = loaded(file, "seed: 3\n" + GOOD + "training:\n  epochs: 1\n", *overrides)
    assert (config.training.epochs, config.seed) == (7, 3)
    assert config.name == "other"
    assert config.gate.thresholds == {"accuracy": 0.5}
    assert config.model.base == "a=b"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("training.epoch=1", "--set training.epoch: unknown key (did you mean `epochs`?)"),
        ("training.epochs=x", '--set training.epochs: expected a valid integer, found "x"'),
        ("training.epochs", "--set training.epochs: expected KEY=VALUE, such as training.epochs=3"),
        ("training..epochs=1", "--set training..epochs=1: expected KEY=VALUE, such as "),
        ("name.first=1", "--set name.first: `name` is a value, not a section"),
        ("training={epochs: 0}", "--set training.epochs: expected greater than or equal to 1"),
        ("training.epochs=[", "--set training.epochs: the value '[' is not valid YAML"),
        ("name=2024-99-99", "--set name: the value '2024-99-99' is not valid YAML"),
    ],
)
def test_a_wrong_override_is_named(file: Path, override: str, problem: str) -> None:
    assert problems(file, GOOD, override)[0].startswith(problem)


def test_all_wrong_overrides_are_told_at_once(file: Path) -> None:
    assert len(problems(file, GOOD, "training.epochs", "name.first=1")) == 2


def test_an_override_repairs_the_file(file: Path) -> None:
    assert loaded(file, GOOD.replace("topics", "topic"), "application=topics").name == "parcels"


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "parcels.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = load(Path("deep/parcels.yaml"))
    assert config.data.folder == config.model.folder == Path("deep")


def test_checks_report_at_the_line_of_the_key_or_the_nearest_one_above(file: Path) -> None:
    def check(config: Pipeline) -> Iterator[tuple[str, str]]:
        yield "data.train", f"nothing of {config.name}"
        yield "data.columns.text", "no such"
        yield "gate.thresholds", "none"

    with pytest.raises(ConfigError) as caught:
        load(file, ["gate.thresholds={}"], checks=[check])
    assert [str(problem) for problem in caught.value.problems] == [
        f"{file}:4: data.train: nothing of parcels",
        f"{file}:3: data.columns.text: no such",
        "--set gate.thresholds: none",
    ]


def test_reading_a_file_loads_no_heavy_library(file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.support.reading import load; "
        "load(Path(sys.argv[1])); "
        "heavy = {'torch', 'transformers', 'mlflow', 'prefect', 'pandas', 'datasets'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("override", "new"),
    [
        ("training.ema=0.9", ["`training.ema` is now `training.ema_decay`"]),
        ("gate.rule=surely_better", ["`surely_better` is now `superior`"]),
        (
            "contract.characters=[1, 9]",
            [
                "`contract.characters` is now `contract.min_characters` and "
                "`contract.max_characters`"
            ],
        ),
        (
            "training.schedule.warmup=0.2",
            [
                "`training.schedule` is now `training.lr_scheduler`",
                "`training.schedule.warmup` is now `training.lr_scheduler.warmup_ratio`",
            ],
        ),
        ("model.scratch={layers: 2}", ["`model.scratch.layers` is now `model.scratch.num_layers`"]),
    ],
)
def test_an_override_with_an_old_name_is_told_the_new_one(
    file: Path, override: str, new: list[str]
) -> None:
    said = problems(file, GOOD, override)
    assert [one.split(": ", 1)[1] for one in said if "is now" in one] == new
    assert all(one.startswith("--set ") for one in said if "is now" in one)
