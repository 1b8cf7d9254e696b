"""Requests to a served model: each is answered, or refused in a sentence without text of a row."""

from __future__ import annotations

import asyncio
import json
import threading
import warnings
from pathlib import Path
from typing import Any

import httpx
import mlflow.pyfunc
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from flows.models.serving.batching import Batcher, Limits
from flows.models.serving.metrics import Metrics
from flows.models.serving.scoring import FEW_ROWS, LARGEST_BODY, ScoringServer

SECRET = "Zaphod"
SPLIT = {"columns": ["text"], "data": [[SECRET], ["b"]]}
RECORDS = [{"text": SECRET}, {"text": "b", "other": 1}]
TWO = [{"label": len(SECRET)}, {"label": 1}]

WRITERS: list[str] = []


class Answers(pd.DataFrame):
    """A table that notes which thread writes it."""

    def to_dict(self, *args: Any, **options: Any) -> Any:
        WRITERS.append(threading.current_thread().name)
        return super().to_dict(*args, **options)


with warnings.catch_warnings(action="ignore"):
    # MLflow asks for annotations, from which it would infer a signature.

    class Length(mlflow.pyfunc.PythonModel):
        """Answers with the length of each text; cannot stand an exclamation mark."""

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            if model_input["text"].str.contains("!").any():
                raise ArithmeticError(f"no answer to {model_input['text'][0]}")
            return Answers(model_input["text"].str.len().to_frame("label"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ScoringServer:
    folder: Path = tmp_path_factory.mktemp("scoring") / "model"
    signature = ModelSignature(
        Schema([ColSpec(DataType.string, "text")]),
        Schema([ColSpec(DataType.long, "label")]),
        ParamSchema([ParamSpec("batch_size", "long", 8)]),
    )
    with warnings.catch_warnings(action="ignore"):
        mlflow.pyfunc.save_model(
            folder, python_model=Length(), signature=signature, pip_requirements=[]
        )
    batcher = Batcher(Limits(), Metrics())
    return ScoringServer(mlflow.pyfunc.load_model(str(folder)), batcher, SAID.append)


SAID: list[str] = []


def post(
    server: ScoringServer,
    body: bytes | str | dict[str, Any],
    kind: str = "application/json",
    path: str = "/invocations",
    method: str = "POST",
) -> httpx.Response:
    content = json.dumps(body) if isinstance(body, dict) else body

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
            headers = {"content-type": kind}
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": SPLIT | {"index": [5, 6]}, "params": {"batch_size": 1}},
        {"dataframe_records": RECORDS, "params": {}},
        {"instances": RECORDS},
        {"inputs": RECORDS},
        {"inputs": {"text": [SECRET, "b"]}},
    ],
)
def test_each_format_of_mlflow_is_answered(server: ScoringServer, body: dict[str, Any]) -> None:
    answer = post(server, body)
    assert (answer.status_code, answer.json()) == (200, {"predictions": TWO})


def test_csv_is_answered(server: ScoringServer) -> None:
    answer = post(server, f"id,text\n1,{SECRET}\n2,b\n", "text/csv; charset=utf-8")
    assert (answer.status_code, answer.json()) == (200, {"predictions": TWO})


def test_a_column_of_numbers_is_refused_only_beside_others(server: ScoringServer) -> None:
    numbers = [{"text": "2020"}, {"text": "42"}]
    assert post(server, {"inputs": numbers}).status_code == 200
    beside = [row | {"body": "x"} for row in numbers]
    answer = post(server, {"inputs": beside})
    message = "expected text in column 'text', found only numbers"
    assert (answer.status_code, answer.json()["message"]) == (400, message)
    assert post(server, {"inputs": [*beside, {"text": "one"}]}).status_code == 200


def test_no_rows_have_no_predictions(server: ScoringServer) -> None:
    metrics = Metrics()
    fresh = ScoringServer(server._served, Batcher(Limits(), metrics), SAID.append)
    assert post(fresh, {"dataframe_records": []}).json() == {"predictions": []}
    assert metrics.summary() == ""
    assert post(fresh, {"dataframe_records": RECORDS}).json() == {"predictions": TWO}
    assert metrics.summary()


def test_many_answers_are_written_beside_the_event_loop(server: ScoringServer) -> None:
    for rows in (1, FEW_ROWS + 1):
        assert post(server, {"inputs": [{"text": "a"}] * rows}).status_code == 200
    event_loop = threading.current_thread().name
    assert WRITERS[-2] == event_loop
    assert WRITERS[-1] != event_loop


REFUSED: dict[str, tuple[Any, int, str]] = {
    "a batch size below 1": (
        {"inputs": RECORDS, "params": {"batch_size": -1}},
        400,
        "expected a whole number from 1 to 4,096 as batch_size",
    ),
    "a truth value as batch size": (
        {"inputs": RECORDS, "params": {"batch_size": True}},
        400,
        "expected a whole number from 1 to 4,096 as batch_size",
    ),
    "another parameter": (
        {"inputs": RECORDS, "params": {"top_k": 1}},
        400,
        "expected batch_size alone in params",
    ),
    "deep nesting": ("[" * 5000 + "]" * 5000, 400, "the request is nested too deeply"),
    "a long text": (
        {"inputs": [{"text": "a" * 3_000_000}]},
        413,
        "expected at most 2,000,000 bytes in a request, found 3,000,",
    ),
    "another column": (
        {"inputs": [{"review": SECRET}]},
        400,
        "row 0: expected a column 'text', found 'review'",
    ),
    "no columns": ({"inputs": [{}]}, 400, "row 0: expected a column 'text', found none"),
    "null": (
        {"inputs": [{"text": SECRET}, {"text": None}]},
        400,
        "row 1: expected text in column 'text', found null",
    ),
    "a number": (
        {"inputs": [{"text": 1}]},
        400,
        "row 0: expected text in column 'text', found a number",
    ),
    "NaN": (
        '{"inputs": [{"text": NaN}]}',
        400,
        "row 0: expected text in column 'text', found NaN",
    ),
    "a blank text": (
        {"inputs": [{"text": "\u200b"}]},
        400,
        "row 0: expected text in column 'text', found a blank text",
    ),
    "a list": (
        {"inputs": [{"text": [SECRET]}]},
        400,
        "row 0: expected text in column 'text', found a list",
    ),
    "half a character": (
        '{"inputs": [{"text": "\\ud800"}]}',
        400,
        "row 0: expected text in column 'text', found half of a surrogate pair",
    ),
    "no JSON": (SECRET, 400, "the request is not JSON: see line 1 column 1"),
    "no request": ("", 400, "the request is not JSON: see line 1 column 1"),
    "many digits": (
        '{"inputs": ' + "1" * 5000 + "}",
        400,
        "the request has a number with too many digits",
    ),
    "no UTF-8": (b'{"inputs": "\xff"}', 400, "expected UTF-8, found another byte at 12"),
    "two formats": (
        {"inputs": RECORDS, "instances": RECORDS},
        400,
        "expected a JSON object with one of",
    ),
    "texts alone": ({"inputs": [SECRET]}, 400, "expected a list of objects in inputs"),
    "a short line": (
        {"dataframe_split": {"columns": ["text", "id"], "data": [[SECRET]]}},
        400,
        "row 0: expected 2 values, found 1",
    ),
    "short columns": (
        {"inputs": {"text": [SECRET], "id": []}},
        400,
        "expected columns of one length in inputs",
    ),
    "equal columns": (
        {"dataframe_split": {"columns": ["text", "text"], "data": [[SECRET, "b"]]}},
        400,
        "expected different column names, found one twice",
    ),
    "no columns in a split": (
        {"dataframe_split": {"data": [[SECRET]]}},
        400,
        "expected lists columns and data in dataframe_split",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_request_is_refused_in_a_sentence(server: ScoringServer, case: str) -> None:
    body, status, sentence = REFUSED[case]
    answer = post(server, body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, "BAD_REQUEST")
    assert answer.json()["message"].startswith(sentence)
    assert SECRET not in answer.text
    assert "\n" not in answer.text


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "/other"}, 404),
        ({"method": "GET"}, 405),
        ({"kind": "text/plain"}, 415),
        ({"path": "/ping", "method": "GET"}, 200),
    ],
)
def test_other_requests_have_the_usual_status(
    server: ScoringServer, request_: dict[str, str], status: int
) -> None:
    assert post(server, {"inputs": RECORDS}, **request_).status_code == status


def test_a_failure_of_the_model_quotes_nothing(server: ScoringServer) -> None:
    answer = post(server, {"inputs": [{"text": f"{SECRET}!"}]})
    assert answer.status_code == 500
    assert answer.json()["message"] == "the model failed: ArithmeticError"
    assert SAID[-1] == "a request failed: ArithmeticError"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "columns", "data", "batch_size"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), JSON, JSON)
def test_any_json_is_answered_or_refused(
    server: ScoringServer, name: str, value: Any, params: Any
) -> None:
    answer = post(server, {name: value, "params": params})
    assert answer.status_code in (200, 400)


@given(st.binary(max_size=40))
def test_any_bytes_are_refused(server: ScoringServer, body: bytes) -> None:
    assert post(server, body).status_code == 400
    assert post(server, body, "text/csv").status_code in (200, 400)


def test_the_limit_is_what_the_message_says(server: ScoringServer) -> None:
    frame = len(json.dumps({"inputs": [{"text": ""}]}))
    body = {"inputs": [{"text": "a" * (LARGEST_BODY - frame)}]}
    assert post(server, body).json() == {"predictions": [{"label": LARGEST_BODY - frame}]}
