from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from configs.errors import ConfigError
from configs.renames import KEYS, VALUES
from configs.schema import Pipeline
from configs.validation import section_at
from tests.support.reading import GOOD, load, loaded, problems


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
