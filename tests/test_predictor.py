from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pandera.pandas import DataFrameSchema
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from configs.contract import Contract
from tasks.applications import registry as applications
from tasks.applications.shared.checks import text_column
from tasks.contract.rules import cells
from tasks.evaluation import EvaluationResult
from tasks.finetuning import FinetuningResult
from tasks.predictor import Predictor, accepted_names, describe_other
from tasks.tracking import packaging
from tests.support.rows import reviews

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")

TEXTS = pd.DataFrame({"text": [text for text, _ in reviews()]})
LABELS = ["negative", "positive"]


@pytest.fixture
def package(evaluated: EvaluationResult, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(evaluated.package, tmp_path / "package"))


@pytest.fixture(scope="module")
def predictor(evaluated: EvaluationResult) -> Predictor:
    return Predictor().open(evaluated.package)


def probabilities(answers: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(answers["probabilities"].to_list())


def test_labels_are_those_of_plain_transformers(
    tuned: FinetuningResult, predictor: Predictor
) -> None:
    folder = tuned.stored.path / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        logits = torch.cat(
            [model(**tokenizer(t, return_tensors="pt")).logits for t in TEXTS["text"]]
        )
    answers = predictor.predict(None, TEXTS)
    expected = [model.config.id2label[index] for index in logits.argmax(-1).tolist()]
    assert answers["label"].to_list() == expected
    assert set(expected) == set(LABELS)
    assert np.allclose(probabilities(answers), logits.softmax(-1).numpy(), atol=1e-5)


def test_answers_belong_together(predictor: Predictor) -> None:
    answers = predictor.predict(None, TEXTS)
    found = probabilities(answers)
    assert answers["score"].to_list() == found.max(1).tolist()
    assert answers["label"].to_list() == [LABELS[index] for index in found.argmax(1)]
    assert np.allclose(found.sum(1), 1)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_answers_do_not_depend_on_the_batch_size(predictor: Predictor, size: int) -> None:
    expected = predictor.predict(None, TEXTS)
    found = predictor.predict(None, TEXTS, {"batch_size": size})
    assert found["label"].equals(expected["label"])
    assert np.allclose(probabilities(found), probabilities(expected), atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_other_lengths_are_computed_without_much_padding(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    model = predictor.model
    monkeypatch.setattr(model.tokenizer, "padding_side", side)
    texts = ["the " * length for length in (40, 40, 20, 19, 3, 2, 2, 1)]
    real = sum(len(ids) for ids in model.tokenizer(texts)["input_ids"])
    masks: list[torch.Tensor] = []

    def note(module: object, arguments: object, inputs: dict[str, torch.Tensor]) -> None:
        masks.append(inputs["attention_mask"])

    with model.model.register_forward_pre_hook(note, with_kwargs=True):
        answers = predictor.predict(None, pd.DataFrame({"text": texts}))
    assert len(answers) == len(texts)
    assert sum(int(mask.sum()) for mask in masks) == real
    assert [len(mask) for mask in masks] == [4, 4]
    assert sum(mask.numel() for mask in masks) - real < 2 * 64


def test_answers_do_not_depend_on_the_order_of_rows(predictor: Predictor) -> None:
    expected = predictor.predict(None, TEXTS)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    found = predictor.predict(None, TEXTS.iloc[order], {"batch_size": 9})
    assert found.index.equals(TEXTS.index[order])
    assert found["label"].equals(expected["label"].iloc[order])
    assert np.allclose(probabilities(found), probabilities(expected)[order], atol=1e-5)


def test_repeated_index_and_rows_are_answered_one_by_one(predictor: Predictor) -> None:
    table = pd.concat([TEXTS.iloc[:2], TEXTS.iloc[:2]])
    answers = predictor.predict(None, table, {"batch_size": 3})
    assert answers["label"].to_list()[:2] == answers["label"].to_list()[2:]
    assert len(answers) == 4


def test_empty_table_has_empty_answers(predictor: Predictor) -> None:
    answers = predictor.predict(None, TEXTS.iloc[:0])
    assert len(answers) == 0
    assert list(answers.columns) == ["label", "score", "probabilities"]


def test_text_longer_than_the_model_takes_is_cut(predictor: Predictor) -> None:
    tail = " the coffee was terrible" * 40
    long = pd.DataFrame({"text": [TEXTS["text"][0] + tail, TEXTS["text"][0] + tail + tail]})
    answers = probabilities(predictor.predict(None, long))
    assert np.allclose(answers[0], answers[1], atol=1e-5)


def test_any_string_that_shows_something_is_answered(predictor: Predictor) -> None:
    strange = pd.DataFrame({"text": ["\x00", ".", "日本語 🙂", "a" * 5000]})
    assert set(predictor.predict(None, strange)["label"]) <= set(LABELS)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "null"),
        (float("nan"), "NaN"),
        (pd.NA, "null"),
        ("", "a blank text"),
        (" \u200b\ufeff", "a blank text"),
        (3, "a number"),
        (True, "a truth value"),
        (["a"], "a list"),
        ({"text": "a"}, "an object"),
    ],
)
def test_a_value_that_is_no_text_is_refused_by_place(
    predictor: Predictor, value: object, found: str
) -> None:
    table = pd.DataFrame({"text": pd.Series(["fine", value], dtype=object)})
    words = f"^row 1: expected text in column 'text', found {found}$"
    with pytest.raises(ValueError, match=words):
        predictor.predict(None, table)


def test_many_values_that_are_no_text_are_counted(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match=r"row 4: [^;]*; and 7 more$"):
        predictor.predict(None, pd.DataFrame({"text": [None] * 12}))


ODD = st.sampled_from([None, math.nan, 3, 0.5, True, ["a"], {"a": 1}, b"a"])
SPARSE = st.text(
    st.sampled_from("a.\0\x1c\x85\xa0\u034f\u200b\u2800\u3164\ufe0f\uffa0\ufeff\U000e0041")
)


@given(value=SPARSE | st.text(max_size=5) | ODD)
def test_what_training_refuses_is_refused_and_nothing_else(value: object) -> None:
    frame = pd.DataFrame({"text": pd.Series([value], dtype=object)})
    reasons = cells.violations(frame, DataFrameSchema({"text": text_column()}))
    if not reasons:
        reasons = cells.violations(
            frame.astype(pd.ArrowDtype(pa.large_string())), cells.form_schema(["text"], Contract())
        )
    broken = {rule for found in reasons.values() for rule, _ in found}
    assert bool(describe_other(value)) == bool(broken & {"missing", "wrong_type"})


def test_an_input_has_the_name_of_the_training_files_or_the_applications() -> None:
    assert accepted_names({}, "text") == ["text"]
    assert accepted_names({"columns": {"text": "review"}}, "text") == ["review", "text"]
    swapped = {"columns": {"text": "text_pair", "text_pair": "text"}}
    assert accepted_names(swapped, "text") == ["text_pair"]
    labelled = {"columns": {"text": "body", "label": "text"}}
    assert accepted_names(labelled, "text") == ["body"]


@pytest.mark.parametrize(
    "name", ["model/model.safetensors", "model/config.json", "decoding.py", "predictor.json"]
)
def test_changed_file_is_refused_by_name(package: Path, name: str) -> None:
    content = bytearray((package / name).read_bytes())
    content[-2] ^= 1
    (package / name).unlink()
    (package / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"changed after it was built: {name}$"):
        Predictor().open(package)


@pytest.mark.parametrize("name", ["model/added.py", "model/manifest.json", "added.safetensors"])
def test_added_file_is_refused_by_name(package: Path, name: str) -> None:
    (package / name).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=f"changed after it was built: {name}$"):
        Predictor().open(package)


def test_missing_file_is_refused_by_name(package: Path) -> None:
    (package / "model" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"changed after it was built: model/config\.json$"):
        Predictor().open(package)


def test_package_opens_again_and_again(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = sorted(package.rglob("*"))
    for _ in range(2):
        Predictor().open(package)
    assert sorted(package.rglob("*")) == before


def test_package_holds_what_the_model_was_trained_with(
    evaluated: EvaluationResult, tuned: FinetuningResult
) -> None:
    settings = json.loads((evaluated.package / "predictor.json").read_text(encoding="utf-8"))
    assert (settings["labels"], settings["precision"]) == (LABELS, "fp32")
    assert settings["max_length"] == 48
    weights = "model/model.safetensors"
    assert (evaluated.package / weights).read_bytes() == (tuned.stored.path / weights).read_bytes()


def test_serving_digest_is_that_of_the_code(evaluated: EvaluationResult) -> None:
    sentiment, topics = applications.get("sentiment"), applications.get("topics")
    assert packaging.serving_digest(sentiment) == packaging.serving_digest(topics)
    assert (evaluated.package / "decoding.py").read_bytes() == sentiment.serving.file.read_bytes()
