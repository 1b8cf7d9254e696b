from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

import configs
from configs.contract import Contract, Privacy, Rules
from configs.schema import Data, Pipeline, Retraining, Section, Training, json_schema
from configs.training import Optimizer
from configs.values import Country
from tasks.applications.registry import PIPELINES
from tasks.contract.rules.national_ids import NATIONAL_IDS
from tasks.contract.rules.privacy import KINDS

SHIPPED = sorted(Path(configs.__file__).parent.glob("*.yaml"))
MINIMAL = {"name": "parcels", "application": "topics", "data": {"train": "train.csv"}}


def sections(root: type[Section] = Section) -> Iterator[type[Section]]:
    for section in root.__subclasses__():
        yield section
        yield from sections(section)


def with_(**changes: Any) -> dict[str, Any]:
    return MINIMAL | changes


def from_yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_defaults_are_what_the_documentation_promises() -> None:
    config = Pipeline.model_validate(MINIMAL)
    assert config.data.validation == config.data.test == 0.1
    assert config.contract.max_quarantined == 0.01
    rules = config.contract.rules
    assert (rules.duplicates, rules.leakage) == ("drop", "quarantine")
    assert set(config.contract.privacy.treated("redact")) == set(KINDS)
    assert config.model.base == "starter"
    assert config.training.optimizer == Optimizer(name="adamw", betas=(0.9, 0.999))
    assert config.training.lr_scheduler.name == "linear"
    assert config.training.loss.class_weights == "none"
    assert config.gate.thresholds == {}
    assert config.schedule.cron is None
    assert config.compute.device == "auto"
    assert config.model_name == "parcels"


def test_the_registered_model_may_have_a_name_of_its_own() -> None:
    assert Pipeline.model_validate(with_(registry={"name": "mail"})).model_name == "mail"


def test_sections_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Training().epochs = 3


@pytest.mark.parametrize("section", sorted(sections(), key=lambda s: s.__name__))
def test_every_field_says_what_it_is(section: type[Section]) -> None:
    assert section.__doc__
    silent = [name for name, field in section.model_fields.items() if not field.description]
    assert silent == []


def unbounded(schema: Any, name: str = "") -> Iterator[str]:
    """Names of the numbers in a JSON Schema that may be as large as one likes."""
    bounded = {"maximum", "exclusiveMaximum"} & set(schema)
    if schema.get("type") in ("number", "integer") and not bounded:
        yield name
    for field, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, field)
    for inner in schema.get("anyOf", ()):
        yield from unbounded(inner, name)
    if isinstance(inner := schema.get("additionalProperties"), dict):
        yield from unbounded(inner, name)


@pytest.mark.parametrize("section", sorted(sections(), key=lambda s: s.__name__))
def test_every_number_has_a_largest_value(section: type[Section]) -> None:
    # The range of a threshold is that of its metric, and is checked with it.
    assert set(unbounded(section.model_json_schema())) <= {"thresholds"}


@pytest.mark.parametrize(
    "interval", ["3651d", "99999999999w", "9" * 5000 + "s", "6h\n", "٣d", "0d"]
)
def test_an_interval_that_no_calendar_takes_is_refused(interval: str) -> None:
    assert Retraining(interval="3650d").every
    with pytest.raises(ValidationError, match="expected a"):
        Retraining(interval=interval)


@pytest.mark.parametrize("section", sorted(sections(), key=lambda s: s.__name__))
def test_no_section_grows_beyond_reading(section: type[Section]) -> None:
    # The rules are a list of names with one kind of value.
    assert issubclass(section, Rules) or len(section.model_fields) <= 18


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True])
def test_a_seed_that_no_generator_takes_is_refused(seed: object) -> None:
    record = {"name": "reviews", "application": "sentiment", "data": {"train": "reviews.csv"}}
    assert Pipeline.model_validate(record | {"seed": 0}).seed == 0
    with pytest.raises(ValidationError, match="seed"):
        Pipeline.model_validate(record | {"seed": seed})


def test_kinds_of_private_data_by_treatment() -> None:
    privacy = Privacy.model_validate({"email": "refuse", "phone": "allow", "countries": ["de"]})
    assert privacy.countries == ("de",)
    assert privacy.treated("refuse") == ("email",)
    assert privacy.treated("allow") == ("phone",)
    assert set(privacy.treated("redact")) == set(KINDS) - {"email", "phone"}


@pytest.mark.parametrize("country", ["xx", "germany", "", 49])
def test_a_country_whose_numbers_nobody_knows_is_refused(country: object) -> None:
    with pytest.raises(ValidationError, match="countries"):
        Privacy.model_validate({"countries": ["de", country]})


def test_the_countries_are_those_that_are_known() -> None:
    assert get_args(Country) == tuple(NATIONAL_IDS)
    assert Privacy.model_validate({"countries": ["US", "de"]}).countries == ("us", "de")


@pytest.mark.parametrize("bounds", [(5, 4), (-1, 4)], ids=str)
def test_bounds_of_lengths_are_ordered(bounds: tuple[int, int]) -> None:
    least, most = bounds
    with pytest.raises(ValidationError, match="min_characters"):
        Contract.model_validate({"min_characters": least, "max_characters": most})


def test_the_json_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(PIPELINES))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_json_schema_accepts_every_shipped_file(path: Path) -> None:
    record = from_yaml(path.read_text(encoding="utf-8"))
    jsonschema.validate(record, json_schema(PIPELINES))


def test_shipped_files_are_found() -> None:
    assert SHIPPED


@pytest.mark.parametrize(
    "text",
    [
        "{train: a.csv, validation: 0.2, test: b.csv}",
        "{train: [a.csv, b.csv], labels: [no, yes]}",
        "{train: a.csv, labels: {true: good, false: bad}}",
        "{train: a.csv, labels: {1: good, 0: bad}}",
        "{dataset: org/name}",
    ],
)
def test_the_json_schema_and_the_typed_one_accept_the_same_data_sections(text: str) -> None:
    record = {str(k): v for k, v in from_yaml(text).items()}
    if isinstance(labels := record.get("labels"), dict):
        record["labels"] = {str(key).lower(): name for key, name in labels.items()}
    jsonschema.validate(with_(data=record), json_schema(PIPELINES))
    Pipeline.model_validate(with_(data=record))


@pytest.mark.parametrize(
    "change",
    [
        {"application": "weather"},
        {"trainning": {}},
        {"name": "a b"},
        {"training": {"epochs": 0}},
        {"training": {"epochs": "3"}},
        {"training": {"learning_rate": -1e-3}},
        {"training": {"optimizer": {"name": "not a name"}}},
        {"training": {"loss": {"class_weights": {"a": 0}}}},
        {"contract": {"leakage": "warn"}},
        {"contract": {"rules": {"leakage": "ignore"}}},
        {"contract": {"rules": {"missing": "warn"}}},
        {"contract": {"privacy": {"email": "warn"}}},
        {"contract": {"near_duplicate_threshold": 0.2}},
        {"model": {"max_length": 4}},
        {"data": {"train": []}},
        {"data": {"train": "a", "validation": 1.0}},
        {"data": {"train": "a", "labels": ["one"]}},
    ],
    ids=str,
)
def test_the_json_schema_refuses_what_the_typed_one_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(with_(**change), json_schema(PIPELINES))
    if "application" not in change:
        with pytest.raises(ValidationError):
            Pipeline.model_validate(with_(**change))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"validation": 0.5}, "`train` files, or a `dataset`"),
        ({"train": "a", "subset": "b"}, "belong to a `dataset`"),
        ({"train": "a", "revision": "b"}, "belong to a `dataset`"),
        ({"train": "a", "validation": 0.5, "test": 0.5}, "leave no row to train on"),
        ({"train": ""}, "a file name, or a list of them"),
        ({"train": ["a", 3]}, "a file name, or a list of them"),
        ({"train": "a", "test": True}, "a file name, or a list of them"),
        ({"train": "a", "test": 0}, "a fraction between 0 and 1"),
        ({"train": "a", "labels": ["x", "x"]}, "two distinct label names"),
        ({"train": "a", "labels": {"0": "x", "1": "x"}}, "two distinct label names"),
        ({"train": "a", "labels": [1.5, 2.5]}, "two distinct label names"),
        ({"train": "a", "labels": ["x", "x\u200b"]}, "two distinct label names"),
        ({"train": "a", "labels": ["1", "1.0"]}, "two distinct label names"),
        ({"train": "a", "labels": ["x", " "]}, "two distinct label names"),
        ({"train": "a", "labels": {1: "x", "1.0": "y"}}, "two names for the same value"),
        ({"train": "a", "labels": {"a": "x", "b": "x\ufeff"}}, "two distinct label names"),
        ({"train": "a", "labels": "x"}, "two distinct label names"),
    ],
)
def test_impossible_data_sections_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Data.model_validate(data)


def test_labels_are_text_whatever_the_file_says() -> None:
    assert Data(train="a", labels=[0, True, "x"]).labels == ("0", "true", "x")
    assert Data(train="a", labels={True: "on", False: 0}).labels == {"true": "on", "false": "0"}


def test_a_section_survives_writing_and_reading() -> None:
    data = Data.model_validate({"train": ["a", "b"], "test": "c", "labels": ["x", "y"]})
    assert Data.model_validate_json(data.model_dump_json()) == data


@pytest.mark.parametrize(
    "schedule", [{"cron": "0 3 * *"}, {"cron": "@daily"}, {"timezone": "Mars/Olympus"}], ids=str
)
def test_an_impossible_schedule_is_refused(schedule: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"expected (five cron fields|a time zone)"):
        Retraining.model_validate(schedule)
