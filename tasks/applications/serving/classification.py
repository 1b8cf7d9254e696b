"""Decode classification models: part of every registered classifier, free of this project.

:mod:`tasks.predictor` loads this file from the model's own folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

INPUTS = {"text": "string"}
OUTPUTS = {"label": "string", "score": "double", "probabilities": "array"}
EXAMPLE = {"text": "The parcel came a day early and everything was in it."}


def load(folder: Path, **options: Any) -> torch.nn.Module:
    """Load the fine-tuned model from a local folder with safetensors weights."""
    model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, **options
    )
    return model


def encode(tokenizer: Any, rows: list[dict[str, Any]], max_length: int) -> Any:
    """Tokenize a batch; tensors of shape (rows, longest)."""
    texts = [row["text"] for row in rows]
    return tokenizer(
        texts, truncation=True, max_length=max_length, padding=True, return_tensors="pt"
    )


def decode(model: torch.nn.Module, inputs: Any, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Label, its probability, and the probability of every label in their frozen order."""
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    probabilities = logits.float().softmax(-1).cpu()
    labels = settings["labels"]
    return [
        {
            "label": labels[int(row.argmax())],
            "score": float(row.max()),
            "probabilities": row.tolist(),
        }
        for row in probabilities
    ]
