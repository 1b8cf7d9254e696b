"""Models from the registry: rows in, rows of the same kind out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import onestep

pytestmark = pytest.mark.xdist_group("onestep")

TEXTS = ["the coffee was wonderful", "the coffee was terrible"]
LABELS = ["positive", "negative"]
ROWS = {"text": TEXTS, "id": [7, 8]}


@pytest.fixture(scope="module")
def model(outcome: onestep.RunResult, home: Path) -> onestep.Model:
    return onestep.load("reviews@champion", home=home)


def test_a_model_says_what_it_is(model: onestep.Model) -> None:
    assert (model.name, model.version, model.uri) == ("reviews", 1, "models:/reviews/1")
    assert model.inputs == ("text",)
    assert repr(model) == "<Model models:/reviews/1 of text>"


def test_texts_come_back_as_a_data_frame(model: onestep.Model) -> None:
    answers = model.predict(TEXTS)
    assert isinstance(answers, pd.DataFrame)
    assert list(answers["text"]) == TEXTS
    assert list(answers["label"]) == LABELS
    assert "probabilities" not in answers


def test_one_text_is_one_row(model: onestep.Model) -> None:
    assert list(model.predict(TEXTS[0])["label"]) == LABELS[:1]


def test_dicts_come_back_as_dicts(model: onestep.Model) -> None:
    answers = model.predict([{"text": text, "label": "?"} for text in TEXTS], probabilities=True)
    assert [row["predicted_label"] for row in answers] == LABELS
    assert [row["label"] for row in answers] == ["?", "?"]
    assert all(sum(row["probabilities"]) == pytest.approx(1) for row in answers)


@pytest.mark.parametrize(
    "table",
    [pd.DataFrame(ROWS), pl.DataFrame(ROWS), pa.table(ROWS), datasets.Dataset.from_dict(ROWS)],
    ids=lambda table: type(table).__module__.partition(".")[0],
)
def test_a_table_comes_back_as_one(table: Any, model: onestep.Model) -> None:
    answers = model.predict(table)
    assert type(answers) is type(table)
    column = answers["label"]
    assert (column.to_pylist() if isinstance(answers, pa.Table) else list(column)) == LABELS
    assert "id" in (answers.column_names if hasattr(answers, "column_names") else answers.columns)


def test_columns_can_have_other_names(model: onestep.Model) -> None:
    answers = model.predict([{"review": text} for text in TEXTS], columns={"text": "review"})
    assert [row["label"] for row in answers] == LABELS


def test_no_rows_have_no_answers(model: onestep.Model) -> None:
    assert model.predict([]) == []
    assert len(model.predict(pd.DataFrame({"text": []}))) == 0


def test_a_row_without_the_column_is_named(model: onestep.Model) -> None:
    with pytest.raises(onestep.DataError) as caught:
        model.predict([{"text": "a"}, {"txt": "b"}])
    (problem,) = caught.value.problems
    assert problem.where == "rows[1]"
    assert problem.what == "expected a column 'text', found 'txt'"
    assert problem.advice == "name yours with columns={'text': YOURS}"


def test_other_values_are_refused(model: onestep.Model) -> None:
    with pytest.raises(onestep.DataError, match=r"rows\[1\]: expected text or a dict, found int"):
        model.predict(["a", 3])


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (None, "rows: expected texts, dicts or a table, found NoneType"),
        (5, "rows: expected texts, dicts or a table, found int"),
        ({"text": "a"}, "rows: expected texts, dicts or a table, found dict"),
        (["a", {"text": "b"}], r"rows\[1\]: expected texts alone or dicts alone, found both"),
        ([{"text": "a", 5: 1}], r"rows\[0\]: expected names of columns, found int"),
    ],
)
def test_what_is_no_rows_is_refused(model: onestep.Model, rows: Any, found: str) -> None:
    with pytest.raises(onestep.DataError, match=found):
        model.predict(rows)


def test_one_column_without_a_name_is_a_list_of_texts(model: onestep.Model) -> None:
    for texts in (pd.Series(TEXTS), pl.Series(TEXTS), np.array(TEXTS)):
        assert list(model.predict(texts)["label"]) == LABELS
    assert len(model.predict(["2020", "42"])) == 2


def test_the_advice_about_a_missing_column_works(model: onestep.Model) -> None:
    with pytest.raises(onestep.DataError, match=r"columns=\{'text': YOURS\}"):
        model.predict([{"txt": TEXTS[0]}], columns={"text": "review"})
    assert model.predict([{"txt": TEXTS[0]}], columns={"text": "txt"})[0]["label"] == LABELS[0]


def test_an_outcome_predicts_with_its_version(outcome: onestep.RunResult) -> None:
    assert list(outcome.predict(TEXTS)["label"]) == LABELS


def test_models_are_a_table(outcome: onestep.RunResult, home: Path) -> None:
    served, every = onestep.models(home=home), onestep.models("reviews", home=home)
    assert served[0]["name"] == "reviews"
    assert served[0]["aliases"] == ["champion"]
    assert [record["version"] for record in every] == [1]
    assert list(every.to_pandas()["version"]) == [1]
    assert "@champion" in repr(served)
    assert "<table>" in served._repr_html_()


def test_a_home_without_models_says_so(tmp_path: Path) -> None:
    found = onestep.models(home=tmp_path)
    assert len(found) == 0
    assert "no model is registered yet" in repr(found)


@pytest.mark.parametrize("name", ["nobody", "reviews@nobody", "reviews/99", "a b"])
def test_a_model_that_is_not_there_is_an_error(
    name: str, outcome: onestep.RunResult, home: Path
) -> None:
    with pytest.raises(onestep.ModelError) as caught:
        onestep.load(name, home=home)
    assert caught.value.problems
