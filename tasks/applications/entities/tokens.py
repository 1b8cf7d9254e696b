"""Windows over texts as tokens with tags, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from configs.language import english
from tasks.applications.base import Batch, Codec, EncodedRows, Tokens
from tasks.applications.entities.learning import EntityFacts
from tasks.applications.shared.losses import IGNORED

if TYPE_CHECKING:
    import pyarrow as pa

PLACES: Final = ("begin", "stop", "row")


class EntityTokens(Tokens[EntityFacts]):
    """A tag for each token: O, or B and I of a type."""

    def encode(
        self, rows: Mapping[str, list[Any]], codec: Codec, facts: EntityFacts
    ) -> EncodedRows:
        from tasks.applications.entities.serving import cut_windows

        windows = cut_windows(codec.tokenizer, rows["text"], codec.max_length, facts.stride)
        tags, whole = [], set()
        for row, starts, ends in zip(windows.rows, windows.starts, windows.ends, strict=True):
            spans = rows["entities"][row]
            tags.append(token_tags(starts, ends, spans, facts.labels))
            edges = set(starts), set(ends)
            whole |= {
                (row, span["start"])
                for span in spans
                if span["start"] in edges[0] and span["end"] in edges[1]
            }
        columns: dict[str, Sequence[Any]] = {
            "input_ids": windows.input_ids,
            "offset_start": windows.starts,
            "offset_end": windows.ends,
            "begin": windows.begins,
            "stop": windows.stops,
            "labels": tags,
        }
        split = sum(map(len, rows["entities"])) - len(whole)
        counts = {"windows": len(windows.rows), english("entities between tokens"): split}
        return EncodedRows(columns, 0, windows.rows, counts)

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        from tasks.applications.shared.padding import pad, pad_windows

        labels, _ = pad(table["labels"], IGNORED)
        return pad_windows(table, codec, PLACES) | {"labels": labels}


def token_tags(
    starts: Sequence[int],
    ends: Sequence[int],
    spans: Sequence[Mapping[str, Any]],
    types: Sequence[str],
) -> list[int]:
    """The tag of each token: B on the first one that an entity covers, I on the others.

    Args:
        starts: first characters of the tokens, rising; negative outside of the text.
        ends: characters after them.
        spans: entities from left to right that do not overlap.
        types: their types; type ``n`` has the tags ``2 n + 1`` (B) and ``2 n + 2`` (I).
    """
    tags, at, begun = [], 0, False
    for start, end in zip(starts, ends, strict=True):
        if start < 0:
            tags.append(IGNORED)
            continue
        while at < len(spans) and spans[at]["end"] <= start:
            at, begun = at + 1, False
        if at == len(spans) or end <= spans[at]["start"]:
            tags.append(0)
            continue
        # A window may begin inside of an entity.
        inside = begun or spans[at]["start"] < start
        tags.append(1 + 2 * types.index(spans[at]["label"]) + inside)
        begun = True
    return tags
