"""The REST interface of a served model: MLflow's formats, and answers that never quote a row."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, TypeVar

from flows.models.reading import Row, only_numbers
from flows.models.serving.batching import Batcher, PredictionError, QueueFullError, Request
from tasks.contract.rows.layout import quote_names
from tasks.contract.rules.cells import is_number
from tasks.contract.sources.json_files import REPEATED, has_repeated, is_unicode, json_object
from tasks.contract.sources.separators import Reader

LARGEST_BATCH = 4096
LARGEST_BODY = 2_000_000
"""Bytes of a request, about five hundred texts of a page each."""
SMALL_BODY = 4_096
"""Bytes that are read in the event loop; more would keep other requests waiting."""
FEW_ROWS = 8
"""Rows whose answers are written in the event loop; more would keep other requests waiting."""
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON, CSV = "application/json", "text/csv"
Answer = tuple[int, str]
T = TypeVar("T")


class RequestError(Exception):
    """A request without an answer: its status, and the reason in a sentence that quotes no row."""

    def __init__(
        self, why: str, status: int = HTTPStatus.BAD_REQUEST, code: str = "BAD_REQUEST"
    ) -> None:
        super().__init__(why)
        self.status = status
        self.code = code


class ScoringServer:
    """An ASGI application that answers ``/invocations`` with a loaded model, and ``/ping``.

    ``say`` is called with the type of an error of the model.
    """

    def __init__(self, served: Any, batcher: Batcher, say: Callable[[str], None]) -> None:
        self._served = served
        self._batcher = batcher
        self._say = say
        self._inputs = _input_names(served)
        # Other models than those of onestep may answer a row by what is beside it.
        self._alone = _settings(served) is None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            status, text = await self._answer(scope, receive)
        except RequestError as refused:
            status, text = refused.status, _error(str(refused), refused.code)
        except asyncio.CancelledError:  # Uvicorn has waited for as long as it may.
            status = HTTPStatus.SERVICE_UNAVAILABLE
            text = _error("the server stops", "TEMPORARILY_UNAVAILABLE")
        await _respond(send, status, text.encode())

    async def _answer(self, scope: Any, receive: Any) -> Answer:
        path, method = scope["path"], scope["method"]
        if path in ("/ping", "/health"):
            return HTTPStatus.OK, "\n"
        if path != "/invocations":
            raise RequestError("expected /invocations, /ping or /health", HTTPStatus.NOT_FOUND)
        if method != "POST":
            raise RequestError(f"expected POST, found {method}", HTTPStatus.METHOD_NOT_ALLOWED)
        body = await _body(receive)
        began = time.perf_counter()
        read = _caller(is_short=len(body) <= SMALL_BODY)
        request = await read(self._read, body, _content_type(scope["headers"]))
        answers = self._submit(request)
        write = _caller(is_short=len(request.rows) <= FEW_ROWS)
        try:
            text = await write(_write, await asyncio.wrap_future(answers))
        except Exception as error:
            kind = str(error) if isinstance(error, PredictionError) else type(error).__name__
            self._say(f"a request failed: {kind}")
            why, status = f"the model failed: {kind}", HTTPStatus.INTERNAL_SERVER_ERROR
            raise RequestError(why, status, "INTERNAL_ERROR") from None
        if request.rows:
            self._batcher.metrics.predicted(time.perf_counter() - began)
        return HTTPStatus.OK, text

    def _read(self, body: bytes, content_type: str) -> Request:
        """The checked rows of a request."""
        rows, params = parse(body, content_type)
        if self._inputs:
            checked = [self._checked(number, row) for number, row in enumerate(rows)]
            self._refuse_numbers(rows, checked)
            rows = checked
        return Request(self._served, rows, params, self._alone)

    def _submit(self, request: Request) -> Future[Any]:
        if not request.rows:
            request.answers.set_result([])
            return request.answers
        try:
            return self._batcher.submit(request)
        except QueueFullError as full:
            status, code = HTTPStatus.TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED"
            raise RequestError(str(full), status, code) from None

    def _refuse_numbers(self, rows: Sequence[Row], checked: Sequence[Row]) -> None:
        """Refuse a column of numbers beside others, since one of them is meant."""
        others = any(len(row) > len(self._inputs) for row in rows)
        for name in checked[0] if others and len(rows) > 1 else ():
            if all(is_number(row[name]) for row in checked):
                raise RequestError(only_numbers(name))

    def _checked(self, number: int, row: Row) -> Row:
        """The inputs of a row under their preferred names, all of them text."""
        checked = {}
        for names in self._inputs:
            own = next((name for name in names if name in row), None)
            if own is None:
                raise RequestError(
                    f"row {number}: expected a column {names[0]!r}, found {quote_names(row)}"
                )
            if found := _not_text(row[own]):
                raise RequestError(f"row {number}: expected text in column {own!r}, found {found}")
            checked[names[0]] = row[own]
        return checked


async def _respond(send: Any, status: int, body: bytes) -> None:
    """Send a response; a refused request that may succeed later is told when."""
    headers = [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body))]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _caller(*, is_short: bool) -> Callable[..., Awaitable[Any]]:
    """What calls a function: in the event loop if that is short, otherwise in a thread."""
    return _call_here if is_short else asyncio.to_thread


async def _call_here(function: Callable[..., T], *arguments: Any) -> T:
    return function(*arguments)


def _write(answers: Any) -> str:
    from mlflow.pyfunc.scoring_server import predictions_to_json

    written = io.StringIO()
    predictions_to_json(answers, written)  # type: ignore[no-untyped-call]
    return written.getvalue()


def _settings(served: Any) -> Any:
    """The settings of a model that onestep has made; None for another."""
    return getattr(served.unwrap_python_model(), "settings", None)


def _input_names(served: Any) -> list[list[str]]:
    """The names that each input may have, the preferred one first."""
    from tasks.predictor import accepted_names

    settings = _settings(served)
    if settings is not None:
        return [accepted_names(settings, name) for name in settings["inputs"]]
    schema = served.metadata.get_input_schema()
    return [[column.name] for column in (schema.inputs if schema else ())]


async def _body(receive: Any) -> bytes:
    """Read a request to its end; what is beyond the limit is not kept."""
    body, size, more = b"", 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        body = body + part if size <= LARGEST_BODY else b""
        more = message.get("more_body", False)
    if size > LARGEST_BODY:
        limit = f"expected at most {LARGEST_BODY:,} bytes in a request, found {size:,}"
        raise RequestError(
            f"{limit}; send fewer rows at a time, or use onestep predict",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return body


def _content_type(headers: Any) -> str:
    found = dict(headers).get(b"content-type", JSON.encode()).decode("latin-1")
    return str(found.partition(";")[0].strip().lower())


def parse(body: bytes, content_type: str) -> tuple[list[Row], dict[str, int]]:
    """The rows of a request and its parameters.

    Raises:
        RequestError: the body has none of the formats.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"expected UTF-8, found another byte at {error.start}") from None
    if content_type == CSV:
        return list(_csv_rows(text)), {}
    if content_type != JSON:
        raise RequestError(
            f"expected the content type {JSON} or {CSV}", HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    request = _json(text)
    given = [name for name in FORMATS if name in request] if isinstance(request, dict) else []
    if len(given) != 1:
        raise RequestError(f"expected a JSON object with one of {', '.join(FORMATS)}")
    return _rows(request[given[0]], given[0]), _params(request.get("params"))


def _json(text: str) -> Any:
    try:
        found = json.loads(text, object_pairs_hook=json_object)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise RequestError(f"the request is not JSON: see {where}") from None
    except ValueError:
        raise RequestError("the request has a number with too many digits") from None
    except RecursionError:
        raise RequestError("the request is nested too deeply") from None
    if has_repeated(found):
        raise RequestError(REPEATED)
    return found


def _csv_rows(text: str) -> list[Row]:
    try:
        lines = [line for line in Reader(io.StringIO(text, newline=""), ",") if line]
    except csv.Error as error:
        raise RequestError(f"the request is not CSV: {error}") from None
    return _named([name.strip() for name in lines[0]], lines[1:]) if lines else []


def _rows(value: Any, name: str) -> list[Row]:
    """Rows as records; all formats but ``dataframe_records`` may have them in another way."""
    if name == "dataframe_split":
        parts = value if isinstance(value, dict) else {}
        if not (_all(parts.get("columns"), str) and _all(parts.get("data"), list)):
            raise RequestError(f"expected lists columns and data in {name}")
        return _named(parts["columns"], parts["data"])
    by_column = isinstance(value, dict) and _all([*value.values()], list)
    if by_column and name in ("instances", "inputs"):
        if len({len(cells) for cells in value.values()}) > 1:
            raise RequestError(f"expected columns of one length in {name}")
        return _named(list(value), list(zip(*value.values(), strict=True)))
    if not _all(value, dict):
        raise RequestError(f"expected a list of objects in {name}")
    return list(value)


def _all(value: Any, kind: type) -> bool:
    """Whether a value is a list whose items are of one type."""
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _named(columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> list[Row]:
    if len(set(columns)) < len(columns):
        raise RequestError("expected different column names, found one twice")
    for number, line in enumerate(lines):
        if len(line) != len(columns):
            found = f"expected {len(columns)} values, found {len(line)}"
            raise RequestError(f"row {number}: {found}")
    return [dict(zip(columns, line, strict=True)) for line in lines]


def _params(given: Any) -> dict[str, int]:
    """The one parameter, a size of batches that changes speed, not answers."""
    if given is None or given == {}:
        return {}
    if not isinstance(given, dict) or set(given) != {"batch_size"}:
        raise RequestError("expected batch_size alone in params")
    size = given["batch_size"]
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_BATCH:
        raise RequestError(f"expected a whole number from 1 to {LARGEST_BATCH:,} as batch_size")
    return {"batch_size": size}


def _not_text(value: Any) -> str:
    """What stands in place of a text; empty for a text."""
    from tasks.predictor import describe_other

    if isinstance(value, str) and not value.isascii() and not is_unicode(value):
        return "half of a surrogate pair"
    return describe_other(value)


def _error(why: str, code: str) -> str:
    """An error in MLflow's form."""
    return json.dumps({"error_code": code, "message": why})
