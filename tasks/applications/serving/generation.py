"""Run models that write text: part of every registered translator and summarizer.

Free of this project; :mod:`tasks.predictor` loads this file from the model's own folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
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
UNSPACED = ("zh", "ja", "th", "lo", "km", "my", "bo", "yue")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|(?<=[。！？])[”’」』）]*|\n+")
LEAST_NEW_TOKENS = 16


def describe(settings: Row) -> tuple[Row, Row, Row]:
    """Input columns, output columns, and an example of an input, for the signature."""
    name = settings["inputs"][0]
    return {name: "string"}, {OUTPUT[name]: "string"}, {name: EXAMPLES[name]}


def sentences(text: str) -> list[str]:
    """Sentences of a text, by their final punctuation and by line ends; none is lost."""
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
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        target = tokenizer
        if (folder / "target").is_dir():
            target = AutoTokenizer.from_pretrained(folder / "target", local_files_only=True)
        self.settings = settings
        self.writer = Writer(model.eval().to(device=device), tokenizer, target, settings)

    def answer(self, rows: list[Row]) -> list[Row]:
        """The text that the model writes for each row."""
        name = self.settings["inputs"][0]
        texts = self.writer.write([row[name] for row in rows])
        return [{OUTPUT[name]: text} for text in texts]


class Writer:
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

    def write(self, texts: Sequence[str]) -> list[str]:
        """Write an output for each input."""
        if self.settings["long_inputs"] == "chunk":
            return [self._write_long(text) for text in texts]
        return self._write(texts, self._limit())

    def _write_long(self, text: str) -> str:
        """Write a part for each piece of a long input, and join the parts."""
        pieces = self.pieces(text)
        limit = max(self._limit() // len(pieces), LEAST_NEW_TOKENS)
        return self._glue.join(self._write(pieces, limit)).strip()

    def pieces(self, text: str) -> list[str]:
        """Cut an input into runs of whole sentences that each fit the model."""
        room = self.settings["max_length"] - self.tokenizer.num_special_tokens_to_add()
        room -= self._count(self.settings["prefix"])
        pieces: list[str] = []
        size = room
        for sentence in sentences(text) or [text]:
            count = self._count(sentence)
            if size + count > room:
                pieces.append(sentence)
                size = count
            else:
                pieces[-1] += self._glue + sentence
                size += count
        return pieces

    @property
    def _glue(self) -> str:
        return "" if self.settings["language"].startswith(UNSPACED) else " "

    def _count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _limit(self) -> int:
        return int(self.settings.get("max_new_tokens") or self.settings["max_target_length"])

    def _write(self, texts: Sequence[str], limit: int) -> list[str]:
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
        return GenerationConfig(
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
        if self.settings["language"].startswith(UNSPACED):
            text = re.sub(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])", "", text)
        return text


def prompt_ids(tokenizer: Any, texts: list[str], length: int) -> list[list[int]]:
    """What a causal model reads before it writes: the input, cut, and an end token."""
    found = tokenizer(texts, add_special_tokens=False, truncation=True, max_length=length - 1)
    return [[*ids, tokenizer.eos_token_id] for ids in found["input_ids"]]
