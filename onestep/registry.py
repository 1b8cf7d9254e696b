"""Registered models: load one and predict with it, or list them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.language import _
from onestep import display, tables
from onestep.session import Home, call
from onestep.tables import Row

if TYPE_CHECKING:
    import pandas as pd

    from flows.models.loaded_model import LoadedModel
    from tasks.workspace import Workspace

NO_COLUMNS: Mapping[str, str] = {}


class Model:
    """A version of a registered model in memory."""

    def __init__(self, name: str, version: int, loaded: LoadedModel) -> None:
        self.name = name
        self.version = version
        self._loaded = loaded

    @classmethod
    def load(cls, workspace: Workspace, reference: str) -> Model:
        """Find and load a version."""
        from flows.models.loaded_model import LoadedModel
        from flows.models.prediction import look_up
        from flows.run.inputs import quiet

        quiet()
        version = look_up(workspace, reference)
        loaded = LoadedModel.load(workspace, version)
        return cls(version.name, int(version.version), loaded)

    @property
    def uri(self) -> str:
        """The version as MLflow writes it."""
        return f"models:/{self.name}/{self.version}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input columns, as in the training files."""
        return tuple(self._loaded.signature.own_names)

    def predict(
        self, rows: Any, *, columns: Mapping[str, str] = NO_COLUMNS, probabilities: bool = False
    ) -> Any:
        """Predict rows.

        Args:
            rows: texts, for a model of one input column; dicts; or a table of pandas, polars,
                pyarrow or ``datasets``.
            columns: input column to the name in ``rows``, where they differ.
            probabilities: whether to add the probability of every label.

        Returns:
            The rows with the answers' columns, ``predicted_`` before a name that the rows have: a
            list of dicts for dicts, a table of the same library for a table, and a pandas data
            frame for texts.

        Raises:
            DataError: a row lacks an input column or has no text in it, or an argument names what
                the model does not have.
        """
        if tables.is_table(rows):
            arrow, found, records = tables.records(rows, "rows")
            names, answers = self._answers(records, found, columns, probabilities)
            new = {name: [one[output] for one in answers] for output, name in names.items()}
            return tables.with_columns(rows, arrow, new)
        given: list[Any] = _listed(rows)
        if all(isinstance(row, Mapping) for row in given):
            return self._merged(_records(given), columns, probabilities)
        import pandas as pd

        return pd.DataFrame(self._merged(self._texts(given), columns, probabilities))

    def _texts(self, texts: Sequence[Any]) -> list[Row]:
        """Texts as rows of the only input column."""
        names = ", ".join(self.inputs)
        for at, text in enumerate(texts):
            if not isinstance(text, str):
                message = _("expected text or a dict, found {found}", found=type(text).__name__)
                if isinstance(text, Mapping):
                    message = _("expected texts alone or dicts alone, found both")
                raise DataError.at(f"rows[{at}]", message)
        if len(self.inputs) > 1:
            advice = _("give dicts or a table")
            raise DataError.at(
                "rows", _("expected the columns {names}, found texts", names=names), advice
            )
        return [{names: text} for text in texts]

    def _merged(
        self, rows: list[Row], columns: Mapping[str, str], probabilities: bool
    ) -> list[Row]:
        from flows.models import writing
        from tasks.contract.sources.base import union

        found = union(enumerate(rows))
        names, answers = self._answers(rows, found, columns, probabilities)
        return list(writing.merged(rows, answers, names))

    def _answers(
        self, rows: list[Row], found: list[str], columns: Mapping[str, str], probabilities: bool
    ) -> tuple[dict[str, str], list[Row]]:
        """The column of each output, and the answers; every row is checked before the first."""
        from flows.models import prediction, reading, writing

        model, known = self._loaded, self._loaded.signature
        words = reading.Words("rows", lambda at: f"rows[{at}]", self._rename)
        names = writing.prediction_names(known.outputs, found, probabilities, "probabilities")
        inputs = reading.find_columns(known.accepted(columns, "columns"), found, words)
        reading.require_texts(enumerate(rows), inputs, words)
        chunks = prediction.chunks(iter(rows))
        return names, [one for some in chunks for one in model.predict(known.table(some, inputs))]

    def _rename(self, name: str) -> str:
        own = self._loaded.signature.own_name(name)
        return _("name yours with columns={{{name!r}: YOURS}}", name=own)

    def __repr__(self) -> str:
        return f"<Model {self.uri} of {', '.join(self.inputs)}>"


def _listed(rows: Any) -> list[Any]:
    """The rows of an argument that is no table."""
    if isinstance(rows, str):
        return [rows]
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        found = type(rows).__name__
        message = _("expected texts, dicts or a table, found {found}", found=found)
        raise DataError.at("rows", message, _("put one row into a list"))
    return list(rows)


def _records(rows: Iterable[Mapping[Any, Any]]) -> list[Row]:
    for at, row in enumerate(rows):
        if other := next((key for key in row if not isinstance(key, str)), None):
            found = type(other).__name__
            message = _("expected names of columns, found {found}", found=found)
            raise DataError.at(f"rows[{at}]", message)
    return [dict(row) for row in rows]


class ModelTable(display.Shown, list[Row]):
    """Registered versions, one record each as ``onestep models --json`` prints it."""

    def to_pandas(self) -> pd.DataFrame:
        """The records as a data frame."""
        import pandas as pd

        return pd.DataFrame(list(self))

    def _drawn(self) -> display.Drawing:
        from flows.cli import tables as drawings

        if not self:
            return _("no model is registered yet; onestep.run registers one")
        return drawings.models(self, time.time())


def load(model: str, *, home: Home = None) -> Model:
    """Load a registered model.

    Args:
        model: ``NAME``, ``NAME@ALIAS`` or ``NAME/VERSION``; a name alone is its champion.
        home: the folder where runs are kept; ``ONESTEP_HOME`` or ``./mlruns`` by default.

    Raises:
        ModelError: no such model.
    """
    return call(lambda workspace: Model.load(workspace, model), home)


def models(name: str | None = None, *, home: Home = None) -> ModelTable:
    """List registered models.

    Args:
        name: list every version of this model, newest first; by default the served ones of all.
        home: the folder where runs are kept; ``ONESTEP_HOME`` or ``./mlruns`` by default.

    Raises:
        ModelError: no such model.
    """

    def work(workspace: Workspace) -> ModelTable:
        from flows.models import query

        return ModelTable(query.registered(workspace, name))

    return call(work, home)
