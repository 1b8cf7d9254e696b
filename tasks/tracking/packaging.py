"""Build the package of a registered model: everything but MLflow's own files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.applications.base import Application
from tasks.processes import calls
from tasks.store import digest, file_digest, files_below, read_json

DECODING = "decoding.py"
PREDICTOR = Path(__file__).parent.parent / "predictor.py"
CONTRACT = {"profile.json": "profile.json", "report.json": "contract.json"}
"""Files of the validated rows that go with the model, and their names there."""
REQUIREMENTS = ("mlflow", "torch", "transformers", "safetensors", "tokenizers", "numpy", "pandas")


def serving_digest(application: Application) -> str:
    """Digest of the code that a registered model runs."""
    return digest([file_digest(PREDICTOR), file_digest(application.serving.file)])


def package_digest(folder: Path) -> str:
    """Digest of everything in a package."""
    return file_digest(folder / "manifest.json")


def build(
    folder: Path, model: Path, data: Path, application: Application, settings: Mapping[str, Any]
) -> Path:
    """Fill a folder with weights, tokenizer, decoding code, settings and their manifest.

    The profile and the checks of the validated rows in ``data`` go with the model.
    """
    folder.mkdir(parents=True)
    (folder / "model").mkdir()
    for source in files_below(model):
        if source.name != "best.json":
            target = folder / "model" / source.relative_to(model)
            target.parent.mkdir(parents=True, exist_ok=True)
            link(source, target)
    shutil.copyfile(application.serving.file, folder / DECODING)
    for name, kept in CONTRACT.items():
        link(data / name, folder / kept)
    text = json.dumps(dict(settings), indent=2, ensure_ascii=False)
    (folder / "predictor.json").write_text(text, encoding="utf-8")
    manifest = {p.relative_to(folder).as_posix(): file_digest(p) for p in files_below(folder)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    return folder


def link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def save(path: Path, package: Path, batch_size: int) -> Path:
    """Write a package as a model of MLflow: code, weights, signature, example, requirements.

    ``batch_size`` is the default of the served model.
    """
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema, ParamSpec

    from tasks.predictor import accepted_names

    settings = read_json(package / "predictor.json")
    inputs, outputs, example = calls.call(_describe, package / DECODING, settings)
    names = {name: accepted_names(settings, name) for name in inputs}
    params = ParamSchema([ParamSpec("batch_size", "long", batch_size)])
    signature = ModelSignature(
        _schema(inputs, names), _schema(outputs, {name: [name] for name in outputs}), params
    )
    mlflow.pyfunc.save_model(
        path,
        python_model=str(PREDICTOR),
        artifacts={"package": package.absolute().as_uri()},
        signature=signature,
        input_example=pd.DataFrame([{names[name][0]: text for name, text in example.items()}]),
        pip_requirements=requirements(package),
        metadata={"application": settings["application"]},
    )
    return path


def _describe(decoding: Path, settings: dict[str, Any]) -> tuple[Any, Any, dict[str, str]]:
    """Types of the inputs and outputs of a served model, and an example."""
    from tasks.predictor import load_module

    described: tuple[Any, Any, dict[str, str]] = load_module(decoding).describe(settings)
    return described


def _schema(columns: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> Any:
    """The signature of columns; each has the name of a type, or MLflow's JSON for it.

    The predictor requires one of the ``names`` of a column that has several.
    """
    from mlflow.types.schema import Schema

    return Schema(
        [
            _column(name, kind, required=len(names[column]) == 1)
            for column, kind in columns.items()
            for name in names[column]
        ]
    )


def _column(name: str, kind: Any, required: bool) -> Any:
    from mlflow.types.schema import Array, ColSpec, DataType

    if isinstance(kind, dict):
        return ColSpec.from_json_dict(name=name, **kind)  # type: ignore[no-untyped-call]
    types: dict[str, Any] = {"array": Array(DataType.double), "strings": Array(DataType.string)}
    return ColSpec(types.get(kind, kind), name, required)


def requirements(package: Path) -> list[str]:
    """Requirements of a registered model, at the versions that built it."""
    fast = (package / "model" / "tokenizer.json").exists()
    names = REQUIREMENTS if fast else (*REQUIREMENTS, "sentencepiece")
    return [f"{name}=={version(name).split('+')[0]}" for name in names]
