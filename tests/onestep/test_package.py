"""The package: what it exports, what it imports, and how it starts."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.resources import files

import pytest

import onestep
from tests.docs.markdown import ROOT

FAST_SECONDS = 0.2
HEAVY = {"torch", "transformers", "mlflow", "prefect", "pandas", "pyarrow", "pydantic", "rich"}
IMPORTED = """
import sys, time
began = time.perf_counter()
import onestep
print(time.perf_counter() - began, *{name.partition(".")[0] for name in sys.modules})
"""


def python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", onestep.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(onestep, name) is not None
    assert name in dir(onestep)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = onestep.train  # type: ignore[attr-defined]


def test_the_errors_are_those_that_are_raised() -> None:
    from configs import errors

    raised = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert raised & set(onestep.__all__) >= {"ConfigError", "DataError", "ModelError", "Failure"}
    assert all(
        getattr(onestep, name) is getattr(errors, name) for name in raised & set(dir(onestep))
    )


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert onestep.__version__ == project["version"]


def test_it_is_typed() -> None:
    assert (files("onestep") / "py.typed").is_file()


def test_importing_it_is_fast_and_loads_nothing_heavy() -> None:
    seconds, *loaded = python("-c", IMPORTED).split()
    assert float(seconds) < FAST_SECONDS
    assert HEAVY.isdisjoint(loaded)


def test_as_a_module_it_is_the_command() -> None:
    assert "From" not in python("-m", "onestep", "--help")[:1]
    assert "labelled text to a registered model" in python("-m", "onestep", "--help")
