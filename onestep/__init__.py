"""onestep in Python: from labelled text to a registered model.

>>> import onestep
>>> outcome = onestep.run({"name": "reviews", "application": "sentiment"}, table)
>>> outcome.metrics["accuracy"]
>>> outcome.predict(["a fine book"])
>>> onestep.load("reviews@champion").predict(["a fine book"])

Nothing heavy is imported before it is used. Errors are an :class:`OneStepError`, whose
``problems`` say where, what and what to do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from configs.errors import (
        ConfigError,
        DataError,
        Failure,
        ModelError,
        OneStepError,
        Problem,
        StorageFailure,
        TrackingFailure,
        UserError,
        WorkerFailure,
    )
    from configs.schema import Pipeline
    from onestep.pipelines import check, preflight, run
    from onestep.registry import Model, ModelTable, load, models
    from onestep.results import CheckResult, PreflightResult, RunResult

    __version__: str

__all__ = [
    "CheckResult",
    "ConfigError",
    "DataError",
    "Failure",
    "Model",
    "ModelError",
    "ModelTable",
    "OneStepError",
    "Pipeline",
    "PreflightResult",
    "Problem",
    "RunResult",
    "StorageFailure",
    "TrackingFailure",
    "UserError",
    "WorkerFailure",
    "__version__",
    "check",
    "load",
    "models",
    "preflight",
    "run",
]

_MODULES = {
    "configs.schema": ("Pipeline",),
    "onestep.pipelines": ("check", "preflight", "run"),
    "onestep.registry": ("Model", "ModelTable", "load", "models"),
    "onestep.results": ("CheckResult", "PreflightResult", "RunResult"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'onestep' has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("onestep")
    else:
        value = getattr(import_module(_MODULE_OF.get(name, "configs.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
