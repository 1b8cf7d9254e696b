"""Entities written as tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.applications.entities.tags import OUTSIDE, Scheme, TokenSpan


def tags_of(entities: Sequence[TokenSpan], length: int, scheme: Scheme = "bio") -> list[str]:
    """Write entities that do not overlap as tags of ``length`` tokens; ``auto`` writes BIO."""
    tags = [OUTSIDE] * length
    for entity in entities:
        prefixes = _prefixes(entity.end - entity.start, scheme)
        marked = [f"{prefix}-{entity.label}" for prefix in prefixes]
        tags[entity.start : entity.end] = marked
    if scheme == "iob1":
        # Only an entity right behind one of its own type begins with B.
        ends = {(entity.end, entity.label) for entity in entities}
        for start, _, label in entities:
            if (start, label) not in ends:
                tags[start] = f"I-{label}"
    return tags


def _prefixes(length: int, scheme: Scheme) -> Iterator[str]:
    if scheme == "bilou":
        yield from "U" if length == 1 else "B" + "I" * (length - 2) + "L"
    else:
        yield from "B" + "I" * (length - 1)
