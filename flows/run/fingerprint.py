"""The fingerprint of a run: digests of config, data, base model and code."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from configs.schema import Pipeline
from flows.run.inputs import Inputs
from tasks import finetuning, metrics
from tasks.applications import registry as applications
from tasks.store import digest
from tasks.tracking import packaging
from tasks.training.model.initial_model import InitialModel

IGNORED = {"schedule": True, "compute": {"threads", "energy", "timeout_minutes", "launcher"}}
PLACES = {"data": {"train", "validation", "test"}, "model": {"base", "revision"}}


def fingerprint(
    config: Pipeline, inputs: Inputs, versions: Iterable[int | None]
) -> tuple[str, dict[str, str]]:
    """Digest of everything that affects the model of a run, and the digests that it is made of.

    ``versions`` are those of the stages; None does not count.
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
        "onestep.code": code_digest(config, versions),
    }
    return digest(parts), parts


def code_digest(config: Pipeline, versions: Iterable[int | None]) -> str:
    """Digest of the stages' versions and of the code that the registered model runs."""
    application = applications.get(config.application)
    counted = [version for version in versions if version is not None]
    code = [[*counted, application.version], packaging.serving_digest(application)]
    # Without extensions of packages nothing is added, so that older digests stay valid.
    measured = metrics.code_digests(finetuning.extra_metrics(config))
    return digest([*code, *finetuning.extension_digests(config), *measured])


def descriptive_tags(config: Pipeline, base: InitialModel) -> dict[str, str]:
    """Tags for people, which are not part of the fingerprint."""
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
