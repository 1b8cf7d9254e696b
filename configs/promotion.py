"""The ``gate`` section: what a model must reach to be served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.section import Section


class Slices(Section):
    """Parts of the test split on which a new model must not fall."""

    columns: tuple[str, ...] = ()
    """Columns of the files whose values make slices, such as a country or a product."""
    length: bool = True
    """Whether short, middle and long texts are slices."""
    language: bool = False
    """Whether the languages that are detected in the texts are slices."""
    max_drop: Annotated[float, Field(ge=0, le=1)] = 0.05
    """How much of the champion's primary metric a slice may lose, as a share of it."""
    min_rows: Annotated[int, Field(ge=1)] = 100
    """Smaller slices are shown, but do not decide."""


class Gate(Section):
    """What a model must reach to be promoted."""

    rule: Literal["better", "superior", "non_inferior"] = "better"
    """How a challenger's primary metric must compare with the champion's on the same rows.
    `better`: higher, and surely not lower by more than `margin`; `superior`: surely higher;
    `non_inferior`: surely not lower by more than `margin`, for models that are to follow the data.
    In each case a model that scores every row just as the champion does is not promoted."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Lowest acceptable value of a metric, for example `accuracy: 0.85`; of a metric that is
    better when lower, the highest."""
    min_gain: Annotated[float, Field(ge=0)] = 0.0
    """How much better than the champion's primary metric a challenger must be, in units of the
    metric; with `superior` the lower bound of the gain must be."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    """The loss that counts as none, as a share of the champion's primary metric."""
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Coverage of the interval behind `surely`."""
    slices: Slices = Slices()
    """Parts of the test split on which a new model must not fall."""
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Longest acceptable median time to answer one row, in milliseconds, on the machine that
    evaluates."""
    max_megabytes: Annotated[float, Field(gt=0)] | None = None
    """Largest acceptable model on disk, in megabytes."""
    approval: Literal["automatic", "manual"] = "automatic"
    """Whether a challenger that passes is promoted at once, or waits for `onestep promote`."""
