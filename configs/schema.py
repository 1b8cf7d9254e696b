"""The sections of a pipeline file.

Every section is frozen and refuses unknown keys. The text under a field is its documentation:
``onestep schema`` and the editor hints are generated from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import (
    Field,
    TypeAdapter,
    create_model,
    field_validator,
    model_validator,
)

from configs.contract import Contract
from configs.language import english
from configs.model import Language, Model
from configs.promotion import Gate
from configs.retraining import Retraining
from configs.training import Training
from configs.values import Delimiter, Encoding, Files, Labels, LocatedSection, Name, Section, Split

DATE_NUMBERS = ("excel", "unix", "unix_ms")
"""Formats of dates that are numbers."""
TAG = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,249}$")


class Window(Section):
    """The latest part of the training rows, for data that grows."""

    rows: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Number of valid rows to keep: the last by `column`, or else in the order of the files."""
    days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """Keep the valid rows that are less than this many days older than the newest by `column`."""
    column: str | None = None
    """A column with dates and times in ISO 8601 or `format`, or, with `rows`, with increasing
    numbers. Times without a zone are in UTC."""
    format: str | None = None
    """How `column` writes dates: a format of Python's `strptime` such as `"%d.%m.%Y"`, `excel` for
    day numbers, `unix` or `unix_ms` for seconds or milliseconds since 1970; by default ISO 8601."""

    @model_validator(mode="after")
    def _one_size(self) -> Window:
        if self.rows is not None and self.days is not None:
            raise ValueError(english("expected `rows` or `days`, found both"))
        if self.days is not None and self.column is None:
            raise ValueError(english("`days` needs a `column` with dates"))
        if self.column is not None and self.rows is None and self.days is None:
            raise ValueError(english("`column` needs `rows` or `days`"))
        if self.format is not None and self.column is None:
            raise ValueError(english("`format` needs a `column` with dates"))
        return self

    @field_validator("format")
    @classmethod
    def _tells_a_year(cls, value: str | None) -> str | None:
        moment = datetime(2026, 12, 31, 18, 30, tzinfo=UTC)
        try:
            if value in (None, *DATE_NUMBERS):
                return value
            if datetime.strptime(moment.strftime(str(value)), str(value)).year == moment.year:
                return value
        except ValueError:
            pass
        raise ValueError(
            english(
                'expected a format with a year such as "%d.%m.%Y", or one of {known}',
                known=", ".join(DATE_NUMBERS),
            )
        )

    @property
    def declared(self) -> bool:
        """Whether a window is declared."""
        return self.rows is not None or self.days is not None


class Data(LocatedSection):
    """Where the labelled text is, and what its columns mean."""

    train: Files = ("train",)
    """Files or globs with the training rows (CSV, TSV, JSONL, JSON, Parquet or Excel, each also
    .gz), relative to this file; with `dataset`, names of its splits."""
    validation: Split = 0.1
    """Files, or the fraction of the training rows to set aside for choosing the checkpoint."""
    test: Split = 0.1
    """Files, or the fraction of the training rows to set aside for the final figures."""
    dataset: str | None = None
    """A Hugging Face data set: a hub id such as `org/name`, or a local folder in hub layout."""
    subset: str | None = None
    """The configuration of `dataset`, if it has several."""
    revision: str | None = None
    """The commit or tag of `dataset` to use; recorded in the model."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Renames: the application's column to yours, for example `text: review`."""
    labels: Labels | None = None
    """Label names in order, or a mapping from the value in the file to the name. By default the
    distinct labels of the training rows, sorted. The model keeps them."""
    id_column: str | None = None
    """Column that names a row for people, such as a ticket number: mistakes and differences between
    versions show it. Of rows with the same id and the same text, the one that is read last is used,
    such as the one with the corrected label. It is not trained on."""
    group_column: str | None = None
    """A column such as a customer id: rows with the same value stay in one split."""
    encoding: Encoding | None = None
    """Encoding of text files, such as `cp1252` or `gb18030`; detected by default. A byte order mark
    comes first."""
    delimiter: Delimiter | None = None
    """Separator of the columns of CSV and TSV files; by default the comma, semicolon, tab or
    vertical bar that divides their first line."""
    sheet: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Name of the sheet of Excel workbooks; by default the first, if no other can be meant."""
    quotes: bool = True
    """Whether CSV and TSV fields may be quoted; if false, quotation marks are text."""
    window: Window = Window()
    """The latest part of the training rows to use; by default all of them."""
    labelling: Literal["single", "multiple", "ordinal"] = "single"
    """Labels per row: one (`single`, column `label`), any number (`multiple`, column `labels`, a
    list), or one step of an ordered scale such as stars (`ordinal`, column `label`)."""
    label_separator: Annotated[str, Field(min_length=1)] = "|"
    """Separator of the labels of one row in CSV and TSV, with `labelling: multiple`."""

    @model_validator(mode="after")
    def _enough_is_named(self) -> Data:
        if self.dataset is None and "train" not in self.model_fields_set:
            raise ValueError(english("expected `train` files, or a `dataset`"))
        if self.dataset is None and (self.subset or self.revision):
            raise ValueError(
                english("`subset` and `revision` belong to a `dataset`, and none is named")
            )
        fractions = [s for s in (self.validation, self.test) if isinstance(s, float)]
        if sum(fractions) >= 1:
            raise ValueError(english("`validation` and `test` together leave no row to train on"))
        return self


class Evaluation(Section):
    """How the fine-tuned model is evaluated on the test split."""

    primary_metric: str | None = None
    """The metric that chooses the checkpoint and decides promotion; by default the
    application's own. An installed package can bring one as an entry point of
    `onestep.metrics`."""
    extra_metrics: tuple[str, ...] = ()
    """Metrics of installed packages to report besides; those that `primary_metric` and
    `gate.thresholds` name are reported anyway."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Rows per batch."""
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    """Number of bootstrap resamples for the interval of the primary metric."""
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence level of that interval."""
    num_mistakes: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Number of most confident mistakes to list, by row number."""


class Registry(Section):
    """Where the model is registered."""

    name: Name | None = None
    """Name of the registered model; by default the pipeline's name."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Extra tags of the registered version."""

    @field_validator("tags")
    @classmethod
    def _free_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not TAG.match(name):
                raise ValueError(
                    english(
                        "expected letters, digits, `_`, `-`, `.` or spaces in {name!r}", name=name
                    )
                )
            if name.startswith(("onestep.", "mlflow.")):
                raise ValueError(
                    english(
                        "{name!r} is reserved for onestep and MLflow; choose another name",
                        name=name,
                    )
                )
        return value


class Compute(Section):
    """Device, threads and time of a run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; `auto` takes a CUDA device if there is one."""
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    """CPU threads of the training process; by default one per available core."""
    launcher: Name = "local"
    """What starts the training process: `local`, or one that an installed package brings as an
    entry point of `onestep.launchers`."""
    energy: bool = True
    """Whether to estimate the energy that training uses, where the `energy` extra is installed."""
    timeout_minutes: Annotated[float, Field(gt=0, le=5_256_000)] | None = None
    """The training process is killed after this time, and the run fails."""


class Pipeline(Section):
    """One pipeline: labelled text in, a registered model out.

    An application with sections of its own has a subclass.
    """

    name: Name
    """Name of the pipeline: its Prefect runs, its MLflow experiment and its registered model."""
    application: str
    """The NLP problem."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of the splits, the batches, the head's initial weights and the dropout."""
    data: Data
    """Where the labelled text is."""
    contract: Contract = Contract()
    """What valid data is."""
    language: Language = Language()
    """The languages of the text."""
    model: Model = Model()
    """The model to fine-tune."""
    training: Training = Training()
    """How the model is fine-tuned."""
    evaluation: Evaluation = Evaluation()
    """How the model is evaluated."""
    gate: Gate = Gate()
    """What the model must reach to be promoted."""
    registry: Registry = Registry()
    """Where the model is registered."""
    schedule: Retraining = Retraining()
    """When the pipeline runs by itself."""
    compute: Compute = Compute()
    """Device, threads and time of a run."""

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.registry.name or self.name

    def below(self, folder: Path) -> Pipeline:
        """Return the pipeline with its paths taken relative to ``folder``."""
        update = {"data": self.data.below(folder), "model": self.model.below(folder)}
        return self.model_copy(update=update)


Applications = Mapping[str, type[Pipeline]]
"""The pipeline class of each application, by its name."""


def json_schema(applications: Applications) -> dict[str, Any]:
    """The JSON Schema of pipeline files: a union on ``application``."""
    kinds: Any = Union[tuple(_tagged(name, kind) for name, kind in applications.items())]  # noqa: UP007
    return TypeAdapter(Annotated[kinds, Field(discriminator="application")]).json_schema()


def _tagged(name: str, kind: type[Pipeline]) -> Any:
    """The class with the name of its application as the only value."""
    tag: Any = (Literal[name], Field(description="The NLP problem."))
    words = f"A pipeline of the application `{name}`."
    return create_model(f"{name.capitalize()}File", __base__=kind, __doc__=words, application=tag)
