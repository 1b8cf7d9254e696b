"""A model whose training files name the text ``review``; and requests that make no sense."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from mlflow import MlflowClient

from configs.errors import DataError
from flows.models import prediction
from flows.models.loaded_model import Signature
from flows.models.prediction import Request, stream
from flows.models.serving.batching import Batcher, Limits
from flows.models.serving.metrics import Metrics
from flows.models.serving.server import Follower
from onestep.registry import Model
from tasks.applications import registry as applications
from tasks.contract.sources import formats
from tasks.contract.sources.base import Options
from tasks.evaluation import EvaluationResult
from tasks.store import read_json
from tasks.tracking import packaging, registry, runs
from tasks.tracking.registry import CHAMPION, Reference
from tasks.workspace import Workspace
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")
NAME = "renamed"
GOOD, BAD = "the coffee was wonderful", "the coffee was terrible"


@pytest.fixture(scope="module")
def home(
    store: tuple[Workspace, MlflowClient],
    prepared: Prepared,
    evaluated: EvaluationResult,
    tmp_path_factory: pytest.TempPathFactory,
) -> Workspace:
    """A home with a champion that was trained with ``columns: {text: review}`` and no quotes."""
    workspace, client = store
    folder = tmp_path_factory.mktemp("renamed")
    known = read_json(evaluated.package / "predictor.json")
    own = {"columns": {"text": "review"}, "reading": asdict(Options(quotes=False))}
    package = packaging.build(
        folder / "package",
        evaluated.package / "model",
        prepared.validated.stored.path,
        applications.get("sentiment"),
        known | own,
    )
    run = client.create_run(client.get_experiment_by_name("Default").experiment_id)  # type: ignore[union-attr]
    runs.log_folder(client, run.info.run_id, packaging.save(folder / "m", package, 8), "model")
    source = f"{run.info.artifact_uri}/model"
    version = registry.create(client, NAME, source, run.info.run_id, {"made": "by hand"})
    registry.set_alias(client, NAME, CHAMPION, int(version.version))
    return workspace


def predict(home: Workspace, file: Path, **options: Any) -> str:
    return "".join(stream(home, Request(NAME, str(file), **options)))


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_model_reads_its_own_column(home: Workspace, tmp_path: Path) -> None:
    both = lines(
        tmp_path / "in.jsonl", {"text": BAD, "review": GOOD}, {"text": GOOD, "review": BAD}
    )
    answers = [json.loads(line) for line in predict(home, both).splitlines()]
    assert [row["label"] for row in answers] == ["positive", "negative"]
    renamed = predict(home, both, columns=["review=text"])
    assert renamed == predict(home, both, columns=["text=text"])
    assert [json.loads(line)["label"] for line in renamed.splitlines()] == ["negative", "positive"]


def test_every_column_is_kept_and_the_prediction_is_apart(home: Workspace, tmp_path: Path) -> None:
    rows = {"review": GOOD}, {"review": BAD, "label": "X", "id": 7}
    written = predict(home, lines(tmp_path / "in.jsonl", *rows), output="csv")
    first, second = csv.DictReader(io.StringIO(written, newline=""))
    assert list(first) == ["review", "label", "id", "predicted_label", "score"]
    assert (first["predicted_label"], first["label"], first["id"]) == ("positive", "", "")
    assert (second["predicted_label"], second["label"], second["id"]) == ("negative", "X", "7")


def test_a_workbook_has_the_rows_and_the_predictions(home: Workspace, tmp_path: Path) -> None:
    rows = {"review": f"{GOOD}\r\n", "id": 7}, {"review": BAD}
    file = lines(tmp_path / "in.jsonl", *rows)
    pieces = list(stream(home, Request(NAME, str(file), output="xlsx")))
    (content,) = (piece for piece in pieces if piece)
    assert isinstance(content, bytes)
    (tmp_path / "out.xlsx").write_bytes(content)
    found = [item[1] for item in formats.open_file(tmp_path / "out.xlsx").rows()]
    assert [(row["review"], row["id"], row["label"]) for row in found] == [
        (f"{GOOD}\r\n", 7, "positive"),
        (BAD, None, "negative"),
    ]
    assert all(isinstance(row["score"], float) for row in found)


def test_rows_without_text_are_named_and_nothing_is_written(
    home: Workspace, tmp_path: Path
) -> None:
    rows = [{"review": GOOD}] * 600 + [{"review": None}, {"id": 1}, {"review": float("nan")}]
    written = stream(home, Request(NAME, str(lines(tmp_path / "in.jsonl", *rows))))
    with pytest.raises(DataError) as caught:
        next(written)
    where = [problem.where.rpartition(" ")[2] for problem in caught.value.problems]
    assert where == ["601", "602", "603"]
    assert "expected a column 'review', found 'id'" in str(caught.value)


def test_mistakes_in_a_file_are_told_before_the_model_is_loaded(
    home: Workspace, tmp_path: Path
) -> None:
    version = prediction.look_up(home, NAME)
    (weights,) = home.artifacts.glob(f"**/{version.run_id}/**/model.safetensors")
    weights.rename(weights.with_suffix(".gone"))
    try:
        with pytest.raises(DataError, match="expected a column 'review', found 'body'"):
            predict(home, lines(tmp_path / "in.jsonl", {"body": GOOD}))
        with pytest.raises(ValueError, match=r"the model was changed.*: .*model\.safetensors"):
            predict(home, lines(tmp_path / "in.jsonl", {"review": GOOD}))
    finally:
        weights.with_suffix(".gone").rename(weights)


def test_files_are_read_as_in_training(home: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text(f'review\n"{GOOD}"\n', encoding="utf-8")
    assert f'"""{GOOD}""",positive' in predict(home, file)
    assert f"\n{GOOD},positive" in predict(home, file, reading={"quotes": True})
    with pytest.raises(DataError, match="--quotes: only CSV and TSV"):
        predict(home, lines(tmp_path / "in.jsonl", {"review": GOOD}), reading={"quotes": True})


GERMAN = "sep=;\r\nid;review\r\n1;Größe passt; schön für uns\r\n".replace("t; s", "t, s")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_encoding_and_separator_are_those_of_the_file(
    home: Workspace, tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(GERMAN.encode(encoding))
    assert predict(home, file).startswith('id,review,label,score\n1,"Größe passt, schön für uns",')


def test_what_can_be_read_in_two_ways_is_asked_with_options(
    home: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes("review\nLe café très bon là\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"\(add --encoding cp1252 or --encoding cp1250\)"):
        predict(home, file)
    reading = {"encoding": "cp1250"}
    assert "lŕ" in predict(home, file, reading=reading)
    file.write_text("review;x,a;b\na;b,c;d\n")
    with pytest.raises(DataError, match=r'\(add --delimiter "," or --delimiter ";"\)'):
        predict(home, file, columns=["text=review"])
    assert "\na,b" not in predict(home, file, reading={"delimiter": ";"})
    with pytest.raises(DataError, match=r"^--encoding: expected an encoding such as utf-8"):
        predict(home, file, reading={"encoding": "klingon"})
    with pytest.raises(DataError, match=r"^--delimiter: expected one character"):
        predict(home, file, reading={"delimiter": "ab"})


def test_only_what_is_given_overrides_how_the_model_reads() -> None:
    own = Options(quotes=False, encoding="cp1252", delimiter=";", sheet="May")
    model = Signature(["text"], {}, [], {"reading": asdict(own)})

    def options(**given: Any) -> Options:
        name = "a.xlsx" if "sheet" in given else "a.csv"
        return prediction._options(Request("m", reading=given), model, Path(name))

    known = replace(own, usual=True, usual_layout=True)
    assert options() == known
    assert options(quotes=True) == replace(known, quotes=True)
    assert options(delimiter="|") == replace(known, delimiter="|", usual_layout=False)
    assert options(encoding="gbk") == replace(known, encoding="gbk", usual=False)
    assert options(sheet="June") == replace(known, sheet="June", usual_layout=False)


def test_a_file_without_rows_has_the_columns_of_the_answers(
    home: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "in.csv"
    file.write_text("id,review\n", encoding="utf-8")
    assert predict(home, file) == "id,review,label,score\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": ["body=review"]}, "--column body: expected the name of an input.*: review"),
        ({"columns": ["text=a", "review=a"]}, "each once"),
        ({"columns": ["text=nothing"]}, "expected a column 'nothing', found 'review'"),
    ],
)
def test_names_that_match_nothing_are_refused(
    home: Workspace, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        predict(home, lines(tmp_path / "in.jsonl", {"review": GOOD}), **options)


@pytest.fixture(scope="module")
def model(home: Workspace) -> Model:
    return Model.load(home, NAME)


def test_python_reads_the_same_column(model: Model) -> None:
    assert model.inputs == ("review",)
    rows = [{"text": BAD, "review": GOOD}]
    assert [row["label"] for row in model.predict(rows)] == ["positive"]
    assert list(model.predict(pd.DataFrame(rows))["label"]) == ["positive"]
    assert model.predict([GOOD])[["review", "label"]].to_dict("records") == [
        {"review": GOOD, "label": "positive"}
    ]


def test_python_refuses_what_is_no_text(model: Model) -> None:
    mixed = pd.DataFrame({"review": [GOOD, 3, None], "note": [1, "a", None]})
    with pytest.raises(DataError) as caught:
        model.predict(mixed)
    assert str(caught.value).splitlines() == [
        "rows[1]: expected text in column 'review', found a number",
        "rows[2]: expected text in column 'review', found null",
    ]
    assert len(model.predict(mixed[:1])) == 1
    with pytest.raises(DataError, match="columns body: expected the name of an input"):
        model.predict([{"review": GOOD}], columns={"body": "review"})
    twice = pd.DataFrame([[GOOD, BAD]], columns=["review", "review"])
    with pytest.raises(DataError, match="two columns have the name 'review'"):
        model.predict(twice)


def post(home: Workspace, *rows: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        batcher = Batcher(Limits(), Metrics())
        transport = httpx.ASGITransport(Follower(home, Reference.parse(NAME), batcher, print))
        async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
            return await client.post("/invocations", json={"dataframe_records": rows})

    return asyncio.run(send())


def test_http_takes_the_models_own_name_before_the_applications(home: Workspace) -> None:
    for row in ({"review": GOOD}, {"text": GOOD}, {"text": BAD, "review": GOOD}):
        answer = post(home, row)
        assert [one["label"] for one in answer.json()["predictions"]] == ["positive"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"review": None}, "expected text in column 'review', found null"),
        ({"review": "", "text": GOOD}, "expected text in column 'review', found a blank text"),
        ({"text": 0}, "expected text in column 'text', found a number"),
        ({"body": GOOD}, "expected a column 'review', found 'body'"),
    ],
)
def test_http_answers_nothing_for_rows_without_text(
    home: Workspace, row: dict[str, Any], words: str
) -> None:
    answer = post(home, {"review": GOOD}, row)
    assert (answer.status_code, answer.json()["message"]) == (400, f"row 1: {words}")
    assert post(home, {"review": GOOD}, {"text": BAD}).status_code == 200


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"output": "xml"}, "--to: expected csv, jsonl or xlsx, found 'xml'"),
        ({"columns": ["review"]}, "--column review: expected NAME=YOURS"),
        ({"columns": ["text=a", "text=b"]}, "--column text=b: text is renamed twice"),
        ({"question": " "}, "--question: the question is empty"),
        ({"question": "why"}, "--question: expected documents to look it up in"),
        ({"file": "missing.csv"}, "missing.csv"),
    ],
)
def test_mistakes_of_a_request_are_told_at_once(
    tmp_path: Path, request_: dict[str, Any], words: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("text\nhello\n", encoding="utf-8")
    made = Request("nobody", **{"file": str(rows), **request_})
    if "question" in request_:
        made = Request("nobody", **request_)
    with pytest.raises(DataError) as caught:
        next(stream(Workspace.open(tmp_path / "home"), made))
    assert words in str(caught.value)


def test_a_chunk_ends_at_a_number_of_rows_or_of_characters() -> None:
    short, long = {"text": "good"}, {"text": "x" * (prediction.CHUNK_CHARACTERS // 2), "n": 1}
    rows = [long] * 5 + [short] * (prediction.CHUNK + 3)
    found = list(prediction.chunks(iter(rows)))
    assert [row for chunk in found for row in chunk] == rows
    assert [len(chunk) for chunk in found] == [2, 2, prediction.CHUNK, 4]
