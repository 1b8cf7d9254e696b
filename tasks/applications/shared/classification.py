"""Single-label text classification, for any encoder with a sequence-classification head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Batch, Column, Encoded, Facts, Head, Predictions
from tasks.applications.shared import labels as label_names

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import DataFrameSchema
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from configs.schema import Data, Loss
    from tasks.applications.shared.classification_scores import ClassificationScorer


@dataclass(frozen=True)
class Classification:
    """The application interface for one text in, one of several labels out."""

    name: str
    version: int
    headline: str
    head: Head = "sequence-classification"
    columns: tuple[Column, ...] = (Column("text", "text"), Column("label", "target"))
    metrics: tuple[str, ...] = (
        "accuracy",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "log_loss",
        "calibration_error",
    )
    serving: Path = Path(__file__).parent.parent / "serving" / "classification.py"

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Replace raw labels by their names; an undeclared label stays as it is."""
        import pandas as pd

        known = label_names.translation(data, names)
        raw = (label_names.canonical(value) for value in frame["label"])
        named = [label and known.get(label, label) for label in raw]
        # An object column, since others have NaN for None.
        frame["label"] = pd.Series(named, index=frame.index, dtype=object)

    def contract(self, data: Data) -> DataFrameSchema:
        """Text that is there, and a label that is declared."""
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import label_column, text_column

        declared = data.labels.values() if isinstance(data.labels, dict) else data.labels
        return DataFrameSchema({"text": text_column(), "label": label_column(declared)})

    def learn(self, frame: pd.DataFrame, data: Data) -> Facts:
        """Freeze the labels."""
        return {"labels": label_names.vocabulary(frame["label"], data)}

    def problems(self, splits: Mapping[str, pd.DataFrame], facts: Facts, minimum: int) -> list[str]:
        """Labels that training never shows, and classes with too few rows."""
        train = splits["train"]["label"].value_counts()
        found = [
            f"label {label_names.shown(label)}: expected at least {minimum} training rows, "
            f"found {int(train.get(label, 0))}"
            for label in facts["labels"]
            if train.get(label, 0) < minimum
        ]
        for split in ("validation", "test"):
            frame = splits[split]
            for label, rows in frame.groupby("label", sort=True):
                if label not in facts["labels"]:
                    first = f"{rows['file'].iloc[0]} row {rows['row'].iloc[0]}"
                    where = f"{len(rows)} {split} rows, first at {first}"
                    name = label_names.shown(str(label))
                    found.append(f"label {name} never occurs in training ({where})")
        return found

    def strata(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        """Splits keep the share of each label."""
        return frame["label"]

    def finish(self, frame: pd.DataFrame, facts: Facts) -> dict[str, Any]:
        """Text, and labels as positions in the vocabulary."""
        position = {label: index for index, label in enumerate(facts["labels"])}
        return {"text": frame["text"].to_list(), "label": frame["label"].map(position).to_list()}

    def encode(
        self, rows: Mapping[str, list[Any]], tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Encoded:
        """Tokenize and cut on the right; count what was cut."""
        tokens = tokenizer(
            rows["text"], truncation=True, max_length=max_length, return_attention_mask=False
        )
        truncated = sum(bool(encoding.overflowing) for encoding in tokens.encodings)
        return Encoded({"input_ids": tokens["input_ids"], "labels": rows["label"]}, truncated)

    def load_model(self, base: Path, facts: Facts, options: Mapping[str, Any]) -> PreTrainedModel:
        """Load the encoder and put a fresh classification head on it."""
        import torch
        from transformers import AutoModelForSequenceClassification

        labels = facts["labels"]
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            base,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            problem_type="single_label_classification",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            **options,
        )
        return model

    def objective(self, facts: Facts, loss: Loss) -> CrossEntropy:
        """Cross-entropy with label smoothing and class weights."""
        classes = len(facts["labels"])
        return CrossEntropy(classes, _class_weights(facts, loss), loss.label_smoothing)

    def collate(self, table: pa.Table, pad_id: int) -> Batch:
        """Pad the token ids; labels of shape (rows,)."""
        import torch

        from tasks.applications.shared.padding import pad

        input_ids, attention_mask = pad(table["input_ids"], pad_id)
        targets = torch.from_numpy(table["labels"].to_numpy().astype("int64"))
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": targets}

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits of shape (rows, classes)."""
        logits: torch.Tensor = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits
        return logits

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch
    ) -> tuple[Mapping[str, Any], Predictions]:
        """Class probabilities of a batch."""
        probabilities = outputs.float().softmax(-1).cpu().numpy()
        return {"label": batch["labels"].cpu().numpy()}, {"probabilities": probabilities}

    def scorer(self, facts: Facts) -> ClassificationScorer:
        """Metrics over single-label predictions."""
        from tasks.applications.shared.classification_scores import ClassificationScorer

        return ClassificationScorer(facts["labels"])

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """The probabilities that the registered model answers with."""
        import numpy as np

        return {"probabilities": np.asarray(predictions["probabilities"].to_list())}


def _class_weights(facts: Facts, loss: Loss) -> list[float] | None:
    labels, counts = facts["labels"], facts["counts"]
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        total = sum(counts.values())
        return [total / (len(labels) * counts[label]) for label in labels]
    return [loss.class_weights.get(label, 1.0) for label in labels]


class CrossEntropy:
    """Cross-entropy over classes (``torch.nn.functional.cross_entropy``), summed."""

    def __init__(
        self, classes: int, class_weights: list[float] | None, label_smoothing: float
    ) -> None:
        import torch

        self.expected_initial = math.log(classes)
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)
        self.label_smoothing = label_smoothing

    def weight(self, batch: Batch) -> torch.Tensor:
        """Sum of the weights of the targets; the number of rows without class weights."""
        import torch

        targets = batch["labels"]
        if self.class_weights is None:
            return torch.tensor(float(len(targets)), device=targets.device)
        return self.class_weights.to(targets.device)[targets].sum()

    def total(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weighted sum of the losses of the rows."""
        import torch

        weights = None if self.class_weights is None else self.class_weights.to(outputs.device)
        return torch.nn.functional.cross_entropy(
            outputs.float(),
            batch["labels"],
            weight=weights,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
