from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.reading import section_at
from configs.renames import KEYS, VALUES
from configs.schema import Pipeline
from tests.support.reading import load

GOOD = """\
name: parcels
application: topics
data:
  train: train.csv
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "parcels.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def problems(file: Path, text: str | bytes, *overrides: str) -> list[str]:
    """What is said about a file, its name left out."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, overrides)
    return [str(problem).replace(str(file), "FILE") for problem in caught.value.problems]


def loaded(file: Path, text: str, *overrides: str) -> Pipeline:
    file.write_text(text, encoding="utf-8")
    return load(file, overrides)


def test_a_minimal_file_is_enough(file: Path) -> None:
    config = load(file)
    assert config.name == "parcels"
    assert config.model_name == "parcels"
    assert config.data.train == ("train.csv",)


def test_every_problem_is_told_at_once_with_line_path_found_and_allowed(file: Path) -> None:
    text = """\
name: parcels
application: topic
data:
  train: train.csv
  validation: 1.5
training:
  epochs: three
  learning_rate: -0.1
  optimizer:
    name: adamax
    weight_decay: -1
modle:
  base: starter
contract:
  rules:
    duplicates: ignore
"""
    assert problems(file, text) == [
        "FILE:2: application: expected one of entities, questions, sentiment, summarization, "
        "topics, translation, found 'topic' (did you mean `topics`?)",
        "FILE:5: data.validation: expected a fraction between 0 and 1, or file names, found 1.5",
        'FILE:7: training.epochs: expected a valid integer, found "three"',
        "FILE:8: training.learning_rate: expected greater than 0, found -0.1",
        "FILE:11: training.optimizer.weight_decay: expected greater than or equal to 0, found -1",
        "FILE:12: modle: unknown key (did you mean `model`?)",
        "FILE:16: contract.rules.duplicates: expected 'refuse', 'quarantine', 'drop' "
        "or 'warn', found \"ignore\"",
    ]


def test_the_suggestion_may_be_the_last_allowed_value(file: Path) -> None:
    text = GOOD + "model:\n  attn_implementation: sdpaa\n"
    assert problems(file, text)[0].endswith("(did you mean `sdpa`?)")


def test_an_unknown_key_of_a_nested_section_names_a_near_one(file: Path) -> None:
    text = GOOD + "training:\n  lr_scheduler:\n    warm_up: 0.1\n"
    assert problems(file, text) == [
        "FILE:7: training.lr_scheduler.warm_up: unknown key (did you mean `warmup_ratio`?)"
    ]


def test_an_unknown_key_like_no_other_lists_the_known_ones(file: Path) -> None:
    text = GOOD + "contract:\n  zzz: 1\n"
    assert problems(file, text) == [
        "FILE:6: contract.zzz: unknown key (known here: max_quarantined, rules, privacy, drift, "
        "repair, min_characters, max_characters, near_duplicate_threshold, sample_size, "
        "label_quality, min_rows_per_class, max_truncated, max_unknown, show_text)"
    ]


def test_missing_keys_are_named(file: Path) -> None:
    assert problems(file, "name: parcels\n") == [
        "FILE:1: application: required, but not given",
        "FILE:1: data: required, but not given",
    ]


def test_a_section_that_is_a_value_is_refused(file: Path) -> None:
    assert problems(file, GOOD + "training: 3\n") == [
        "FILE:5: training: expected an object, found 3"
    ]


def test_the_branches_of_a_union_make_one_problem(file: Path) -> None:
    assert problems(file, GOOD + "model:\n  max_length: autoo\n") == [
        "FILE:6: model.max_length: expected 'auto' or a valid integer, found \"autoo\" "
        "(did you mean `auto`?)"
    ]


def test_a_tab_is_named_with_its_line(file: Path) -> None:
    (problem,) = problems(file, "name: parcels\ndata:\n\ttrain: train.csv\n")
    assert problem.startswith("FILE:3: not valid YAML: found character '\\t'")
    assert problem.endswith("(indent with spaces)")


def test_a_duplicate_key_names_both_lines(file: Path) -> None:
    text = (
        GOOD + "training:\n  epochs: 1\n  batch_size: 2\n  epochs: 3\ndata:\n  train: other.csv\n"
    )
    assert problems(file, text) == [
        "FILE:8: training.epochs: duplicate key, already given on line 6 (keep one of the two)",
        "FILE:9: data: duplicate key, already given on line 3 (keep one of the two)",
        "FILE:10: data.train: duplicate key, already given on line 4 (keep one of the two)",
    ]


def test_a_missing_file_suggests_a_near_name(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"parcel\.yaml: no such file") as caught:
        load(file.with_name("parcel.yaml"))
    assert f"did you mean {file}?" in str(caught.value)


def test_a_missing_file_with_no_near_name_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="onestep init APPLICATION"):
        load(tmp_path / "parcels.yaml")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_other_bytes_than_utf8_are_named_with_their_place(file: Path) -> None:
    assert problems(file, "name: caf\xe9\n".encode("latin-1")) == [
        "FILE: expected UTF-8 text, found other bytes at offset 9"
    ]


def test_a_byte_order_mark_is_taken(file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8-sig")
    assert load(file).name == "parcels"


@pytest.mark.parametrize("text", ["", "\n \n", "# only a comment\n", "- a\n- b\n", "parcels\n"])
def test_anything_but_a_mapping_is_refused(file: Path, text: str) -> None:
    (problem,) = problems(file, text)
    assert problem.startswith("FILE: expected a mapping of sections")
    assert "onestep init" in problem


@pytest.mark.parametrize(
    "text",
    [
        "x: [1\n",
        "x: 2024-99-99\n",
        "x: !!int abc\n",
        "x: !!bool abc\n",
        "x: !!python/object/apply:os.getcwd []\n",
        "x: \x01\n",
        f"x: {'[' * 500}\n",
        "x: &x\n  y: *x\n",
        "? [a, b]\n: 1\n",
        "2024-01-01: 1\n",
        f"x: 0x{'f' * 5000}\n",
    ],
)
def test_broken_yaml_is_a_problem_of_the_file_and_never_a_crash(file: Path, text: str) -> None:
    assert problems(file, GOOD + text)[0].startswith("FILE")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from(list("abc12.:-,&*!?|>#%@[]{}'\"\n \t~=<")), max_size=40))
def test_no_file_crashes_the_reader(file: Path, text: str) -> None:
    file.write_text(GOOD + text, encoding="utf-8")
    try:
        load(file)
    except ConfigError as error:
        assert error.problems  # noqa: PT017


def test_yaml_is_version_1_2(file: Path) -> None:
    text = "seed: 012\n" + GOOD.replace("parcels", "no") + "  labels: [yes, off, 1]\ntraining:\n"
    config = loaded(file, text + "  learning_rate: 1e-4\n")
    assert config.name == "no"
    assert config.data.labels == ("yes", "off", "1")
    assert config.training.learning_rate == 1e-4
    assert config.seed == 12


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('epochs: "3"', '"3"'),
        ("epochs: 3.0", "3.0"),
        ("epochs: true", "true"),
        ("epochs:", "null"),
        ("learning_rate: '1e-4'", '"1e-4"'),
        ("learning_rate: .nan", "NaN"),
        ("learning_rate: .inf", "Infinity"),
        ("frozen_layers: -1", "-1"),
    ],
)
def test_values_are_not_converted(file: Path, line: str, found: str) -> None:
    (problem,) = problems(file, f"{GOOD}training:\n  {line}\n")
    assert problem.startswith(f"FILE:6: training.{line.partition(':')[0]}: expected")
    assert problem.endswith(f"found {found}")


@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_number_is_finite(file: Path, value: str) -> None:
    (problem,) = problems(file, GOOD + f"gate:\n  thresholds:\n    accuracy: {value}\n")
    assert problem.startswith("FILE:7: gate.thresholds.accuracy: expected a finite number")


def test_an_integer_is_a_number(file: Path) -> None:
    assert loaded(file, GOOD + "gate:\n  min_gain: 1\n").gate.min_gain == 1.0


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


def test_a_key_of_a_section_that_may_be_absent_is_known(tmp_path: Path) -> None:
    path = tmp_path / "parcels.yaml"
    text = "name: parcels\napplication: topics\ndata:\n  train: train.csv\n"
    path.write_text(
        text + "model:\n  scratch: {architecture: encoder, num_head: 3}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"model\.scratch\.num_head: unknown key .*`num_heads`"):
        load(path)


@pytest.mark.parametrize("code", ["EN", "english", "e"])
def test_a_wrong_language_code_is_told_with_right_ones(tmp_path: Path, code: str) -> None:
    path = tmp_path / "parcels.yaml"
    text = "name: parcels\napplication: topics\ndata:\n  train: train.csv\n"
    path.write_text(f"{text}language: {{source: {code}}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"language\.source: expected a code such as `en`"):
        load(path)


def test_old_names_are_told_the_new_ones_all_at_once(file: Path) -> None:
    text = """\
name: parcels
application: topics
data:
  train: train.csv
  group: customer
training:
  seed: 7
  schedule:
    name: cosine
    warmup: 0.2
evaluation: {headline: macro_f1}
gate:
  rule: not_worse
  floors: {accuracy: 0.8}
"""
    assert ConfigError.exit_code == 2
    assert sorted(problems(file, text), key=lambda one: int(one.split(":")[1])) == [
        "FILE:5: data.group: `data.group` is now `data.group_column`",
        "FILE:7: training.seed: `training.seed` is now `seed`",
        "FILE:8: training.schedule: `training.schedule` is now `training.lr_scheduler`",
        "FILE:10: training.schedule.warmup: `training.schedule.warmup` is now "
        "`training.lr_scheduler.warmup_ratio`",
        "FILE:11: evaluation.headline: `evaluation.headline` is now `evaluation.primary_metric`",
        "FILE:13: gate.rule: `not_worse` is now `non_inferior`",
        "FILE:14: gate.floors: `gate.floors` is now `gate.thresholds`",
    ]


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


def test_every_new_name_exists() -> None:
    for old, new in KEYS.items():
        for name in new.split("` and `"):
            section, _, last = name.rpartition(".")
            found = section_at(tuple(section.split(".") if section else ()), Pipeline)
            assert found is not None
            assert last in found.model_fields, old
    for (key, old), new in VALUES.items():
        path, _, last = key.rpartition(".")
        section_of = section_at(tuple(path.split(".")), Pipeline)
        assert section_of is not None
        allowed = get_args(section_of.model_fields[last].annotation)
        assert new in allowed
        assert old not in allowed
