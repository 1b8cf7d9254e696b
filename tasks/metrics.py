"""What the names of metrics mean."""

import math

LOWER_IS_BETTER = ("loss", "error", "perplexity")


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of a metric is the better one."""
    return metric.endswith(LOWER_IS_BETTER)


def better(metric: str, value: float, best: float | None) -> bool:
    """Whether a value beats the best one so far; a NaN never does."""
    if best is None or math.isnan(value):
        return not math.isnan(value)
    return value < best if lower_is_better(metric) else value > best
