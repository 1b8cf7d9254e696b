"""Suggestions for names that are nearly right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from configs.language import _, english


def nearest(value: str, names: Iterable[str]) -> str | None:
    """The most similar name; None if none is similar."""
    near = difflib.get_close_matches(value, list(names), 1)
    return near[0] if near else None


def did_you_mean(value: str, names: Iterable[str]) -> str:
    """The most similar name as advice; empty if none is similar."""
    near = nearest(value, names)
    return _("did you mean `{near}`?", near=near) if near else ""


def other_file(path: Path, others: Iterable[Path]) -> str:
    """The file with the most similar name as advice; empty if none is similar."""
    by_stem = {other.stem: other for other in others}
    near = nearest(path.stem, by_stem)
    return english("did you mean {others}?", others=by_stem[near]) if near else ""
