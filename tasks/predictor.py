"""The served model: evaluation measures this very code, and MLflow logs it.

Self-contained: it needs mlflow, torch, transformers and pandas, and nothing of this project. All
else comes from the model's own folder: ``predictor.json``, ``decoding.py``, ``model/`` and a
``manifest.json`` whose digests are checked before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

NATIVE_BF16_CPU = ("amx_bf16", "avx512_bf16")


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
            ValueError: a value is no text; the message has its row, from 0, and its column. Or
                ``batch_size`` is less than 1.
        """
        rows: list[dict[str, Any]] = model_input.to_dict("records")  # type: ignore[assignment]
        _require_text(rows)
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

    def _batch(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import torch

        with torch.inference_mode():
            answers: list[dict[str, Any]] = self.model.answer(rows)
        return answers


def _require_text(rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        for name, value in row.items():
            if not isinstance(value, str):
                kind = type(value).__name__
                raise ValueError(f"row {number}: expected text in column {name!r}, found {kind}")


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
