"""Find extensions by name: those of a built-in table, and those that installed packages bring.

A package brings an extension through an entry point, for example in its ``pyproject.toml``::

    [project.entry-points."onestep.launchers"]
    slurm = "my_package.slurm:Slurm"
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar

from configs.language import _
from configs.suggestions import did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Extensions(Generic[T]):
    """What has a name: the entries of a table, and what installed packages bring.

    Attributes:
        group: of the packages' entry points.
        built_in: the table; a package cannot replace an entry.
    """

    group: str
    built_in: Mapping[str, T]

    @property
    def installed(self) -> EntryPoints:
        """Entry points of packages; read again when the import path or a folder changes."""
        folders = (Path(entry) for entry in sys.path)
        return _read(
            self.group, tuple((str(f), f.stat().st_mtime_ns) for f in folders if f.is_dir())
        )

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self.built_in, *self.installed.names})

    def load(self, name: str) -> T:
        """Return one extension.

        Raises:
            KeyError: no extension has this name.
        """
        if name in self.built_in:
            return self.built_in[name]
        extension: T = self.installed[name].load()
        return extension

    def code_digest(self, name: str) -> str:
        """SHA-256 of the file that defines a package's extension; empty for a built-in one."""
        if name in self.built_in:
            return ""
        spec = find_spec(self.installed[name].module)
        assert spec is not None
        assert spec.origin is not None
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()

    def refusal(self, name: str) -> str:
        """Why no extension has this name, with a suggestion; empty if one has it."""
        known = self.names()
        if name in known:
            return ""
        advice = did_you_mean(name, known) or _(
            "or install a package with `{group}`", group=self.group
        )
        return _(
            "expected one of {known}, found {name!r} ({advice})",
            known=", ".join(known),
            name=name,
            advice=advice,
        )


@lru_cache(maxsize=32)
def _read(group: str, search_path: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)
