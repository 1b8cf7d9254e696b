"""The typed sections of a pipeline file.

Every section is frozen and refuses unknown keys. The text under a field is its documentation:
``onestep schema`` and the editor hints are generated from it.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    field_validator,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema

Severity = Literal["refuse", "quarantine", "warn"]
Fraction = Annotated[float, Field(ge=0, le=1)]
DecayRate = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]

TEXT_OR_TEXTS: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
    ]
}
SCALAR: dict[str, Any] = {"type": ["string", "integer", "boolean"]}


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not values or not all(isinstance(v, str) and v for v in values):
        raise ValueError("expected a file name, or a list of them")
    return tuple(values)


def _split(value: object) -> float | tuple[str, ...]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value < 1:
            raise ValueError("expected a fraction between 0 and 1, or file names")
        return float(value)
    return _texts(value)


def label_name(value: object) -> str:
    """Write a label as text: booleans as ``true`` and ``false``, integers in decimal."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _labels(value: object) -> tuple[str, ...] | dict[str, str]:
    message = "expected at least two distinct label names, or a mapping of value to name"
    if isinstance(value, dict):
        mapping = {label_name(k): label_name(v) for k, v in value.items()}
        if len(set(mapping.values())) < 2:
            raise ValueError(message)
        return mapping
    if not isinstance(value, list | tuple):
        raise ValueError(message)
    if not all(isinstance(v, str | int | bool) for v in value):
        raise ValueError(message)
    names = tuple(label_name(v) for v in value)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(message)
    return names


Plain = PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value)
Files = Annotated[tuple[str, ...], PlainValidator(_texts), Plain, WithJsonSchema(TEXT_OR_TEXTS)]
Split = Annotated[
    float | tuple[str, ...],
    PlainValidator(_split),
    Plain,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                *TEXT_OR_TEXTS["anyOf"],
            ]
        }
    ),
]
Labels = Annotated[
    tuple[str, ...] | dict[str, str],
    PlainValidator(_labels),
    Plain,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": SCALAR, "minItems": 2, "uniqueItems": True},
                {"type": "object", "additionalProperties": SCALAR, "minProperties": 2},
            ]
        }
    ),
]


class Section(BaseModel):
    """Base of every section: frozen, typed strictly, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class Data(Section):
    """Where the labelled text is, and what its columns mean."""

    train: Files = ("train",)
    """Files or globs with the training rows (CSV, TSV, JSONL or Parquet, each also .gz), relative
    to this file; with `dataset`, names of its splits."""
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
    distinct labels of the training rows, sorted. The result is frozen into the model."""
    group: str | None = None
    """A column whose rows must stay in one split, such as a customer id."""
    quotes: bool = True
    """Whether CSV and TSV fields may be quoted; false takes a quotation mark as text."""

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The folder that file names are relative to."""
        return self._folder

    def below(self, folder: Path) -> Data:
        """Return the section with file names taken relative to ``folder``."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    @model_validator(mode="after")
    def _enough_is_named(self) -> Data:
        if self.dataset is None and "train" not in self.model_fields_set:
            raise ValueError("expected `train` files, or a `dataset`")
        if self.dataset is None and (self.subset or self.revision):
            raise ValueError("`subset` and `revision` belong to a `dataset`, and none is named")
        fractions = [s for s in (self.validation, self.test) if isinstance(s, float)]
        if sum(fractions) >= 1:
            raise ValueError("`validation` and `test` together leave no row to train on")
        return self


class Contract(Section):
    """What valid data is, and what happens to a row that is not."""

    max_quarantined: Fraction = 0.01
    """The run fails if more than this share of the rows is set aside."""
    duplicates: Severity = "quarantine"
    """The same text twice in one split: the first row is kept."""
    leakage: Severity = "quarantine"
    """The same text in two splits: the row is kept in the test split, then in validation."""
    min_rows_per_class: Annotated[int, Field(ge=1)] = 8
    """Each label needs at least this many training rows."""
    max_truncated: Fraction = 0.5
    """The run fails if more than this share of the rows is longer than `model.max_length`."""


class Model(Section):
    """The pretrained model to fine-tune."""

    base: Annotated[str, Field(min_length=1)] = "starter"
    """`starter` (a small English BERT that installs with the `starter` extra), a local folder
    with `config.json` and safetensors weights, or a Hugging Face hub id."""
    revision: str | None = None
    """The commit or tag of a hub model; recorded in the registered model."""
    max_length: Literal["auto"] | Annotated[int, Field(ge=8)] = "auto"
    """Longest input in tokens; longer ones are cut and counted. `auto` takes what the model
    allows, at most 512."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout probability in every layer; by default what the base model declares."""
    attention: Literal["auto", "eager", "sdpa"] = "auto"
    """The attention kernel; `auto` takes the fastest one for the device."""

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The folder that a local model path is relative to."""
        return self._folder

    def below(self, folder: Path) -> Model:
        """Return the section with a local path taken relative to ``folder``."""
        copy = self.model_copy()
        copy._folder = folder
        return copy


class Optimizer(Section):
    """The rule that turns gradients into an update."""

    name: Literal["adamw", "sgd"] = "adamw"
    """`adamw` (decoupled weight decay, fused where torch can) or `sgd` (with momentum)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of weight matrices; biases and normalization weights are exempt."""
    betas: tuple[DecayRate, DecayRate] = (0.9, 0.999)
    """Decay rates of the moment estimates of `adamw`; `sgd` takes the first as its momentum."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator of the `adamw` update."""


class Schedule(Section):
    """How the learning rate moves over the run."""

    name: Literal["constant", "linear", "cosine"] = "linear"
    """What follows the warm-up: a constant rate, or decay to zero at the last step."""
    warmup: Fraction = 0.1
    """Share of all steps over which the rate rises from zero."""


class Loss(Section):
    """What a step minimizes."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability mass spread evenly over all classes (Szegedy et al. 2016)."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """`balanced` weighs each class by n / (classes * n_class), as scikit-learn does; a mapping
    gives the weight of each label."""


class Training(Section):
    """How the model is fine-tuned."""

    epochs: Annotated[int, Field(ge=1)] = 3
    """Passes over the training rows."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows in one forward pass."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-5
    """The peak learning rate."""
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    """Forward passes whose gradients make one optimizer step."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients are scaled down to this global norm; null leaves them alone."""
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many epochs without a better validation metric."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Compute precision; `auto` is bf16 where the hardware multiplies it natively."""
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    """Write a resumable checkpoint every so many steps; by default about once a minute."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of the splits, the batches, the head's initial weights and the dropout."""
    optimizer: Optimizer = Optimizer()
    """The update rule."""
    schedule: Schedule = Schedule()
    """The learning-rate schedule."""
    loss: Loss = Loss()
    """The training loss."""


class Evaluation(Section):
    """How the fine-tuned model is measured on the test split."""

    headline: str | None = None
    """The metric that chooses the checkpoint and decides promotion; by default the
    application's own."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Rows predicted at once."""
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    """Resamples behind the interval of the headline metric."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Coverage of that interval."""
    mistakes: Annotated[int, Field(ge=0, le=10_000)] = 20
    """How many of the most confident mistakes to list, by row number."""


class Gate(Section):
    """What a model must reach to be promoted."""

    floors: dict[str, float] = Field(default_factory=dict)
    """Lowest acceptable value of a metric, for example `accuracy: 0.85`."""
    min_gain: Annotated[float, Field(ge=0)] = 0.0
    """How much better than the champion's headline metric a challenger must be."""


class Registry(Section):
    """Where the model is registered."""

    name: Name | None = None
    """Name of the registered model; by default the pipeline's name."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Extra tags of the registered version."""


class Retraining(Section):
    """When the pipeline runs by itself."""

    cron: str | None = None
    """Five cron fields, for example `0 3 * * 1` for Mondays at three."""
    timezone: str = "UTC"
    """The time zone of `cron`, as in the IANA database."""

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        if value is not None and len(value.split()) != 5:
            raise ValueError("expected five cron fields: minute hour day month weekday")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("expected a time zone of the IANA database, such as Europe/Paris")
        return ZoneInfo(value).key


class Compute(Section):
    """What the run may use."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a CUDA device if there is one."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads of the training process; by default one per available core."""
    timeout_minutes: Annotated[float, Field(gt=0)] | None = None
    """The training process is killed after this time, and the run fails."""


def application_names() -> tuple[str, ...]:
    """Names of the applications: the modules beside ``tasks/applications/base.py``."""
    folder = Path(__file__).resolve().parent.parent / "tasks" / "applications"
    names = (m.name for m in pkgutil.iter_modules([str(folder)]) if not m.ispkg)
    return tuple(sorted(name for name in names if name != "base"))


class Pipeline(Section):
    """One pipeline: labelled text in, a registered model out."""

    name: Name
    """Name of the pipeline: its Prefect runs, its MLflow experiment and its registered model."""
    application: Annotated[
        str,
        Field(json_schema_extra=lambda schema: schema.update(enum=list(application_names()))),
    ]
    """The NLP problem."""
    data: Data
    """Where the labelled text is."""
    contract: Contract = Contract()
    """What valid data is."""
    model: Model = Model()
    """The pretrained model."""
    training: Training = Training()
    """How it is fine-tuned."""
    evaluation: Evaluation = Evaluation()
    """How it is measured."""
    gate: Gate = Gate()
    """What it must reach."""
    registry: Registry = Registry()
    """Where it is registered."""
    schedule: Retraining = Retraining()
    """When the pipeline runs by itself."""
    compute: Compute = Compute()
    """What the run may use."""

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.registry.name or self.name

    def below(self, folder: Path) -> Pipeline:
        """Return the pipeline with its paths taken relative to ``folder``."""
        update = {"data": self.data.below(folder), "model": self.model.below(folder)}
        return self.model_copy(update=update)
