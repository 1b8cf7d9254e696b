"""What most applications have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tasks.applications.base import Column, Facts, Reasons, Rewritten

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from configs.schema import Data, Pipeline
    from tasks.applications.shared.census import Census
    from tasks.applications.shared.codec import Codec


class Defaults:
    """An application without settings, labels or checks of its own."""

    uses: frozenset[str] = frozenset()

    def columns(self, data: Data) -> tuple[Column, ...]:
        """The columns that rows have."""
        raise NotImplementedError

    def identity(self, rule: Literal["duplicates", "leakage"], data: Data) -> tuple[str, ...]:
        """Rows with the same texts are the same row."""
        return tuple(column.name for column in self.columns(data) if column.kind == "text")

    def texts(self, config: Pipeline) -> dict[str, str]:
        """The inputs, in the source language."""
        columns = self.columns(config.data)
        return {column.name: config.language.source for column in columns if column.kind == "text"}

    def compared(self, data: Data) -> tuple[str, ...]:
        """All of them."""
        return self.identity("leakage", data)

    def conflicts(self, data: Data) -> bool:
        """One input may have several targets."""
        return False

    def check(self, config: Pipeline) -> Iterator[tuple[str, str]]:
        """Every setting makes sense."""
        yield from ()

    def settings(self, config: Pipeline) -> Facts:
        """Nothing more than the sections of the stages."""
        return {}

    def decoding(self, config: Pipeline) -> Facts:
        """Predictions need no settings."""
        return {}

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Values are in canonical form as they are."""

    def findings(self, frame: pd.DataFrame, config: Pipeline) -> Reasons:
        """The cells of a row do not depend on each other."""
        return {}

    def moved(self, target: Any, rewritten: Mapping[str, Rewritten]) -> Any:
        """Targets do not point into texts."""
        return target

    def brief(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        """Targets do not decide about the table."""
        return None

    def learn(self, census: Census, data: Data) -> Facts:
        """The text columns that the rows have."""
        texts = (column.name for column in self.columns(data) if column.kind == "text")
        return {"inputs": [name for name in texts if name in census.inputs]}

    def tally(self, census: Census, facts: Facts) -> Facts:
        """Nothing to count."""
        return {}

    def problems(self, census: Census, facts: Facts, minimum: int) -> list[str]:
        """The splits as a whole are fine."""
        return []

    def misfits(self, config: Pipeline, facts: Facts) -> Iterator[tuple[str, str]]:
        """Every setting goes with the rows."""
        yield from ()

    def lengths(self, rows: Mapping[str, list[Any]], codec: Codec) -> tuple[list[int], list[int]]:
        """Tokens of all texts of a row together, as one input."""
        texts = [name for name in ("context", "question", "text", "text_pair") if rows.get(name)]
        special = codec.tokenizer.num_special_tokens_to_add(pair=len(texts) > 1)
        columns = [
            token_counts(
                codec.tokenizer, [codec.prefix * (not index) + text for text in rows[name]]
            )
            for index, name in enumerate(texts)
        ]
        return [special + sum(row) for row in zip(*columns, strict=True)], []

    def kinds(self, predictions: pd.DataFrame) -> list[str] | None:
        """Answers are text."""
        return None

    def translated(
        self, predictions: pd.DataFrame, theirs: Facts, ours: Facts
    ) -> tuple[pd.DataFrame, Facts]:
        """Answers mean the same, whoever gives them."""
        return predictions, ours

    def begin(self, model: torch.nn.Module, facts: Facts) -> None:
        """Fresh weights stay random."""

    def model_arguments(self, facts: Facts) -> dict[str, Any]:
        """The model's configuration stays as it is."""
        return {}


def token_counts(tokenizer: Any, texts: list[str]) -> list[int]:
    """Tokens of each text, special ones not counted."""
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
    return [len(ids) for ids in encoded["input_ids"]]


class ScorerDefaults:
    """A scorer that draws nothing and teaches nothing."""

    def matrix(self) -> Facts:
        """No confusion matrix."""
        return {}

    def figures(self) -> dict[str, Any]:
        """No plots."""
        return {}

    def learned(self) -> Facts:
        """No settings."""
        return {}

    def concerned(self, metric: str) -> NDArray[np.bool_] | None:
        """Metrics are about all rows."""
        return None

    def merits(self) -> NDArray[np.float64] | None:
        """Answers are more or less good."""
        return None

    def signatures(self) -> dict[str, str]:
        """No library to quote."""
        return {}
