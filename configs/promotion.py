"""The ``gate`` section: what a model must reach to be promoted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.values import Section


class Slices(Section):
    """Slices of the test split on which a challenger must not get worse."""

    columns: tuple[str, ...] = ()
    """Columns of the files whose values define slices, such as a country or a product."""
    length: bool = True
    """Whether short, medium and long texts are slices."""
    language: bool = False
    """Whether the detected languages of the texts are slices."""
    max_drop: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Largest drop of the primary metric on a slice, as a share of the champion's."""
    min_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 100
    """Slices with fewer rows are reported, but do not decide."""


class Gate(Section):
    """What a model must reach to be promoted."""

    rule: Literal["better", "superior", "non_inferior"] = "better"
    """How a challenger's primary metric must compare with the champion's on the same rows.
    `better`: higher, and the lower bound of the interval loses no more than `margin`; `superior`:
    the lower bound is higher; `non_inferior`: the lower bound loses no more than `margin`, for
    models that follow the data. A model that is right on the same rows as the champion is never
    promoted."""
    beat_baseline: bool = True
    """Whether the primary metric must beat the trivial method's on the same rows: with
    `confidence_level` for a version without a champion before it; no other version may be below."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Lowest acceptable value per metric, for example `accuracy: 0.85`; the highest for metrics
    where lower is better."""
    min_gain: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """How much better than the champion's primary metric a challenger must be, in units of the
    metric; with `superior` the lower bound of the gain must be."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Largest tolerated loss, as a share of the champion's primary metric."""
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence level of the interval of the gain."""
    min_unseen_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 100
    """Test rows that the champion has trained on are left out of the comparison. At least so many
    others must be left, or half of the test rows if that is less."""
    slices: Slices = Slices()
    """Slices of the test split on which a challenger must not get worse."""
    max_latency_ms: Annotated[float, Field(gt=0, le=1_000_000_000)] | None = None
    """Longest acceptable median time to predict one row, in milliseconds, on the machine that
    evaluates."""
    max_megabytes: Annotated[float, Field(gt=0, le=1_000_000_000)] | None = None
    """Largest acceptable model on disk, in megabytes."""
    approval: Literal["automatic", "manual"] = "automatic"
    """Whether a challenger that passes is promoted at once, or waits for `onestep promote`."""
