"""The served model: evaluation measures this very code, and MLflow logs it.

Self-contained: it needs mlflow, torch, transformers and pandas, and nothing of this project. All
else comes from the model's own folder: ``predictor.json``, ``decoding.py``, ``model/`` and a
``manifest.json`` whose digests are checked before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import unicodedata
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

NATIVE_BF16_CPU = ("amx_bf16", "avx512_bf16")
FEW = 5
"""Most values that an error names."""
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0").union(
    map(chr, range(0xFE00, 0xFE10))
)
"""Joiners, fillers, the empty Braille cell and variation selectors."""
TYPES: dict[type, str] = {
    **{bool: "a truth value", int: "a number", float: "a number"},
    **{list: "a list", dict: "an object", bytes: "bytes"},
}


class Predictor(PythonModel):
    """Predicts rows of a table; the answer to a row does not depend on its place in it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load what MLflow stored."""
        self.open(Path(context.artifacts["package"]))

    def open(self, folder: Path) -> Predictor:
        """Verify and load a model folder.

        Raises:
            ValueError: a file is missing, added or changed since the model was built.
        """
        verify(folder)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from transformers.activations import ACT2FN

        # The one declarable activation that Transformers does not know by name.
        ACT2FN.setdefault("elu", torch.nn.ELU)
        self.settings = json.loads((folder / "predictor.json").read_text(encoding="utf-8"))
        self.decoding = load_module(folder / "decoding.py")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = choose_dtype(self.settings["precision"], device)
        self.model = self.decoding.Model(folder / "model", self.settings, device, dtype=dtype)
        self.outputs = list(self.decoding.describe(self.settings)[1])
        return self

    def predict(
        self,
        context: PythonModelContext | None,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predict every row.

        Args:
            context: unused; MLflow passes it.
            model_input: a table with the input columns.
            params: ``batch_size`` changes speed, not answers.

        Returns:
            One row of outputs for each row of input, in order.

        Raises:
            ValueError: a column is missing, or a value is no text; the message has its row, from
                0, and its column. Or ``batch_size`` is less than 1.
        """
        columns = self._columns(model_input)
        table = model_input[list(columns.values())].set_axis(list(columns), axis=1)
        rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
        _require_text(rows, columns)
        size = int((params or {}).get("batch_size", self.settings["batch_size"]))
        if size < 1:
            raise ValueError(f"expected a batch_size of at least 1, found {size}")
        answers: list[dict[str, Any]] = [{}] * len(rows)
        order = sorted(range(len(rows)), key=lambda index: -_length(rows[index]))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            outputs = self._batch([rows[index] for index in chosen])
            for index, output in zip(chosen, outputs, strict=True):
                answers[index] = output
        return pd.DataFrame(answers, columns=self.outputs, index=model_input.index)

    def _columns(self, found: Container[str]) -> dict[str, str]:
        """The column of each input."""
        columns = {
            name: find_column(self.settings, name, found) for name in self.settings["inputs"]
        }
        missing = [accepted_names(self.settings, name)[0] for name in columns if not columns[name]]
        if missing:
            raise ValueError(f"expected the columns {', '.join(map(repr, missing))}")
        return {name: own for name, own in columns.items() if own}

    def _batch(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import torch

        with torch.inference_mode():
            answers: list[dict[str, Any]] = self.model.answer(rows)
        return answers


def accepted_names(settings: Mapping[str, Any], name: str) -> list[str]:
    """The names that an input column may have, the preferred one first.

    They are its name in the training files and the application's own, unless another column of
    the training files has that one.
    """
    own: dict[str, str] = settings.get("columns", {})
    return [own[name]] + [name] * (name not in own.values()) if name in own else [name]


def find_column(settings: Mapping[str, Any], name: str, found: Container[str]) -> str | None:
    """The column among those of a table that an input is read from."""
    return next((one for one in accepted_names(settings, name) if one in found), None)


def describe_other(value: object) -> str:
    """What a value is that is not text with a visible character; empty if it is."""
    if isinstance(value, str):
        return "" if any(map(_is_visible, value)) else "a blank text"
    if value is None or value is pd.NA:
        return "null"
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return TYPES.get(type(value), type(value).__name__)


def _is_visible(character: str) -> bool:
    if character.isspace() or character in BLANK_LETTERS:
        return False
    return unicodedata.category(character) not in ("Zs", "Zl", "Zp", "Cf")


def _require_text(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    broken = [
        f"row {number}: expected text in column {columns[name]!r}, found {found}"
        for number, row in enumerate(rows)
        for name, value in row.items()
        if (found := describe_other(value))
    ]
    if broken:
        more = [f"and {len(broken) - FEW} more"] if len(broken) > FEW else []
        raise ValueError("; ".join(broken[:FEW] + more))


def _length(row: dict[str, Any]) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str))


def verify(folder: Path) -> None:
    """Compare every file with the manifest.

    Raises:
        ValueError: naming the files that differ.
    """
    expected = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / "manifest.json"
    }
    changed = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    if changed:
        raise ValueError(f"the model was changed after it was built: {', '.join(changed)}")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_module(path: Path) -> ModuleType:
    """Load a file as a module of its own, so that two models in one process do not mix.

    Not by Python's own importer: it would leave its byte code in the model's folder.
    """
    module = ModuleType(f"decoding_{sha256(path)[:16]}")
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    return module


def choose_dtype(precision: str, device: Any) -> Any:
    """bf16 where the hardware multiplies it natively and float32 was not asked for."""
    import torch

    if precision == "fp32":
        return torch.float32
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
        native = any(flag in flags for flag in NATIVE_BF16_CPU)
    return torch.bfloat16 if native or precision == "bf16" else torch.float32


set_model(Predictor())
