"""Write a registered version as a plain folder of Transformers, with a model card."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from configs.errors import ModelError, UserError
from configs.language import _
from tasks.store import read_json, storage_errors
from tasks.tracking import lineage, registry
from tasks.tracking.client import reach, transfer
from tasks.tracking.lineage import PACKAGE
from tasks.tracking.registry import Reference
from tasks.tracking.runs import uri_of
from tasks.workspace import Workspace

CARD: Final = "README.md"
HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")
TASKS: Final = {
    "sequence-classification": "text-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "causal": "text-generation",
}
"""The Hub's name of a model's task by its head."""
PIPELINES: Final = ("text-classification", "token-classification", "text-generation")
"""Tasks that ``transformers.pipeline`` has."""
Record = Mapping[str, Any]


def export(workspace: Workspace, model: str, folder: Path) -> Path:
    """Write weights, configuration, tokenizer and a card to a new folder.

    Raises:
        ModelError: no such model, or its files were changed or are gone.
        UserError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError.at(folder, _("expected a new or empty folder"), _("name another"))
    client = reach(workspace)
    version = registry.look_up(client, Reference.parse(model))
    known = lineage.of(client, workspace, version)
    described = lineage.describe(client, workspace, known)
    with TemporaryDirectory(dir=workspace.temporary) as scratch:
        with transfer():
            package = Path(client.download_artifacts(str(version.run_id), PACKAGE, scratch))
        _verify(package, uri_of(version))
        text = "\n".join(_card(described, read_json(package / "predictor.json"), folder.name))
        with storage_errors():
            shutil.copytree(package / "model", folder, dirs_exist_ok=True)
            (folder / CARD).write_text(text, encoding="utf-8")
    return folder


def _verify(package: Path, uri: str) -> None:
    from tasks.predictor import verify

    try:
        verify(package)
    except ValueError as error:
        raise ModelError.at(uri, str(error)) from None


def _card(described: Record, settings: Record, folder: str) -> Iterator[str]:
    """The lines of a model card: metadata, use, labels, metrics, origin."""
    task = TASKS.get(settings["head"], "")
    yield from _metadata(described, task)
    yield f"\n# {described['name']}\n"
    yield f"Version {described['version']}, trained with onestep {described['code']['onestep']}."
    if task in PIPELINES:
        yield "\n```python\nfrom transformers import pipeline\n"
        yield f'model = pipeline("{task}", {json.dumps(folder)})\n```'
    yield from _use(settings)
    yield "\n## Metrics\n\nOn the test split.\n\n| Metric | Value |\n|---|---|"
    yield from (f"| {name} | {value:.4f} |" for name, value in _metrics(described).items())
    rows = ", ".join(f"{count:,} {split}" for split, count in described["data"]["rows"].items())
    yield f"\n## Origin\n\n- base model: {_code(described['base_model']['name'])}\n- rows: {rows}"
    yield f"- digest of the data: `{described['data']['digest']}`"
    yield f"- fingerprint: `{described['fingerprint']}`"
    yield "\nNo licence is declared; add one before you publish this model.\n"


def _metadata(described: Record, task: str) -> Iterator[str]:
    """The YAML that the Hub reads; a JSON string is a YAML string."""
    config, base = described["config"], described["base_model"]["name"]
    languages = dict.fromkeys((config.get("language") or {}).values())
    yield "---\nlibrary_name: transformers"
    if task:
        yield f"pipeline_tag: {task}"
    codes = [code for code in languages if isinstance(code, str) and code.isalpha()]
    yield f"language: {json.dumps(codes)}"
    if HUB_NAME.fullmatch(base) and not Path(described["folder"], base).exists():
        yield f"base_model: {json.dumps(base)}"
    yield f"metrics: {json.dumps(sorted(_metrics(described)))}"
    yield "tags: [onestep]\n---"


def _metrics(described: Record) -> dict[str, float]:
    """The test metrics without the number of rows and the bounds of an interval."""
    known = described["metrics"]
    others = {"rows", *(f"{name}_{side}" for name in known for side in ("low", "high"))}
    return {name: value for name, value in known.items() if name not in others}


def _use(settings: Record) -> Iterator[str]:
    """What a caller has to know about the texts and the labels."""
    inputs = ", ".join(map(_code, settings["inputs"]))
    yield f"\nInput: {inputs}; at most {settings['max_length']} tokens."
    if settings.get("prefix"):
        yield f"Each text begins with {_code(settings['prefix'])}."
    if settings.get("threshold") is not None:
        yield f"A label applies from a probability of {settings['threshold']}."
    if labels := settings.get("labels"):
        yield "\n## Labels\n\n" + "\n".join(f"- {_code(label)}" for label in labels)


def _code(text: str) -> str:
    """Text as Markdown code in one line, whatever is in it."""
    line = " ".join(str(text).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"
