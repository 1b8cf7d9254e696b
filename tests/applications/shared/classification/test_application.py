from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from configs.schema import Pipeline
from tasks.applications.base import Batch, View
from tasks.applications.codec import Codec
from tasks.applications.facts import Census
from tasks.applications.shared.classification import serving
from tasks.applications.shared.classification.labels import ClassificationFacts
from tasks.applications.topics.application import APPLICATION
from tasks.arrow import MappedTable
from tasks.arrow import write as write_arrow
from tests.support.families import CONFIGS, tiny_classifier, tiny_tokenizer
from tests.support.rows import reviews

LENGTH = 24
LABELLINGS = ("single", "multiple", "ordinal")
REVIEWS = [text for text, _ in reviews()]
TEXTS = [*REVIEWS[:9], "this book " * 20, "the"]
PAIRS = [*REVIEWS[20:29], "the repair", "her concert " * 20]
TARGETS: dict[str, list[Any]] = {
    "single": ["b", "a", "c", "a"],
    "multiple": [["b"], [], ["a", "c"], ["a"]],
    "ordinal": ["3", "1", "2", "1"],
}


def config(labelling: str = "single", loss: dict[str, Any] | None = None, **data: Any) -> Pipeline:
    """A pipeline with some labelling."""
    record = {
        "name": "topics",
        "application": "topics",
        "data": {"train": "train.csv", "labelling": labelling, **data},
        "training": {"loss": loss or {}},
    }
    return Pipeline.model_validate(record)


def rows(labelling: str, *, paired: bool = False) -> pd.DataFrame:
    """Labelled rows as they were read."""
    target = "labels" if labelling == "multiple" else "label"
    values = [TARGETS[labelling][index % 4] for index in range(len(TEXTS))]
    columns: dict[str, list[Any]] = {"text": TEXTS, target: values}
    columns |= {"text_pair": PAIRS} if paired else {}
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    return frame.assign(file="train.csv", row=range(1, len(frame) + 1))


def learn(frame: pd.DataFrame, pipeline: Pipeline) -> ClassificationFacts:
    """Normalize rows and learn from them."""
    APPLICATION.rows.normalize(frame, pipeline.data, None)
    APPLICATION.rules.schema(pipeline).validate(frame, lazy=True)
    keys = APPLICATION.rows.target_keys(frame)
    census = Census(tuple(frame.columns), {"train": Counter(keys)})
    facts = APPLICATION.learning.learn(census, pipeline.data)
    assert isinstance(facts, ClassificationFacts)
    return facts


class Prepared:
    """Rows of some labelling, tokenized for some family, and a model for them."""

    def __init__(
        self, family: str, labelling: str, folder: Path, *, paired: bool = False, prefix: str = ""
    ) -> None:
        self.pipeline = config(labelling)
        self.frame = rows(labelling, paired=paired)
        self.facts = learn(self.frame, self.pipeline)
        self.tokenizer = tiny_tokenizer(family, folder)
        types = family == "bert"
        self.codec = Codec(
            self.tokenizer,
            self.tokenizer,
            "sequence-classification",
            LENGTH,
            token_types=types,
            prefix=prefix,
        )
        arguments = APPLICATION.learning.model_arguments(self.facts)
        self.model = tiny_classifier(family, self.tokenizer, **arguments)
        self.stored = pa.table(APPLICATION.rows.store(self.frame, self.facts))
        write_arrow(folder / "rows.arrow", self.stored.to_batches(), self.stored.schema)
        self.view = View(self.codec, MappedTable(folder / "rows.arrow"), self.facts)
        self.encoded = APPLICATION.tokens.encode(self.stored.to_pydict(), self.codec, self.facts)
        self.table = pa.table({name: pa.array(v) for name, v in self.encoded.columns.items()})

    def batch(self, chosen: list[int] | None = None) -> Batch:
        """Some rows as tensors."""
        return APPLICATION.tokens.collate(
            self.table.take(chosen or list(range(len(self.table)))), self.codec
        )

    def predict(self, batch: Batch) -> np.ndarray[Any, Any]:
        """What the model says about a batch."""
        with torch.inference_mode():
            outputs = APPLICATION.learning.forward(self.model, batch)
        _, predictions = APPLICATION.learning.infer(self.model, outputs, batch, self.view)
        (values,) = predictions.values()
        return np.asarray(values)


@pytest.mark.parametrize("labelling", LABELLINGS)
@pytest.mark.parametrize("family", CONFIGS)
def test_loss_is_that_of_transformers(family: str, labelling: str, tmp_path: Path) -> None:
    prepared = Prepared(family, labelling, tmp_path)
    batch = prepared.batch()
    assert (batch["attention_mask"] == 0).any()
    objective = APPLICATION.learning.objective(prepared.facts, prepared.pipeline.training.loss)
    outputs = APPLICATION.learning.forward(prepared.model, batch)
    found = objective.total(outputs, batch) / objective.weight(batch)
    labels = batch["labels"] if labelling == "single" else batch["labels"].float()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    expected = prepared.model(**inputs, labels=labels).loss
    assert found.item() == pytest.approx(expected.item(), abs=1e-6, rel=1e-6)
    assert found.requires_grad


@pytest.mark.parametrize("family", CONFIGS)
def test_predictions_depend_on_the_row_alone(family: str, tmp_path: Path) -> None:
    prepared = Prepared(family, "single", tmp_path)
    count = len(TEXTS)
    together = prepared.predict(prepared.batch())
    backwards = prepared.predict(prepared.batch(list(range(count))[::-1]))[::-1]
    alone = np.concatenate([prepared.predict(prepared.batch([row])) for row in range(count)])
    assert np.ptp(together, axis=0).max() > 1e-3
    assert np.allclose(together, backwards, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-5)


def test_loss_and_predictions_of_pairs_use_token_types(tmp_path: Path) -> None:
    prepared = Prepared("bert", "single", tmp_path, paired=True)
    batch = prepared.batch()
    objective = APPLICATION.learning.objective(prepared.facts, prepared.pipeline.training.loss)
    outputs = APPLICATION.learning.forward(prepared.model, batch)
    assert set(batch["token_type_ids"].unique().tolist()) == {0, 1}
    expected = prepared.tokenizer(
        TEXTS,
        PAIRS,
        truncation=True,
        max_length=LENGTH,
        padding=True,
        return_token_type_ids=True,
        return_tensors="pt",
    )
    assert torch.equal(batch["token_type_ids"], expected["token_type_ids"])
    loss = prepared.model(**expected, labels=batch["labels"]).loss.item()
    total = objective.total(outputs, batch) / objective.weight(batch)
    assert total.item() == pytest.approx(loss, rel=1e-6)
    del batch["token_type_ids"]
    assert not torch.allclose(
        APPLICATION.learning.forward(prepared.model, batch), outputs, atol=1e-3
    )


@pytest.mark.parametrize("family", CONFIGS)
def test_pairs_are_one_input(family: str, tmp_path: Path) -> None:
    prepared = Prepared(family, "single", tmp_path, paired=True)
    expected = prepared.tokenizer(TEXTS, PAIRS, truncation="longest_first", max_length=LENGTH)
    assert prepared.encoded.columns["input_ids"] == expected["input_ids"]
    whole = prepared.tokenizer(TEXTS, PAIRS)["input_ids"]
    assert prepared.encoded.truncated == sum(len(ids) > LENGTH for ids in whole) >= 2
    assert max(map(len, expected["input_ids"])) == LENGTH
    together = prepared.predict(prepared.batch())
    alone = np.concatenate([prepared.predict(prepared.batch([row])) for row in range(len(TEXTS))])
    assert np.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_text_cannot_spell_the_end_of_an_input(family: str, tmp_path: Path) -> None:
    prepared = Prepared(family, "single", tmp_path / "base")
    texts = ["the [SEP] film [SEP]", *TEXTS[1:]]
    stored = {**prepared.stored.to_pydict(), "text": texts}
    encoded = APPLICATION.tokens.encode(stored, prepared.codec, prepared.facts)
    ends = [ids.count(prepared.tokenizer.eos_token_id) for ids in encoded.columns["input_ids"]]
    assert set(ends) == {1 if family == "t5" else 0}
    prepared.table = pa.table({name: pa.array(v) for name, v in encoded.columns.items()})
    prepared.model.save_pretrained(tmp_path / "model")
    prepared.tokenizer.save_pretrained(tmp_path / "model")
    settings = {"max_length": LENGTH, "token_types": False, "prefix": "", **prepared.facts.record()}
    model = serving.Model(tmp_path / "model", settings, torch.device("cpu"))
    with torch.inference_mode():
        answers = model.answer([{"text": text} for text in texts])
    found = [answer["probabilities"] for answer in answers]
    assert np.allclose(found, prepared.predict(prepared.batch()), atol=1e-5)


def test_single_texts_have_no_token_types(tmp_path: Path) -> None:
    prepared = Prepared("bert", "single", tmp_path)
    assert set(prepared.encoded.columns) == {"input_ids", "labels"}
    assert set(prepared.batch()) == {"input_ids", "attention_mask", "labels"}
    assert prepared.encoded.truncated == 1
    assert prepared.facts.inputs == ("text",)


@pytest.mark.parametrize("paired", [False, True])
def test_prefix_is_put_before_the_first_text(tmp_path: Path, paired: bool) -> None:
    prepared = Prepared("bert", "single", tmp_path, paired=paired, prefix="rate this: ")
    texts = [f"rate this: {text}" for text in TEXTS]
    expected = prepared.tokenizer(
        texts, PAIRS if paired else None, truncation=True, max_length=LENGTH
    )
    assert prepared.encoded.columns["input_ids"] == expected["input_ids"]


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("labelling", LABELLINGS)
def test_served_model_answers_as_validation_measures(
    labelling: str, tmp_path: Path, paired: bool
) -> None:
    prepared = Prepared("bert", labelling, tmp_path / "base", paired=paired, prefix="this: ")
    prepared.model.save_pretrained(tmp_path / "model")
    prepared.tokenizer.save_pretrained(tmp_path / "model")
    settings = {"max_length": LENGTH, "token_types": True, "prefix": "this: ", "threshold": 0.5}
    settings |= prepared.facts.record()
    inputs, outputs, example = serving.describe(settings)
    assert tuple(inputs) == tuple(example) == prepared.facts.inputs
    model = serving.Model(tmp_path / "model", settings, torch.device("cpu"))
    asked = prepared.frame[list(inputs)].to_dict("records")
    with torch.inference_mode():
        answers = pd.DataFrame(model.answer(asked))
        assert model.answer([example])
    assert list(answers) == list(outputs)
    (values,) = APPLICATION.scoring.served(answers).values()
    expected = prepared.predict(prepared.batch())
    assert np.allclose(values, expected, atol=1e-5)
    assert [*answers.get("label", answers.get("labels"))] == named(labelling, expected)


def named(labelling: str, values: np.ndarray[Any, Any]) -> list[Any]:
    """The labels that predictions stand for."""
    if labelling == "multiple":
        return [[name for name, p in zip("abc", row, strict=True) if p >= 0.5] for row in values]
    if labelling == "ordinal":
        return [str(round(value)) for value in values]
    return ["abc"[row.argmax()] for row in values]


@pytest.mark.parametrize("labelling", LABELLINGS)
def test_scorer_takes_what_training_and_serving_give(labelling: str, tmp_path: Path) -> None:
    prepared = Prepared("bert", labelling, tmp_path)
    batch = prepared.batch()
    with torch.inference_mode():
        outputs = APPLICATION.learning.forward(prepared.model, batch)
    targets, predictions = APPLICATION.learning.infer(prepared.model, outputs, batch, prepared.view)
    table = prepared.stored.to_pandas()
    during, after = (APPLICATION.scoring.scorer(prepared.facts) for _ in range(2))
    during.update(targets, predictions)
    after.update({name: table[name].to_numpy() for name in targets}, predictions)
    assert during.metrics() == after.metrics()
    names = [metric.name for metric in APPLICATION.scoring.metrics(prepared.pipeline.data)]
    assert set(during.metrics()) == {*names, "rows"}
    assert APPLICATION.scoring.primary_metric(prepared.pipeline.data) in names


@pytest.mark.parametrize(
    ("labelling", "metric", "expected"),
    [("single", "accuracy", 0.6), ("multiple", "subset_accuracy", 0.6), ("ordinal", "accuracy", 0)],
)
def test_baseline_answers_the_same_to_every_row(
    labelling: str, metric: str, expected: float
) -> None:
    pipeline = config(labelling)
    values = {
        "single": ["b", "b", "b", "a", "c"],
        "multiple": [["b"], ["b"], ["b"], ["a", "b"], ["c"]],
        "ordinal": ["1", "1", "3", "3", "2"],
    }
    frame = rows(labelling).head(5)
    target = "labels" if labelling == "multiple" else "label"
    frame[target] = pd.Series(values[labelling], dtype=object)
    facts = learn(frame, pipeline)
    stored = pd.DataFrame(APPLICATION.rows.store(frame, facts))
    if labelling == "multiple":
        facts = replace(facts, threshold=0.5)
    scorer = APPLICATION.scoring.scorer(facts)
    scorer.update({target: stored[target].to_numpy()}, APPLICATION.baseline.predict(stored, facts))
    found = scorer.metrics()
    if labelling == "ordinal":
        assert found["mean_absolute_error"] == pytest.approx(4 / 5)
    else:
        assert found[metric] == pytest.approx(expected)


def test_texts_for_a_vocabulary_hold_both_of_a_pair() -> None:
    texts, targets = APPLICATION.tokens.vocabulary_text(
        {"text": ["a", "b"], "text_pair": ["c", "d"]}
    )
    assert (texts, targets) == (["a c", "b d"], [])
    assert APPLICATION.tokens.vocabulary_text({"text": ["a", "b"], "label": [0, 1]}) == (
        ["a", "b"],
        [],
    )


def test_a_pair_needs_both_texts() -> None:
    from pandera.errors import SchemaErrors

    frame = rows("single", paired=True)
    frame.loc[2, "text_pair"] = None
    frame.loc[3, "text_pair"] = " "
    pipeline = config()
    APPLICATION.rows.normalize(frame, pipeline.data, None)
    with pytest.raises(SchemaErrors) as caught:
        APPLICATION.rules.schema(pipeline).validate(frame, lazy=True)
    assert set(caught.value.failure_cases["index"]) == {2, 3}


REFUSED = [
    ("single", {"name": "focal", "label_smoothing": 0.1}, "training.loss.label_smoothing"),
    ("multiple", {"label_smoothing": 0.1}, "training.loss.label_smoothing"),
    ("ordinal", {"label_smoothing": 0.1}, "training.loss.label_smoothing"),
    ("ordinal", {"name": "focal"}, "training.loss.name"),
    ("ordinal", {"class_weights": "balanced"}, "training.loss.class_weights"),
    ("ordinal", {"class_weights": {"1": 2.0}}, "training.loss.class_weights"),
]


@pytest.mark.parametrize(("labelling", "loss", "where"), REFUSED)
def test_losses_that_a_labelling_lacks_are_refused(
    labelling: str, loss: dict[str, Any], where: str
) -> None:
    assert [place for place, _ in APPLICATION.rules.check(config(labelling, loss))] == [where]


def test_a_separator_without_use_is_refused() -> None:
    assert [place for place, _ in APPLICATION.rules.check(config(label_separator=";"))] == [
        "data.label_separator"
    ]


@pytest.mark.parametrize(
    ("labelling", "loss"),
    [
        ("single", {"label_smoothing": 0.1, "class_weights": "balanced"}),
        ("single", {"name": "focal", "class_weights": {"a": 2.0}}),
        ("multiple", {"name": "focal", "class_weights": "balanced"}),
        ("ordinal", {}),
    ],
)
def test_losses_that_make_sense_are_accepted(labelling: str, loss: dict[str, Any]) -> None:
    assert list(APPLICATION.rules.check(config(labelling, loss))) == []


@pytest.mark.parametrize("family", [name for name in CONFIGS if name != "gpt2"])
def test_an_ordinal_model_begins_at_the_mean_of_the_labels(family: str, tmp_path: Path) -> None:
    prepared = Prepared(family, "ordinal", tmp_path)
    before = [parameter.clone() for parameter in prepared.model.parameters()]
    APPLICATION.learning.initialize(prepared.model, prepared.facts)
    changed = [
        parameter
        for old, parameter in zip(before, prepared.model.parameters(), strict=True)
        if not torch.equal(old, parameter)
    ]
    counts = prepared.facts.counts
    mean = sum(index * counts[label] for index, label in enumerate("123")) / sum(counts.values())
    assert [parameter.tolist() for parameter in changed] == [[pytest.approx(mean)]]


@pytest.mark.parametrize("labelling", ["single", "multiple"])
def test_other_models_begin_as_they_are(labelling: str, tmp_path: Path) -> None:
    prepared = Prepared("bert", labelling, tmp_path)
    before = {name: p.clone() for name, p in prepared.model.named_parameters()}
    APPLICATION.learning.initialize(prepared.model, prepared.facts)
    assert all(torch.equal(before[name], p) for name, p in prepared.model.named_parameters())


def test_weights_of_labels_that_the_rows_lack_are_found() -> None:
    known = ClassificationFacts(
        inputs=("text",), labelling="single", labels=("a", "b"), counts={"a": 1, "b": 1}, rows=2
    )
    fits = config(loss={"class_weights": {"a": 2.0}})
    assert list(APPLICATION.rules.check_facts(fits, known)) == []
    assert (
        list(APPLICATION.rules.check_facts(config(loss={"class_weights": "balanced"}), known)) == []
    )
    wrong = config(loss={"class_weights": {"a": 2.0, "nope": 3.0}})
    ((where, reason),) = APPLICATION.rules.check_facts(wrong, known)
    assert where == "training.loss.class_weights"
    assert reason == "expected labels of the data ('a', 'b'), found nope"
