"""Reproduce a registered version from its lineage, and compare the two."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from configs.errors import DataError, ModelError, Problem, UserError
from configs.language import _, english
from configs.schema import Pipeline
from flows.run.fingerprint import code_digest
from flows.run.inputs import Inputs, quiet
from tasks.applications import registry as applications
from tasks.contract.rows import quarantine
from tasks.contract.rows.quarantine import Fixes
from tasks.contract.sources import splits
from tasks.contract.sources.splits import Sources
from tasks.evaluation import EvaluationResult, evaluate
from tasks.finetuning import finetune
from tasks.store import read_json
from tasks.tokenization import tokenize_rows
from tasks.tracking import lineage, registry, runs
from tasks.tracking.client import reach
from tasks.tracking.lineage import PACKAGE, Lineage
from tasks.tracking.registry import Reference
from tasks.training.model import initial_model
from tasks.validation import validate
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

WEIGHTS = "model/"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A version compared with its reproduction.

    Attributes:
        same_rows: whether validation kept the same rows.
        same_weights: whether every weight is the same, bit by bit.
        metrics: value then and now.
        changed: other differences, such as library versions.
    """

    uri: str
    same_rows: bool
    same_weights: bool
    metrics: dict[str, tuple[float, float]]
    changed: list[str]

    @property
    def identical(self) -> bool:
        """Whether rows and weights are the same."""
        return self.same_rows and self.same_weights

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"identical": self.identical}


def reproduce(workspace: Workspace, name: str, number: str) -> Reproduction:
    """Run every stage before registration again, in a folder of its own.

    Raises:
        ModelError: no such version, or one that onestep did not make.
        UserError: naming every input that is gone or has changed.
    """
    quiet()
    client = reach(workspace)
    version = registry.look_up(client, Reference(name, None, number))
    known = lineage.of(client, workspace, version)
    config = known.config
    inputs = inputs_of(known, workspace, config)
    folder = workspace.root / "reproduced" / f"{name}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    elsewhere = Workspace.open(folder)
    _copy_fixes(config, workspace, elsewhere)
    validated = validate(config, elsewhere, inputs.sources)
    tokenized = tokenize_rows(config, elsewhere, validated, inputs.base)
    tuned = finetune(config, elsewhere, validated, tokenized, inputs.base)
    evaluated = evaluate(config, elsewhere, validated, tokenized, tuned)
    return Reproduction(
        runs.uri_of(version),
        validated.digest == known.record["rows_digest"],
        _weights(read_json(evaluated.package / "manifest.json"))
        == _registered_weights(client, workspace, known),
        _metrics(client, known, evaluated),
        list(_other_changes(known, config)),
    )


def inputs_of(known: Lineage, workspace: Workspace, config: Pipeline) -> Inputs:
    """The files and the base model, if they are unchanged.

    Raises:
        DataError: naming everything that is gone or has changed.
    """
    problems: list[Problem] = []
    sources = base = None
    try:
        sources = splits.locate(config.data, applications.get(config.application).sources)
        problems += _changed_files(known, sources)
    except UserError as error:
        problems += error.problems
    try:
        base = initial_model.find(config.model, config.application)
        if base.digest != known.version.tags.get("onestep.base_model"):
            problems.append(
                Problem(
                    "model.base",
                    _("the base model {name} has changed", name=base.name),
                    _("restore it"),
                )
            )
    except UserError as error:
        problems += error.problems
    if Fixes(quarantine.fixes_of(workspace.root, config.name)).digest != known.record["fixes"]:
        message = _("the fixes of quarantined rows have changed since")
        problems.append(Problem("quarantine", message))
    if problems or sources is None or base is None:
        raise DataError(problems)
    return Inputs(sources, base)


def _changed_files(known: Lineage, sources: Sources) -> Iterator[Problem]:
    for split, files in known.record["sources"].items():
        found = [sources.digests[name] for name in sources.files.get(split, ())]
        for at, (name, digest) in enumerate(files.items()):
            if at >= len(found) or found[at] != digest:
                message = _(
                    "the {split} file has changed; expected SHA-256 {digest}",
                    split=split,
                    digest=digest[:12],
                )
                yield Problem(name, message, _("restore it"))
        if len(found) > len(files):
            yield Problem(
                f"data.{split}",
                _("{found} files match, there were {files}", found=len(found), files=len(files)),
            )


def _copy_fixes(config: Pipeline, workspace: Workspace, elsewhere: Workspace) -> None:
    """Copy the rows that a person has repaired."""
    source = quarantine.fixes_of(workspace.root, config.name)
    if source.exists():
        target = quarantine.fixes_of(elsewhere.root, config.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _registered_weights(
    client: MlflowClient, workspace: Workspace, known: Lineage
) -> dict[str, str]:
    path = f"{PACKAGE}/manifest.json"
    manifest = runs.read_artifact(client, workspace, str(known.version.run_id), path)
    if manifest is None:
        raise ModelError.at(runs.uri_of(known.version), _("its artifacts are gone"))
    return _weights(manifest)


def _weights(manifest: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in manifest.items() if k.startswith(WEIGHTS)}


def _metrics(
    client: MlflowClient, known: Lineage, evaluated: EvaluationResult
) -> dict[str, tuple[float, float]]:
    then = registry.metrics_of(client, known.version)
    return {k: (then[k], value) for k, value in evaluated.metrics.items() if k in then}


def _other_changes(known: Lineage, config: Pipeline) -> Iterator[str]:
    """Changes besides the inputs."""
    now = lineage.libraries()
    for library, then in known.record["libraries"].items():
        if now.get(library) != then:
            other = now.get(library, english("gone"))
            yield english(
                "{library} was {then}, and is {now}", library=library, then=then, now=other
            )
    from flows.stages import STAGES

    if code_digest(config, [stage.version for stage in STAGES]) != known.version.tags.get(
        "onestep.code"
    ):
        then = known.version.tags.get("onestep.version", english("another version"))
        yield english(
            "the code of a stage or of the served model has changed since onestep {then}", then=then
        )
