"""Batch prediction in chunks; answers to questions from a folder of documents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError, ModelError
from configs.language import _, english, translated
from configs.values import delimiter_of, encoding_name
from flows.models import reading, spreadsheets, writing
from flows.models.loaded_model import LoadedModel, Signature
from flows.models.reading import Row, Words
from tasks.contract.sources import formats
from tasks.contract.sources.base import FileSource, Options, Unreadable
from tasks.text.retrieval import Passages
from tasks.tracking import registry
from tasks.tracking.client import reach
from tasks.tracking.registry import Reference
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHUNK = 8192
"""Rows that are sorted by length together and then predicted in batches."""
CHUNK_CHARACTERS = 8_000_000
"""Long texts are sorted in smaller chunks, so that memory does not grow with their length."""
PASSAGES = 3
"""Number of passages that are searched for the answer to a question."""
CONTEXT, SOURCE = "context", "source"
UNKNOWN = {"answer": "", "score": None, "start": -1, "end": -1, "answered": False, "source": ""}
"""The answer to a question that shares no word with any passage; the model is not called."""
DELIMITED = ("csv", "tsv")
WORKBOOKS = ("xlsx", "xlsm")
USES = {
    "quotes": (DELIMITED, english("only CSV and TSV have fields that may be quoted")),
    "delimiter": (DELIMITED, english("only CSV and TSV have a separator")),
    "sheet": (WORKBOOKS, english("only a workbook has sheets")),
    "encoding": ((*DELIMITED, "json", "jsonl", "ndjson"), english("only text has an encoding")),
}
"""The formats that each option of reading is for."""


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of ``onestep predict``.

    Attributes:
        reading: options of the format that the file has: ``quotes``, ``encoding``, ``delimiter``
            and ``sheet``; by default as the model was trained, or as it is detected.
    """

    model: str
    file: str = "-"
    output: str = ""
    columns: Sequence[str] = ()
    probabilities: bool = False
    documents: Path | None = None
    question: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)


def stream(workspace: Workspace, request: Request) -> Iterator[str | bytes]:
    """Predict rows and yield the output; every row is checked before the model is loaded.

    Raises:
        ModelError: no such model, or one that cannot look answers up.
        DataError: the input cannot be read, lacks a column, or has a row without text.
    """
    from flows.run.inputs import quiet

    quiet()
    _require_sense(request)
    _renames(request.columns)
    path = reading.find_file(request.file) if request.question is None else None
    passages = Passages.read(request.documents) if request.documents else None
    version = look_up(workspace, request.model)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    known = Signature.read(workspace, version)
    if passages and not {"question", CONTEXT} <= set(known.inputs):
        found = ", ".join(known.own_names)
        message = _(
            "its input is {found}; only a model for questions looks answers up", found=found
        )
        raise ModelError.at(request.model, message, _("leave --documents out"))
    names = _Names(known, request, passages)

    def load() -> _Answers:
        return _Answers(LoadedModel.load(workspace, version, known), passages)

    if path is None:
        yield from _answer(names, load(), request.output)
        return
    with reading.opened(path, _options(request, known, path), workspace) as source:
        yield from _predict(names, source, path, load)


@dataclass(frozen=True, slots=True)
class _Names:
    """The signature of a model with the arguments that name columns of its rows."""

    known: Signature
    request: Request
    passages: Passages | None

    @property
    def optional(self) -> tuple[str, ...]:
        """Inputs that rows may lack, since they are looked up."""
        return (CONTEXT,) if self.passages else ()

    def inputs(self, columns: Sequence[str], words: Words) -> dict[str, str]:
        """The column of the rows that each input is read from."""
        accepted = self.known.accepted(_renames(self.request.columns), "--column")
        return reading.find_columns(accepted, columns, words, self.optional)

    def outputs(self, columns: Sequence[str]) -> dict[str, str]:
        """The column that each output is written to."""
        outputs = [*self.known.outputs, *([SOURCE] if self.passages else [])]
        wanted = self.request.probabilities
        return writing.prediction_names(outputs, columns, wanted, "--probabilities")

    def rename_or_look_up(self, name: str) -> str:
        """What to do about the missing column of an input."""
        own = self.known.own_name(name)
        advice = _("name yours with --column {name}=YOURS", name=own)
        looked_up = _(", or name a folder of texts with --documents")
        return advice + (looked_up if name == CONTEXT else "")


@dataclass(frozen=True, slots=True)
class _Answers:
    """A model with the texts in which it looks answers up."""

    model: LoadedModel
    passages: Passages | None

    def to(self, chunk: list[Row], inputs: Mapping[str, str]) -> list[Row]:
        """Predict rows."""
        table = self.model.signature.table(chunk, inputs)
        if self.passages:
            return _look_up(self.model, table, self.passages)
        return self.model.predict(table)


def _predict(
    names: _Names, source: FileSource, path: Path, load: Callable[[], _Answers]
) -> Iterator[str | bytes]:
    """Check the rows of a file, then load the model and predict them in chunks."""
    where, kind = reading.shown(path), names.request.output or _kind(source)
    words = Words(where, lambda number: f"{where} row {number}", names.rename_or_look_up)
    columns = reading.columns_of(source)
    inputs, outputs = names.inputs(columns, words), names.outputs(columns)
    output = writing.Output(kind, [*columns, *outputs.values()])
    reading.require_texts(output.checked(source.rows(), words), inputs, words, names.optional)
    answers = load()
    yield output.start()
    for chunk in chunks(_again(source, where)):
        yield output.lines(writing.merged(chunk, answers.to(chunk, inputs), outputs))
    yield output.finish()


def _again(source: FileSource, where: str) -> Iterator[Row]:
    """The rows of a file that has been checked."""
    for item in source.rows():
        if isinstance(item, Unreadable):
            raise DataError.at(where, _("it was changed while it was read"))
        yield item[1]


def _kind(source: FileSource) -> str:
    return "csv" if formats.format_of(source.path) in (*DELIMITED, *WORKBOOKS) else "jsonl"


def _answer(names: _Names, answers: _Answers, kind: str) -> Iterator[str | bytes]:
    """Answer the question of a request."""
    own = names.known.own_name("question")
    row = {own: names.request.question}
    found = answers.to([row], {"question": own})
    if not kind:
        yield _sentence(found[0])
        return
    outputs = names.outputs([own])
    output = writing.Output(kind, [own, *outputs.values()])
    yield output.start() + output.lines(writing.merged([row], found, outputs))
    yield output.finish()


def look_up(workspace: Workspace, reference: str) -> ModelVersion:
    """Find a registered version by NAME, NAME@ALIAS or NAME/VERSION.

    Raises:
        ModelError: no such model.
    """
    return registry.look_up(reach(workspace), Reference.parse(reference))


def _require_sense(request: Request) -> None:
    """Refuse arguments that do not go together."""
    if request.output not in ("", "csv", "jsonl", "xlsx"):
        message = _("expected csv, jsonl or xlsx, found {output!r}", output=request.output)
        raise DataError.at("--to", message)
    if request.output == "xlsx":
        spreadsheets.require_library()
    if request.question is None:
        return
    if not request.question.strip():
        raise DataError.at("--question", _("the question is empty"))
    if request.documents is None:
        advice = _("add --documents FOLDER")
        raise DataError.at("--question", _("expected documents to look it up in"), advice)
    if request.file != "-":
        raise DataError.at("--question", _("expected a question or a file, found both"))
    if request.columns or request.reading:
        option = "--column" if request.columns else f"--{next(iter(request.reading))}"
        raise DataError.at(option, _("a question has no columns"), _("leave it out"))


def _renames(columns: Sequence[str]) -> dict[str, str]:
    renames: dict[str, str] = {}
    for text in columns:
        name, equals, actual = text.partition("=")
        if not equals or not name or not actual:
            message = _("expected NAME=YOURS, such as text=review")
            raise DataError.at(f"--column {text}", message)
        if name in renames:
            raise DataError.at(f"--column {text}", _("{name} is renamed twice", name=name))
        renames[name] = actual
    return renames


def _options(request: Request, known: Signature, path: Path) -> Options:
    """How the file is read: as the training files were, unless the request says otherwise."""
    kind, given = formats.format_of(path), dict(request.reading)
    for name in given:
        if kind not in USES[name][0]:
            expected = translated(USES[name][1])
            message = _("{expected}, found {kind}", expected=expected, kind=kind)
            raise DataError.at(f"--{name}", message, _("leave it out"))
    try:
        for name, check in (("encoding", encoding_name), ("delimiter", delimiter_of)):
            if name in given:
                given[name] = check(given[name])
    except ValueError as error:
        raise DataError.at(f"--{name}", str(error)) from None
    layout = not given.keys() & {"delimiter", "sheet"}
    return replace(known.options, **given, usual="encoding" not in given, usual_layout=layout)


def chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Split rows into chunks of at most ``CHUNK`` rows and about ``CHUNK_CHARACTERS``."""
    chunk: list[Row] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(chunk) == CHUNK or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _look_up(model: LoadedModel, table: list[Row], passages: Passages) -> list[Row]:
    """Answer each row from its own context, or from the passages that match it best.

    The answer with the highest score is taken; of equal scores, that of the better match.
    """
    tried: list[tuple[int, str, Row]] = []
    for at, row in enumerate(table):
        if row[CONTEXT].strip():
            tried.append((at, "", row))
            continue
        found = passages.best(row["question"], PASSAGES)
        tried += [(at, passage.reference, row | {CONTEXT: passage.text}) for passage in found]
    best: dict[int, Row] = {}
    predicted = model.predict([row for _, _, row in tried]) if tried else []
    for (at, source, _row), answer in zip(tried, predicted, strict=True):
        answer["source"] = source if answer["answered"] else ""
        if at not in best or _is_better(answer, best[at]):
            best[at] = answer
    return [best.get(at, UNKNOWN) for at in range(len(table))]


def _is_better(answer: Row, other: Row) -> bool:
    if not answer["answered"] or not other["answered"]:
        return bool(answer["answered"])
    return bool(answer["score"] > other["score"])


def _sentence(answer: Row) -> str:
    if not answer["answered"]:
        return _("I do not know.\n")
    return _("{answer[answer]}\n({answer[source]}, score {answer[score]:.2f})\n", answer=answer)
