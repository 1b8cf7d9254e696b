"""The answers of a model to the test rows: predicted in chunks, kept, scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.applications.base import Application
from tasks.applications.scoring import Scorer
from tasks.arrow import MappedTable
from tasks.metrics import lower_is_better
from tasks.progress import Progress, announce
from tasks.store import digest

CHUNK: Final = 256
FILE: Final = "answers.parquet"
TIMED_ROWS: Final = 16
TIMED_SECONDS: Final = 2.0
MOST_ROWS: Final = 20_000
"""With more rows, the metric of each row alone is not computed."""
AT_ONCE: Final = 64
Mask = NDArray[np.bool_]
Predict = Callable[["pd.DataFrame"], "pd.DataFrame"]
Observe = Callable[["pd.DataFrame", "pd.DataFrame"], None]


def chunks(rows: MappedTable, kept: Mask | None = None) -> Iterator[pd.DataFrame]:
    """The rows as tables; with a mask those that are kept."""
    for start, table in rows.chunks(CHUNK):
        some = table if kept is None else table.filter(kept[start : start + table.num_rows])
        if some.num_rows:
            yield some.to_pandas()


def input_digests(rows: MappedTable, inputs: Sequence[str]) -> Iterator[str]:
    """A digest of the inputs of each row."""
    for _start, table in rows.chunks(CHUNK):
        columns = [table[name].to_pylist() for name in inputs]
        yield from (digest(list(texts))[:32] for texts in zip(*columns, strict=True))


def under_own_names(predict: Predict, settings: Mapping[str, Any]) -> Predict:
    """``predict`` of a model for tables whose columns have the application's names, not its own."""
    names: dict[str, str] = settings.get("columns", {})
    return lambda table: predict(table.rename(columns=names))


def ask(
    predict: Predict,
    rows: MappedTable,
    inputs: Sequence[str],
    observe: Observe | None = None,
    kept: Mask | None = None,
) -> pd.DataFrame:
    """The answers to all rows, or to those that are kept, in order.

    ``predict`` gets chunks of the ``inputs`` columns; ``observe`` sees each chunk of the rows with
    its answers.
    """
    parts, done, total = [], 0, len(rows) if kept is None else int(kept.sum())
    for table in chunks(rows, kept):
        parts.append(predict(table[list(inputs)]))
        if observe is not None:
            observe(table, parts[-1])
        done += len(table)
        announce(Progress("evaluating", {"done": done, "total": total}))
    return pd.concat(parts, ignore_index=True)


def score(
    scorer: Scorer,
    rows: MappedTable,
    answers: pd.DataFrame,
    application: Application,
    kept: Mask | None = None,
) -> Scorer:
    """Let a scorer see every row that is kept with its answer."""
    start = 0
    for table in chunks(rows, kept):
        some = answers.iloc[start : start + len(table)]
        scorer.update(targets(table), application.scoring.served(some))
        start += len(table)
    return scorer


def targets(table: pd.DataFrame) -> dict[str, Any]:
    """Columns as a scorer takes them."""
    return {name: table[name].to_numpy() for name in table.columns}


def save(answers: pd.DataFrame, folder: Path) -> None:
    """Write the answers to a separate folder, since they may contain text."""
    folder.mkdir()
    answers.to_parquet(folder / FILE, index=False)


def load(folder: Path) -> pd.DataFrame:
    """Read the answers that :func:`save` wrote."""
    return pd.read_parquet(folder / FILE)


def latency(predict: Predict, rows: MappedTable, inputs: Sequence[str]) -> float:
    """Median time to answer one row, in milliseconds, over a few rows."""
    table = rows.slice(0, TIMED_ROWS).to_pandas()[list(inputs)]
    seconds: list[float] = []
    for at in range(len(table)):
        began = time.perf_counter()
        predict(table.iloc[at : at + 1])
        seconds.append(time.perf_counter() - began)
        if sum(seconds) > TIMED_SECONDS:
            break
    return 1000 * median(seconds)


def answer_scores(scorer: Scorer, metric: str, rows: int) -> NDArray[np.float64]:
    """The score of each answer, of shape (rows,): higher is better; NaN if it is not computed.

    1 or 0 for right or wrong where the application knows that, else the metric of the row alone.
    """
    if (known := scorer.correctness()) is not None:
        return known
    if rows > MOST_ROWS:
        return np.full(rows, np.nan)
    sign = -1.0 if lower_is_better(metric) else 1.0
    parts = []
    for start in range(0, rows, AT_ONCE):
        alone = np.zeros((min(AT_ONCE, rows - start), rows), dtype=np.int64)
        alone[np.arange(len(alone)), start + np.arange(len(alone))] = 1
        parts.append(sign * scorer.resampled(metric, alone))
    return np.concatenate(parts)
