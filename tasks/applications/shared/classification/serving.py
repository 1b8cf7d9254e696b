"""Run classification models: part of every registered classifier; it imports nothing of onestep.

:mod:`tasks.predictor` loads this file from the model's own folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

Row = dict[str, Any]
MOST_PADDING = 64
"""Tokens that a CPU computes in the time that another pass through a small model takes."""
OUTPUTS: dict[str, Row] = {
    "single": {"label": "string", "score": "double", "probabilities": "array"},
    "multiple": {"labels": "strings", "probabilities": "array"},
    "ordinal": {"label": "string", "score": "double"},
}
EXAMPLE = {
    "text": "The parcel came a day early and everything was in it.",
    "text_pair": "The delivery was late.",
}


def describe(settings: Row) -> tuple[Row, Row, Row]:
    """Input columns, output columns, and an example of an input, for the signature."""
    inputs = dict.fromkeys(settings["inputs"], "string")
    return inputs, OUTPUTS[settings["labelling"]], {name: EXAMPLE[name] for name in inputs}


class Model:
    """A fine-tuned classifier."""

    def __init__(self, folder: Path, settings: Row, device: torch.device, **options: Any) -> None:
        self.settings = settings
        self.device = device
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, **options
        )
        self.model = model.to(device).eval()

    def answer(self, rows: list[Row]) -> list[Row]:
        """Labels and their scores.

        A single label has its probability as ``score``, several have those that reach the tuned
        threshold, and both have the probability of every label in their frozen order. A label of
        a scale has the rating as ``score``: on the scale's own numbers, if its labels are rising
        numbers, else in steps from 0.
        """
        parts = self._parts(self._tokenize(rows))
        logits = torch.cat([self.model(**part).logits.float().cpu() for part in parts])
        output = {"single": self._single, "multiple": self._multiple, "ordinal": self._ordinal}
        return [output[self.settings["labelling"]](row) for row in logits]

    def _tokenize(self, rows: list[Row]) -> Any:
        paired = "text_pair" in self.settings["inputs"]
        return self.tokenizer(
            [self.settings["prefix"] + row["text"] for row in rows],
            [row["text_pair"] for row in rows] if paired else None,
            truncation=True,
            max_length=self.settings["max_length"],
            padding=True,
            return_token_type_ids=bool(paired and self.settings["token_types"]),
            return_attention_mask=True,
            return_tensors="pt",
        )

    def _parts(self, inputs: Any) -> Iterator[dict[str, torch.Tensor]]:
        """The rows in turn: on a CPU, those of other lengths are not padded to one length."""
        lengths = inputs["attention_mask"].sum(1).tolist()
        most = MOST_PADDING if self.device.type == "cpu" else math.inf
        start = 0
        for end in range(1, len(lengths) + 1):
            own = lengths[start : end + 1]
            if end == len(lengths) or max(own) * len(own) - sum(own) > most:
                longest = max(1, *lengths[start:end])
                columns = slice(-longest, None) if self._pads_left else slice(longest)
                yield {
                    name: value[start:end, columns].to(self.device)
                    for name, value in inputs.items()
                }
                start = end

    @property
    def _pads_left(self) -> bool:
        return bool(self.tokenizer.padding_side == "left")

    def _single(self, logits: torch.Tensor) -> Row:
        labels, probabilities = self.settings["labels"], logits.softmax(-1)
        return {
            "label": labels[int(probabilities.argmax())],
            "score": float(probabilities.max()),
            "probabilities": probabilities.tolist(),
        }

    def _multiple(self, logits: torch.Tensor) -> Row:
        named = list(zip(self.settings["labels"], logits.sigmoid().tolist(), strict=True))
        return {
            "labels": [label for label, value in named if value >= self.settings["threshold"]],
            "probabilities": [value for _, value in named],
        }

    def _ordinal(self, logits: torch.Tensor) -> Row:
        labels, scale = self.settings["labels"], self.settings["scale"]
        position = min(max(float(logits[0]), 0.0), len(labels) - 1.0)
        return {
            "label": labels[round(position)],
            "score": float(np.interp(position, range(len(scale)), scale)),
        }
