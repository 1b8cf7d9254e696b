"""Real stage outputs, up to where fine-tuning begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.schema import Model, Pipeline, Training
from tasks.contract.sources.splits import locate
from tasks.finetuning import make_job
from tasks.tokenization import TokenizationResult, tokenize_rows
from tasks.training.job import Job
from tasks.training.model import initial_model
from tasks.training.model.initial_model import InitialModel
from tasks.training.session import Session
from tasks.validation import ValidationResult, validate
from tasks.workspace import Workspace
from tests.support import reading
from tests.support.rows import Row, write_rows

Start = Callable[..., Session]
TRAINING: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 4,
    "learning_rate": 5e-3,
    "precision": "fp32",
}
CONSTANT = {"name": "constant", "warmup_ratio": 0.0}
SGD = {"name": "sgd", "weight_decay": 0.0, "betas": (0.0, 0.999)}


@dataclass(frozen=True)
class Prepared:
    """Everything that a training process is told about."""

    config: Pipeline
    workspace: Workspace
    validated: ValidationResult
    tokenized: TokenizationResult
    base: InitialModel

    def job(
        self, *, dropout: float | None = None, primary_metric: str = "accuracy", **training: Any
    ) -> Job:
        """A training job with some settings changed."""
        section = Training.model_validate({**TRAINING, **training})
        update = {
            "training": section,
            "model": Model(base=self.config.model.base, dropout=dropout),
            "evaluation": self.config.evaluation.model_copy(
                update={"primary_metric": primary_metric}
            ),
        }
        config = self.config.model_copy(update=update)
        return make_job("train", config, self.validated, self.tokenized)

    def preflight(self, **training: Any) -> Job:
        """The same job for one step."""
        return replace(self.job(**training), mode="preflight")


def prepare(
    folder: Path, base: str, splits: Mapping[str, Iterable[Row]], **sections: Any
) -> Prepared:
    """Write the rows to files, validate and tokenize them."""
    files = {name: str(write_rows(folder / f"{name}.csv", rows)) for name, rows in splits.items()}
    record = {
        "name": "reviews",
        "application": "sentiment",
        "data": {"validation": 0.2, "test": 0.2, **files},
        "model": {"base": base},
        "training": TRAINING,
        "compute": {"device": "cpu", "threads": 1, "energy": False},
    }
    config = reading.pipeline(record | sections)
    workspace = Workspace.open(folder / "mlruns")
    found = initial_model.find(config.model, config.application)
    validated = validate(config, workspace, locate(config.data))
    tokenized = tokenize_rows(config, workspace, validated, found)
    return Prepared(config, workspace, validated, tokenized, found)
