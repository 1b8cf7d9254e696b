"""A registered model: what it reads, how its files were read, and its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.language import _
from flows.models.reading import Row
from tasks.contract.sources.base import Options
from tasks.tracking import runs
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model reads and writes, and what it was trained with; known without its weights.

    Attributes:
        inputs: the input columns, as the application names them.
        columns: input column to its name in the training files, where they differ.
        outputs: columns of an answer.
    """

    inputs: list[str]
    columns: Mapping[str, str]
    outputs: list[str]
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, workspace: Workspace, version: ModelVersion) -> Signature:
        """That of a registered version; one of an older onestep knows no names of its files."""
        settings, outputs = runs.read_signature(workspace, version)
        inputs, own = list(settings["inputs"]), settings.get("columns", {})
        renamed = {name: own[name] for name in inputs if name in own}
        return cls(inputs, renamed, outputs, settings)

    def own_name(self, name: str) -> str:
        """An input column, as the training files name it."""
        return self.columns.get(name, name)

    @property
    def own_names(self) -> list[str]:
        """The input columns, as the training files name them."""
        return [self.own_name(name) for name in self.inputs]

    @property
    def options(self) -> Options:
        """How the training files were read, for others that may be read in several ways."""
        known = {field.name for field in fields(Options)}
        stored = self.settings.get("reading", {})
        usual = {name: value for name, value in stored.items() if name in known}
        return Options(**{**usual, "usual": True, "usual_layout": True})

    def accepted(self, renames: Mapping[str, str], option: str) -> dict[str, list[str]]:
        """The names that each input column may have, the preferred one first.

        Args:
            renames: an input's own name, or the application's, to the name in the rows.
            option: of the renames, for messages.

        Raises:
            DataError: a rename of a column that is no input, or two of one input.
        """
        from tasks.predictor import accepted_names

        found = {name: accepted_names(self.settings, name) for name in self.inputs}
        renamed: dict[str, str] = {}
        for given, actual in renames.items():
            own = self.own_names
            name = self.inputs[own.index(given)] if given in own else given
            if name not in found or name in renamed:
                message = _("expected the name of an input, each once: {own}", own=", ".join(own))
                raise DataError.at(f"{option} {given}", message)
            renamed[name] = actual
        return found | {name: [actual] for name, actual in renamed.items()}

    def table(self, rows: Iterable[Row], inputs: Mapping[str, str]) -> list[Row]:
        """The inputs of rows; a text that may be missing is the empty one then."""
        return [{name: row.get(inputs.get(name, "")) or "" for name in self.inputs} for row in rows]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model as MLflow loads it, and its signature."""

    signature: Signature
    served: Any

    @classmethod
    def load(
        cls, workspace: Workspace, version: ModelVersion, signature: Signature | None = None
    ) -> LoadedModel:
        """Load a registered version, whose signature may be known."""
        known = signature or Signature.read(workspace, version)
        return cls(known, runs.load_model(workspace, version))

    def predict(self, table: Sequence[Row]) -> list[Row]:
        """Answer each row of a table of the inputs."""
        import pandas as pd

        known = self.signature
        frame = pd.DataFrame(table, columns=known.inputs).rename(columns=dict(known.columns))
        answers: list[Row] = self.served.predict(frame).to_dict("records")
        return answers
