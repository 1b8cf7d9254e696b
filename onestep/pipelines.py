"""Run, check and try a pipeline, given as a file, a dict or a ``Pipeline``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from configs.errors import ConfigError, DataError
from configs.language import _
from configs.schema import Pipeline
from configs.source import parse
from onestep import display, tables
from onestep.results import CheckResult, PreflightResult, RunResult
from onestep.session import Home, call
from onestep.tables import Table

if TYPE_CHECKING:
    from tasks.workspace import Workspace

Config: TypeAlias = "str | Path | Mapping[str, Any] | Pipeline"
Data: TypeAlias = "Table | Mapping[str, Table]"
GIVEN = Path("config")
"""The name of a dict in errors."""
TRAIN, *REST = ("train", "validation", "test")
FRACTION = 0.1
"""Share of the training rows for a split without a table, unless the config has another."""


def run(
    config: Config,
    data: Data | None = None,
    *,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    register: bool = True,
    home: Home = None,
    verbose: bool = True,
) -> RunResult:
    """Run a pipeline: five stages, from labelled text to a registered model.

    Args:
        config: path of a YAML file, its content as a dict, or a ``Pipeline``. Names of files in a
            dict are relative to the working directory.
        data: a table of pandas, polars, pyarrow or ``datasets``, or a mapping from ``train``,
            ``validation`` and ``test`` to tables. It replaces the files that the config names. A
            split without a table is a share of the training rows.
        overrides: ``dotted.key=value`` strings.
        fresh: compute every stage even if a verified output exists.
        register: whether to register the model; without it the run is a trial, whose verdict says
            what the gate would decide.
        home: the folder to work in; ``ONESTEP_HOME`` or ``./mlruns`` by default.
        verbose: whether to show progress, in a notebook as a bar.

    Raises:
        ConfigError: the config is not valid.
        DataError: the data cannot be read or breaks the contract.
        ModelError: the base model cannot be used.
        Failure: the run failed for another reason.
    """

    began = time.monotonic()

    def work(workspace: Workspace) -> RunResult:
        from flows import execution
        from flows.cli.progress import heading
        from flows.run import inputs

        changes = [*_changes(config, data, workspace), *overrides]
        pipeline = _read(config, changes)
        inputs.require(pipeline)
        title = heading(pipeline)
        source = (Path(config), changes) if isinstance(config, str | Path) else (pipeline,)
        with display.progress(title, verbose=verbose) as shown:
            shown.started = began
            outcome = execution.run(*source, fresh=fresh, home=workspace.root, trial=not register)
        return RunResult(outcome, workspace.root, shown, time.monotonic() - began)

    return call(work, home)


def check(
    config: Config, data: Data | None = None, *, overrides: Sequence[str] = (), home: Home = None
) -> CheckResult:
    """Check the config and the data against the contract; train nothing.

    Data that breaks the contract is a result, whose ``problems`` say why. For the arguments see
    :func:`run`.

    Raises:
        ConfigError: the config is not valid.
        ModelError: the base model cannot be used.
    """

    def work(workspace: Workspace) -> CheckResult:
        from flows.run import check as checks

        pipeline = _read(config, [*_changes(config, data, workspace), *overrides])
        return CheckResult(checks.check(pipeline, workspace), workspace.root)

    return call(work, home)


def preflight(
    config: Config, data: Data | None = None, *, overrides: Sequence[str] = (), home: Home = None
) -> PreflightResult:
    """Check, then take exactly one optimizer step and predict the cost of a run.

    For the arguments see :func:`run`.

    Raises:
        ConfigError: the config is not valid.
        DataError: the data cannot be read or breaks the contract.
        ModelError: the base model cannot be used.
        Failure: the step failed.
    """

    def work(workspace: Workspace) -> PreflightResult:
        from flows.run import check as checks

        pipeline = _read(config, [*_changes(config, data, workspace), *overrides])
        return PreflightResult(checks.preflight(pipeline, workspace)[1])

    return call(work, home)


def _read(config: Config, overrides: Sequence[str]) -> Pipeline:
    """Read and check a config of any form."""
    from flows.run.reading import read

    if isinstance(config, str | Path):
        return read(Path(config), overrides)
    folder = config.data.folder if isinstance(config, Pipeline) else Path()
    return read(folder / GIVEN, overrides, _values(config))


def _values(config: Config) -> Mapping[str, Any]:
    """The config as plain values."""
    if isinstance(config, str | Path):
        return parse(Path(config)).values
    if isinstance(config, Pipeline):
        return config.model_dump(mode="json", exclude_unset=True)
    if isinstance(config, Mapping):
        return config
    found = type(config).__name__
    message = _("expected a path, a dict or a Pipeline, found {found}", found=found)
    raise ConfigError.at(GIVEN, message)


def _changes(config: Config, data: Data | None, workspace: Workspace) -> Iterator[str]:
    """The overrides that replace the declared files by tables."""
    if data is None:
        return
    section = _values(config).get("data")
    declared = section if isinstance(section, Mapping) else {}
    for split, table in _splits(data).items():
        arrow = tables.to_arrow(table, f"data[{split!r}]")
        yield f"data.{split}={json.dumps(str(tables.keep(arrow, split, workspace)))}"
    for split in REST:
        if split not in _splits(data) and not isinstance(declared.get(split), float):
            yield f"data.{split}={FRACTION}"
    yield from (f"data.{k}=null" for k in ("dataset", "subset", "revision") if k in declared)


def _splits(data: Any) -> dict[str, Any]:
    """Tables by split; an unknown split or missing training rows are refused."""
    if not isinstance(data, Mapping):
        return {TRAIN: data}
    if TRAIN not in data or not set(data) <= {TRAIN, *REST}:
        found = ", ".join(map(repr, data)) or _("none")
        message = _(
            "expected tables by split: train and, if you like, validation and test; found {found}",
            found=found,
        )
        raise DataError.at("data", message)
    return dict(data)
