from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from tests.support.reading import GOOD, load, loaded, problems


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
