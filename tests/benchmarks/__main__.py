"""``python -m tests.benchmarks [NAME ...]``: print figures as tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import applications, contract, gate, pipelines, serving
from tests.benchmarks.figures import Figures, conditions, show
from tests.benchmarks.options import DATA, Options

NEED_DATA = (
    "overhead",
    "sst2",
    "ag_news",
    "trainer",
    "squad_v1",
    "tatoeba_en_zh",
    "bbc_news_summary",
    "alarms",
    "gate",
    "gate_errors",
)


def trainer(options: Options) -> Figures:
    """Training speed against Transformers' Trainer."""
    from tests.benchmarks.trainer import trainer as measure

    return measure(options)


BENCHMARKS: dict[str, Callable[[Options], Figures]] = {
    "reuse": pipelines.reuse,
    "overhead": pipelines.overhead,
    "forecast": pipelines.forecast,
    "serve": serving.serve,
    "trainer": trainer,
    "sst2": pipelines.sst2,
    "ag_news": pipelines.ag_news,
    "squad_v1": applications.squad_v1,
    "tatoeba_en_zh": applications.tatoeba_en_zh,
    "bbc_news_summary": applications.bbc_news_summary,
    "contract": contract.contract,
    "checks": contract.checks,
    "alarms": contract.alarms,
    "gate": gate.decisions,
    "gate_errors": gate.errors,
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    known = ", ".join(BENCHMARKS)
    parsed = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parsed.add_argument("names", nargs="*", metavar="NAME", help=f"{known}; all by default")
    parsed.add_argument("--data", type=Path, default=DATA, help="folder with the public data sets")
    parsed.add_argument("--markdown", action="store_true", help="print Markdown")
    parsed.add_argument("--quick", action="store_true", help="few rows, to see that it works")
    parsed.add_argument("--rows", type=int, default=1280, help="trainer: training rows; 0 is all")
    parsed.add_argument("--epochs", type=int, default=2, help="trainer: epochs")
    parsed.add_argument("--pairs", type=int, default=3, help="reuse, serve, trainer: repetitions")
    parsed.add_argument("--threads", type=int, help="threads of training; trainer: 1 by default")
    parsed.add_argument(
        "--attention", choices=("sdpa", "eager"), default="sdpa", help="trainer: the peer's kernel"
    )
    return parsed


def main() -> int:
    """Measure what is named."""
    given = vars(parser().parse_args())
    names, as_markdown = given.pop("names") or list(BENCHMARKS), given.pop("markdown")
    options = Options(**given)
    if problem := _problem(names, options):
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(conditions() + "\n", flush=True)
    for name in names:
        show(BENCHMARKS[name](options), as_markdown)
    return 0


def _problem(names: list[str], options: Options) -> str:
    if unknown := [name for name in names if name not in BENCHMARKS]:
        return f"expected {', '.join(BENCHMARKS)}; found {', '.join(unknown)}"
    needy = [name for name in names if name in NEED_DATA]
    if needy and not options.data.is_dir():
        return f"{', '.join(needy)}: no folder {options.data}; name the data sets' with --data"
    return ""


if __name__ == "__main__":
    sys.exit(main())
