"""The fingerprint of a run: digests of config, data, base model and code."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from configs.schema import Pipeline
from flows.run.inputs import Inputs
from flows.run.stage import Stage
from tasks import finetuning, metrics
from tasks.applications import registry as applications
from tasks.store import digest
from tasks.tracking import packaging
from tasks.training.model.initial_model import InitialModel

IGNORED = {"schedule": True, "compute": {"threads", "energy", "timeout_minutes", "launcher"}}
PLACES = {"data": {"train", "validation", "test"}, "model": {"base", "revision"}}


def fingerprint(
    config: Pipeline, inputs: Inputs, stages: Iterable[Stage]
) -> tuple[str, dict[str, str]]:
    """Digest of everything that decides what a run produces.

    Returns:
        The fingerprint, and the digests that it is made of, as tags.
    """
    settings = config.model_dump(mode="json", exclude=IGNORED)  # type: ignore[arg-type]
    for section, names in PLACES.items():
        settings[section] = {k: v for k, v in settings[section].items() if k not in names}
    settings["fractions"] = [
        share for share in (config.data.validation, config.data.test) if isinstance(share, float)
    ]
    parts = {
        "onestep.config": digest(settings),
        "onestep.data": inputs.sources.digest,
        "onestep.base_model": inputs.base.digest,
        "onestep.code": code_digest(config, stages),
    }
    return digest(parts), parts


def code_digest(config: Pipeline, stages: Iterable[Stage]) -> str:
    """Digest of the stages' versions and of the code that the registered model runs."""
    application = applications.get(config.application)
    versions = [stage.version for stage in stages if stage.version is not None]
    versions.append(application.version)
    code = [versions, packaging.serving_digest(application)]
    # Without packages the digest is what it was before there could be any.
    measured = metrics.code_digests(finetuning.extra_metrics(config))
    return digest([*code, *finetuning.extension_digests(config), *measured])


def descriptive_tags(config: Pipeline, base: InitialModel) -> dict[str, str]:
    """Tags that do not decide anything, but that people look for."""
    tags = {
        "onestep.pipeline": config.name,
        "onestep.application": config.application,
        "onestep.base_model_name": base.name,
        "onestep.version": version("onestep"),
        "mlflow.source.name": "onestep",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": getpass.getuser(),
    }
    commit = _git_commit()
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _git_commit() -> str:
    """The revision of the working directory, if it is a git checkout."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path.cwd()), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
