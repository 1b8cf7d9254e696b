"""Rows of entities: a text, and the spans of it that are entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from configs.language import english
from configs.schema import Data
from tasks.applications.entities.annotations import Broken, canonical, is_valid, renamed
from tasks.applications.entities.config import EntityData
from tasks.applications.entities.learning import EntityFacts
from tasks.applications.rows import Column, RewrittenText, Rows
from tasks.applications.shared.classification import raw_labels

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def spans_type() -> pa.DataType:
    """The Arrow type of a list of entities."""
    import pyarrow as pa

    span = [("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())]
    return pa.list_(pa.struct(span))


COLUMNS = (Column("text", "text"), Column("entities", "target", stored=spans_type))


class EntityRows(Rows[EntityFacts]):
    """A text has one set of entities."""

    one_target_per_input = True

    def columns(self, data: Data) -> tuple[Column, ...]:
        return COLUMNS

    def normalize(self, frame: pd.DataFrame, data: Data, names: Sequence[str] | None) -> None:
        """Read spans, or tokens and their tags; tokens become a text with spaces between them."""
        import pandas as pd

        scheme = data.tag_scheme if isinstance(data, EntityData) else "auto"
        cells = list(zip(frame["text"], frame["entities"], strict=True))
        rows = [canonical(*pair, scheme, names) for pair in cells]
        texts = [text for text, _ in rows]
        if any(new is not old for new, (old, _) in zip(texts, cells, strict=True)):
            frame["text"] = pd.Series(texts, index=frame.index, dtype=object)
        known = raw_labels.translation(data, None)
        spans = [renamed(spans, known) for _, spans in rows]
        frame["entities"] = pd.Series(spans, index=frame.index, dtype=object)

    def realign(self, target: Any, rewritten: Mapping[str, RewrittenText]) -> Any:
        """Entities where they are in the rewritten text."""
        text = rewritten.get("text")
        if text is None or not is_valid(target):
            return target
        spans = [(*text.span(one["start"], one["end"]), one["label"]) for one in target]
        if any(start < 0 for start, _, _ in spans):
            reason = english("an entity was changed when damaged characters were mended")
            return Broken((("entity_span", reason),))
        return [{"start": start, "end": end, "label": label} for start, end, label in spans]

    def target_keys(self, frame: pd.DataFrame) -> pd.Series[Any] | None:
        return frame["entities"].map(lambda spans: tuple(sorted({one["label"] for one in spans})))

    def store(self, frame: pd.DataFrame, facts: EntityFacts) -> dict[str, Any]:
        """The texts, and the entities from left to right."""
        import pyarrow as pa

        spans = [sorted(found, key=lambda one: one["start"]) for found in frame["entities"]]
        return {"text": frame["text"], "entities": pa.array(spans, spans_type())}
