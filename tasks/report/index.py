"""The index of a pipeline's runs, as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tasks.report import page

if TYPE_CHECKING:
    from jinja2 import Template


def render(pipeline: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """Draw the index of the runs of a pipeline.

    The entries are records of the runs, newest first, with ``created`` and ``decision``, and any of
    ``page``, ``verdict``, ``model``, ``headline``, ``value`` and ``interval``.
    """
    return _template().render(pipeline=pipeline, entries=entries)


@cache
def _template() -> Template:
    return page.template("report/index.html.j2", figure=page.figure)
