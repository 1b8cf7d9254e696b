"""Run models that write text: part of every registered translator and summarizer.

It imports nothing of onestep; :mod:`tasks.predictor` loads this file from the model's own folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
)

Row = dict[str, Any]
EXAMPLES = {
    "source": "My parcel has not arrived yet. Could you tell me where it is?",
    "document": "The library opens on Sundays from May. Members asked for it for years. "
    "Two new librarians were hired, and the café next door stays open too.",
}
OUTPUT = {"source": "translation", "document": "summary"}
UNSPACED = frozenset(  # ISO 639-1 and -3
    {
        *("bo", "bod", "cmn", "ja", "jpn", "khm", "km", "lao", "lo", "my", "mya"),
        *("th", "tha", "wuu", "yue", "zh", "zho"),
    }
)
CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uff65\U00020000-\U000323af\u2018-\u201d…—·"
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|(?<=[。！？])[”’」』）]*|\n+")
LEAST_NEW_TOKENS = 16


def describe(settings: Row) -> tuple[Row, Row, Row]:
    """Input columns, output columns, and an example of an input, for the signature."""
    name = settings["inputs"][0]
    return {name: "string"}, {OUTPUT[name]: "string"}, {name: EXAMPLES[name]}


def sentences(text: str) -> list[str]:
    """Sentences of a text, by their final punctuation and by line ends; no text is dropped."""
    parts, start = [], 0
    for match in SENTENCE_END.finditer(text):
        if match.end() > start:
            parts.append(text[start : match.end()].strip())
            start = match.end()
    return [part for part in (*parts, text[start:].strip()) if part]


class Model:
    """A fine-tuned model that writes."""

    def __init__(self, folder: Path, settings: Row, device: torch.device, **options: Any) -> None:
        kind = AutoModelForCausalLM if settings["head"] == "causal" else AutoModelForSeq2SeqLM
        model = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, **options)
        tokenizer = load_tokenizer(folder)
        target = tokenizer
        if (folder / "target").is_dir():
            target = load_tokenizer(folder / "target")
        self.settings = settings
        self.generator = Generator(model.eval().to(device=device), tokenizer, target, settings)

    def answer(self, rows: list[Row]) -> list[Row]:
        """The text that the model writes for each row."""
        name = self.settings["inputs"][0]
        texts = self.generator.generate([row[name] for row in rows])
        return [{OUTPUT[name]: text} for text in texts]


def load_tokenizer(folder: Path) -> Any:
    """A tokenizer as it was saved: the class of a family may make another normalizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.is_fast:
        saved = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.backend_tokenizer.normalizer = saved.normalizer
    return tokenizer


class Generator:
    """Encodes inputs, searches for the best outputs, decodes them.

    Args:
        model: a sequence-to-sequence or a causal language model in eval mode.
        tokenizer: of the inputs.
        target: of the outputs; may be the same.
        settings: the served model's ``predictor.json``.
    """

    def __init__(self, model: Any, tokenizer: Any, target: Any, settings: Row) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.target = target
        self.settings = settings

    def generate(self, texts: Sequence[str]) -> list[str]:
        """Write an output for each input."""
        if self.settings["long_inputs"] == "chunk":
            return [self._generate_long(text) for text in texts]
        return self._generate(texts, self._limit())

    def _generate_long(self, text: str) -> str:
        """Write a part for each piece of a long input, and join the parts."""
        pieces = self.pieces(text)
        limit = max(self._limit() // len(pieces), LEAST_NEW_TOKENS)
        return self._glue.join(self._generate(pieces, limit)).strip()

    def pieces(self, text: str) -> list[str]:
        """Cut an input into runs of sentences that each fit the model; no sentence is dropped."""
        pieces: list[str] = []
        for sentence in sentences(text) or [text]:
            for part in self._parts(sentence):
                joined = pieces[-1] + self._glue + part if pieces else part
                if pieces and self._fits(joined):
                    pieces[-1] = joined
                else:
                    pieces.append(part)
        return pieces

    def _parts(self, sentence: str) -> list[str]:
        """Halve a sentence that is too long until each part fits."""
        if self._fits(sentence) or len(sentence) < 2:
            return [sentence]
        middle = len(sentence) // 2
        cut = sentence.rfind(" ", 1, middle) + 1 or middle
        halves = sentence[:cut].strip(), sentence[cut:].strip()
        return [part for half in halves if half for part in self._parts(half)]

    @property
    def _glue(self) -> str:
        return glue(self.settings["language"])

    def _fits(self, text: str) -> bool:
        text = self.settings["prefix"] + text
        if self.settings["head"] == "causal":
            size = len(prompt_ids(self.tokenizer, [text], None)[0])
        else:
            size = len(self.tokenizer(text, verbose=False)["input_ids"])
        return size <= int(self.settings["max_length"])

    def _limit(self) -> int:
        return int(self.settings.get("max_new_tokens") or self.settings["max_target_length"])

    def _generate(self, texts: Sequence[str], limit: int) -> list[str]:
        inputs = self.encode([self.settings["prefix"] + text for text in texts])
        inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
        ids = self.model.generate(**inputs, generation_config=self._config(limit))
        if self.settings["head"] == "causal":
            ids = ids[:, inputs["input_ids"].shape[1] :]
        found: list[str] = self.target.batch_decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [self._tidy(text) for text in found]

    def encode(self, texts: list[str]) -> dict[str, torch.Tensor]:
        """Token ids and attention mask of shape (rows, longest).

        A causal model reads the input and an end token, padded on the left.
        """
        length = self.settings["max_length"]
        if self.settings["head"] != "causal":
            found = self.tokenizer(
                texts, truncation=True, max_length=length, padding=True, return_tensors="pt"
            )
            return {name: found[name] for name in ("input_ids", "attention_mask")}
        prompts = prompt_ids(self.tokenizer, texts, length)
        longest, pad = max(map(len, prompts)), self.tokenizer.pad_token_id
        ids = [[pad] * (longest - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}

    def _config(self, limit: int) -> GenerationConfig:
        known, beams = self.model.generation_config, self.settings["num_beams"]
        searched = {"length_penalty": self.settings["length_penalty"], "early_stopping": True}
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=limit,
            num_beams=beams,
            do_sample=False,
            no_repeat_ngram_size=self.settings["no_repeat_ngram_size"],
            pad_token_id=known.pad_token_id,
            eos_token_id=known.eos_token_id,
            bos_token_id=known.bos_token_id,
            decoder_start_token_id=known.decoder_start_token_id,
            forced_bos_token_id=known.forced_bos_token_id,
            bad_words_ids=known.bad_words_ids,
            **(searched if beams > 1 else {}),
        )

    def _tidy(self, text: str) -> str:
        """Drop the spaces that a tokenizer of single characters puts between them."""
        text = " ".join(text.split())
        if is_unspaced(self.settings["language"]):
            text = re.sub(f"(?<=[{CJK}]) | (?=[{CJK}])", "", text)
        return text


def is_unspaced(language: str) -> bool:
    """Whether a language, by its code such as ``zh_CN``, has no spaces between words."""
    return re.split("[_-]", language)[0] in UNSPACED


def glue(language: str) -> str:
    """The text that joins two sentences."""
    return "" if is_unspaced(language) else " "


def prompt_ids(tokenizer: Any, texts: list[str], length: int | None) -> list[list[int]]:
    """What a causal model reads before it writes: the input, cut, and an end token."""
    found = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    most = None if length is None else length - 1
    return [[*ids[:most], tokenizer.eos_token_id] for ids in found]
