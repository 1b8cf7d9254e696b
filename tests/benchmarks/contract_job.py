"""``python -m tests.benchmarks.contract_job WHO CSV HOME THREADS``: one measurement, as JSON."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

from tests.benchmarks.contract import LABELS


def ours(path: Path, home: Path, threads: int) -> dict[str, float]:
    """The validation stage, and the part of it that the peer does too."""
    from configs.schema import Pipeline
    from tasks.contract.passes import first_pass
    from tasks.contract.sources import splits
    from tasks.validation import validate
    from tasks.workspace import Workspace

    record = {
        "name": "speed",
        "application": "topics",
        "data": {"train": path.name, "labels": list(LABELS)},
        "compute": {"threads": threads},
    }
    config = Pipeline.model_validate(record).below(path.parent)
    sources = splits.locate(config.data)
    spans: list[float] = []
    check_rows = first_pass.check_rows

    def timed(*arguments: object) -> object:
        began = time.perf_counter()
        found = check_rows(*arguments)  # type: ignore[arg-type]
        spans.append(time.perf_counter() - began)
        return found

    first_pass.check_rows = timed  # type: ignore[assignment]
    began = time.perf_counter()
    validate(config, Workspace.open(home), sources)
    return {"checks": spans[0], "stage": time.perf_counter() - began}


def theirs(path: Path, home: Path, threads: int) -> dict[str, float]:
    """The same checks as one would write them with pandas and pandera."""
    import pandas as pd
    from ftfy import fix_encoding
    from pandera.errors import SchemaErrors
    from pandera.pandas import Check, Column, DataFrameSchema

    from tasks.contract.rules import characters, privacy_patterns
    from tasks.contract.rules.privacy import KINDS, Recognizer

    recognizer = Recognizer(KINDS)
    hint = re.compile("|".join(privacy_patterns.hints(KINDS, ()).values()))

    def lacks(pattern: str) -> Check:
        return Check(lambda texts: ~texts.str.contains(pattern, regex=True), name=pattern[:20])

    def sound(text: str) -> bool:
        return text.isascii() or fix_encoding(text) == text

    def public(text: str) -> bool:
        return not (hint.search(text) and recognizer.find(text))

    text = Column(
        str,
        [
            Check(lambda texts: texts.str.strip() != "", name="missing"),
            Check(lambda texts: texts.str.len().between(1, 1_000_000), name="length"),
            Check(lambda texts: texts.map(sound), name="mojibake"),
            lacks(characters.REPLACEMENT),
            lacks(characters.CONTROL),
            lacks(characters.HTML),
            Check(lambda texts: texts.map(public), name="privacy"),
        ],
        nullable=False,
    )
    began = time.perf_counter()
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    try:
        DataFrameSchema({"text": text, "label": Column(str, Check.isin(LABELS))}).validate(
            frame, lazy=True
        )
    except SchemaErrors as error:
        frame = frame.drop(index=error.failure_cases["index"].dropna().unique())
    frame = frame[~frame["text"].str.strip().duplicated()]
    return {"checks": time.perf_counter() - began, "stage": 0.0}


def main() -> None:
    """Measure and print."""
    who, path, home, threads = sys.argv[1:]
    work = {"ours": ours, "theirs": theirs}[who]
    found = work(Path(path), Path(home), int(threads))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps(found | {"memory": memory}))


if __name__ == "__main__":
    main()
