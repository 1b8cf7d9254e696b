"""Find extensions by name: those of a built-in table, and those that installed packages bring.

A package brings an extension through an entry point, for example in its ``pyproject.toml``::

    [project.entry-points."onestep.launchers"]
    slurm = "my_package.slurm:Slurm"
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def installed(group: str) -> EntryPoints:
    """Entry points of installed packages; read again when the import path or a folder changes."""
    folders = (Path(entry) for entry in sys.path)
    return _read(group, tuple((str(f), f.stat().st_mtime_ns) for f in folders if f.is_dir()))


@lru_cache(maxsize=32)
def _read(group: str, search_path: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)


def names(group: str, built_in: Mapping[str, object]) -> list[str]:
    """Names of all extensions of a group, such as ``onestep.launchers``, sorted."""
    return sorted({*built_in, *installed(group).names})


def load(group: str, name: str, built_in: Mapping[str, T]) -> T:
    """Return one extension; a built-in one cannot be replaced by a package.

    Raises:
        KeyError: no extension has this name.
    """
    if name in built_in:
        return built_in[name]
    extension: T = installed(group)[name].load()
    return extension


def code_digest(group: str, name: str, built_in: Mapping[str, object]) -> str:
    """SHA-256 of the file that defines an extension of a package; empty for a built-in one."""
    if name in built_in:
        return ""
    spec = find_spec(installed(group)[name].module)
    assert spec is not None
    assert spec.origin is not None
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def refusal(group: str, name: str, built_in: Mapping[str, object]) -> str:
    """Why no extension has this name, with a suggestion; empty if one has it."""
    known = names(group, built_in)
    if name in known:
        return ""
    near = get_close_matches(name, known, 1)
    advice = f"did you mean `{near[0]}`?" if near else f"or install a package with `{group}`"
    return f"expected one of {', '.join(known)}, found {name!r} ({advice})"
