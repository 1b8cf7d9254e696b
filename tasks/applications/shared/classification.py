"""Text classification, for any model with a sequence-classification head.

What depends on how rows are labelled is in :mod:`tasks.applications.shared.labelling`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.applications.base import (
    Batch,
    Column,
    Encoded,
    Facts,
    Head,
    Objective,
    Predictions,
    Scorer,
    View,
)
from tasks.applications.shared import labelling
from tasks.applications.shared import labels as label_names
from tasks.applications.shared.defaults import Defaults

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from pandera.pandas import DataFrameSchema

    from configs.schema import Data, Loss, Pipeline
    from tasks.applications.shared.census import Census
    from tasks.applications.shared.codec import Codec

PAIR = "text_pair"


@dataclass(frozen=True)
class Classification(Defaults):
    """The application interface for one text, or a pair of texts, in and labels out.

    Attributes:
        name: as in YAML.
        version: raised when a change makes earlier stage outputs wrong.
        preferred: the headline metric where rows have one label each.
    """

    name: str
    version: int
    preferred: str
    heads: tuple[Head, ...] = ("sequence-classification",)
    serving: Path = Path(__file__).parent.parent / "serving" / "classification.py"

    def headline(self, data: Data) -> str:
        """The metric that counts."""
        return labelling.get(data.labelling).headline or self.preferred

    def metrics(self, data: Data) -> tuple[str, ...]:
        """Every metric."""
        return labelling.get(data.labelling).metrics

    def columns(self, data: Data) -> tuple[Column, ...]:
        """One text or two, and the labels."""
        kind = labelling.get(data.labelling)
        target = Column(kind.target, "target", stored=kind.stored)
        return (Column("text", "text"), Column(PAIR, "text", optional=True), target)

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """Losses that the labelling does not have, and a separator that nothing is split at."""
        usual = type(config.data).model_fields["separator"].default
        if config.data.labelling != "multiple" and config.data.separator != usual:
            yield (
                "data.separator",
                "expected none, since only `labelling: multiple` has a use for it",
            )
        yield from labelling.get(config.data.labelling).check(config)

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Replace raw labels by their names; an undeclared label stays as it is."""
        import pandas as pd

        kind = labelling.get(data.labelling)
        named = kind.normalize(frame[kind.target], data, names)
        # An object column, since others have NaN for None.
        frame[kind.target] = pd.Series(named, index=frame.index, dtype=object)

    def contract(self, config: Pipeline) -> DataFrameSchema:
        """Text that is there, and labels that are declared."""
        from pandera.pandas import DataFrameSchema

        from tasks.applications.shared.checks import text_column

        kind = labelling.get(config.data.labelling)
        target = kind.contract(label_names.declared(config.data))
        pair = text_column(required=False)
        return DataFrameSchema({"text": text_column(), PAIR: pair, kind.target: target})

    def conflicts(self, data: Data) -> bool:
        """A text is of one kind."""
        return True

    def brief(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        """The labels."""
        target = "labels" if "labels" in frame else "label"
        return frame[target].map(tuple) if target == "labels" else frame[target]

    def learn(self, census: Census, data: Data) -> Facts:
        """Freeze the labels, and whether rows are pairs."""
        kind = labelling.get(data.labelling)
        facts = super().learn(census, data) | {"labelling": data.labelling}
        return facts | kind.learn(census.labels("train"), data)

    def tally(self, census: Census, facts: Facts) -> Facts:
        """How many rows have each label, and how many rows there are."""
        counts = census.labels("train")
        return {
            "counts": {label: counts[label] for label in facts["labels"]},
            "rows": census.rows("train"),
        }

    def problems(self, census: Census, facts: Facts, minimum: int) -> list[str]:
        """Labels that training never shows, and classes with too few rows."""
        train = census.labels("train")
        found = [
            f"label {label_names.shown(label)}: expected at least {minimum} training rows, "
            f"found {train[label]}"
            for label in facts["labels"]
            if train[label] < minimum
        ]
        for split in ("validation", "test"):
            for label, rows in sorted(census.labels(split).items()):
                if label not in facts["labels"]:
                    where = f"{rows} {split} rows, first at {census.place(split, label)}"
                    name = label_names.shown(str(label))
                    found.append(f"label {name} never occurs in training ({where})")
        return found

    def misfits(self, config: Pipeline, facts: Facts) -> Iterator[tuple[str, str]]:
        """Class weights are of labels that there are."""
        weights = config.training.loss.class_weights
        unknown = sorted(set(weights) - set(facts["labels"])) if isinstance(weights, dict) else []
        if unknown:
            known = ", ".join(map(label_names.shown, facts["labels"][:20]))
            reason = f"expected labels of the data ({known}), found {', '.join(unknown)}"
            yield "training.loss.class_weights", reason

    def finish(self, frame: pd.DataFrame, facts: Facts) -> dict[str, Any]:
        """Texts, and labels as positions in the vocabulary."""
        kind = labelling.get(facts["labelling"])
        texts = {name: frame[name].to_list() for name in facts["inputs"]}
        return texts | {kind.target: kind.finish(frame[kind.target], facts["labels"])}

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        """The texts; a pair counts as one text, which it is to the model."""
        if PAIR not in rows:
            return rows["text"], []
        return [f"{a} {b}" for a, b in zip(rows["text"], rows[PAIR], strict=True)], []

    def encode(self, rows: Mapping[str, list[Any]], codec: Codec, facts: Facts) -> Encoded:
        """Tokenize and cut on the right, of a pair the longer text; count what was cut."""
        texts = [codec.prefix + text for text in rows["text"]] if codec.prefix else rows["text"]
        pairs = rows[PAIR] if PAIR in facts["inputs"] else None
        tokens = codec.tokenizer(
            texts,
            pairs,
            truncation=True,
            max_length=codec.max_length,
            return_attention_mask=False,
            **plain_text(codec.tokenizer),
        )
        truncated = sum(bool(encoding.overflowing) for encoding in tokens.encodings)
        columns = {"input_ids": tokens["input_ids"]}
        if pairs is not None and codec.token_types:
            columns["token_type_ids"] = [encoding.type_ids for encoding in tokens.encodings]
        labels = rows[labelling.get(facts["labelling"]).target]
        return Encoded(columns | {"labels": labels}, truncated)

    def model_arguments(self, facts: Facts) -> dict[str, Any]:
        """A fresh classification head with the frozen labels."""
        labels, kind = facts["labels"], labelling.get(facts["labelling"])
        outputs = kind.outputs(labels)
        names = {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: index for index, label in enumerate(labels)},
        }
        arguments = {"num_labels": outputs, "problem_type": kind.problem_type}
        return arguments | (names if outputs == len(labels) else {})

    def begin(self, model: torch.nn.Module, facts: Facts) -> None:
        """Set the bias of the head, where the labelling knows what to start from."""
        import torch

        bias = labelling.get(facts["labelling"]).first_bias(facts)
        if bias is None:
            return
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and parameter.shape == (1,):
                with torch.no_grad():
                    parameter.fill_(bias)

    def objective(self, facts: Facts, loss: Loss) -> Objective:
        """The loss of the labelling."""
        return labelling.get(facts["labelling"]).objective(facts, loss)

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad the token ids; labels of shape (rows,), or (rows, labels) where there are several."""
        import pyarrow as pa
        import torch

        from tasks.applications.shared.padding import pad

        input_ids, attention_mask = pad(table["input_ids"], codec.pad_id)
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "token_type_ids" in table.column_names:
            batch["token_type_ids"], _ = pad(table["token_type_ids"], 0)
        if pa.types.is_list(table["labels"].type):
            batch["labels"], _ = pad(table["labels"], 0)
        else:
            batch["labels"] = torch.from_numpy(table["labels"].to_numpy().astype("int64"))
        return batch

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits of shape (rows, outputs)."""
        names = ("input_ids", "attention_mask", "token_type_ids")
        logits: torch.Tensor = model(
            **{name: batch[name] for name in names if name in batch}
        ).logits
        return logits

    def infer(
        self, model: torch.nn.Module, outputs: torch.Tensor, batch: Batch, view: View
    ) -> tuple[Mapping[str, Any], Predictions]:
        """What the logits of a batch say."""
        kind = labelling.get(view.facts["labelling"])
        targets = {kind.target: batch["labels"].cpu().numpy()}
        return targets, kind.predictions(outputs.float(), view.facts)

    def scorer(self, facts: Facts) -> Scorer:
        """The metrics of the labelling."""
        return labelling.get(facts["labelling"]).scorer(facts)

    def served(self, predictions: pd.DataFrame) -> Predictions:
        """The probabilities that the registered model answers with; on a scale, the scores."""
        import numpy as np

        name = "probabilities" if "probabilities" in predictions else "score"
        return {name: np.asarray(predictions[name].to_list())}

    def translated(
        self, predictions: pd.DataFrame, theirs: Facts, ours: Facts
    ) -> tuple[pd.DataFrame, Facts]:
        """The same labels in this model's order, and the other's threshold."""
        if sorted(theirs["labels"]) != sorted(ours["labels"]):
            raise ValueError(_other_labels(theirs["labels"], ours["labels"]))
        if "scale" in ours and theirs["labels"] != ours["labels"]:
            raise ValueError("another order of its labels")
        facts = ours | {name: theirs[name] for name in ("threshold",) if name in theirs}
        if "probabilities" not in predictions:
            return predictions, facts
        order = [theirs["labels"].index(label) for label in ours["labels"]]
        moved = predictions.copy()
        moved["probabilities"] = [[r[at] for at in order] for r in predictions["probabilities"]]
        return moved, facts

    def kinds(self, predictions: pd.DataFrame) -> list[str] | None:
        """The labels; a row with several counts for each."""
        name = "labels" if "labels" in predictions else "label"
        return [str(label) for label in predictions[name].explode().dropna()]

    def baseline_name(self, data: Data) -> str:
        """The constant answer of the labelling."""
        return labelling.get(data.labelling).baseline_name

    def baseline(self, frame: pd.DataFrame, facts: Facts) -> Predictions:
        """The same answer to every row."""
        return labelling.get(facts["labelling"]).baseline(len(frame), facts)


def _other_labels(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """How two sets of labels differ."""
    parts = {
        "lacks": sorted(set(ours) - set(theirs)),
        "has besides": sorted(set(theirs) - set(ours)),
    }
    named = [f"{verb} {', '.join(labels[:5])}" for verb, labels in parts.items() if labels]
    return f"other labels: it {' and '.join(named)}"


def plain_text(tokenizer: Any) -> dict[str, bool]:
    """Keep text from spelling the token that marks the end of an input, where that is its use.

    Models without a separator, such as T5 and GPT-2, classify at that token or pad with it.
    """
    return {} if tokenizer.sep_token else {"split_special_tokens": True}
