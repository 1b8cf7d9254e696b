"""The folder that a run writes to, and nothing outside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from tasks.store import Store, lock, storage_errors

Leases = Callable[[str], AbstractContextManager[object]]


def sqlite_uri(path: Path, driver: str = "") -> str:
    """The address of a SQLite file, for SQLAlchemy.

    It would end a path at a question mark; SQLite's own addresses take every character.
    """
    name = str(path)
    if "?" not in name and name.isprintable():
        return f"sqlite{driver}:///{name}"
    # Without a driver, MLflow would make folders that are named like the address.
    return f"sqlite{driver or '+pysqlite'}:///{path.as_uri()}?uri=true"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths below ``mlruns`` and the switches of one run.

    Attributes:
        root: the folder, absolute.
        fresh: compute every stage even if a verified output exists.
        leases: holds a lease among machines; by default there is one machine.
    """

    root: Path
    fresh: bool = False
    leases: Leases = field(default=nullcontext, compare=False)

    @classmethod
    def open(cls, root: Path | None = None, *, fresh: bool = False) -> Workspace:
        """Create the folder if need be; ``ONESTEP_HOME`` or ``./mlruns`` by default.

        Raises:
            StorageFailure: the folder cannot be created or written.
        """
        chosen = (root or Path(os.environ.get("ONESTEP_HOME", "mlruns"))).resolve()
        workspace = cls(chosen, fresh)
        with storage_errors():
            for folder in (workspace.locks, workspace.temporary, workspace.prefect):
                folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=workspace.temporary):
                pass
        return workspace

    @contextmanager
    def lease(self, key: str) -> Iterator[None]:
        """Hold an exclusive right on all machines, such as to move the aliases of a model."""
        with lock(self.locks / f"{key}.lock"), self.leases(key):
            yield

    @property
    def store(self) -> Store:
        """The stage outputs."""
        return Store(self.root)

    @property
    def locks(self) -> Path:
        """Advisory lock files."""
        return self.root / "locks"

    @property
    def temporary(self) -> Path:
        """Scratch space on the same file system."""
        return self.root / "tmp"

    @property
    def prefect(self) -> Path:
        """Home of the embedded Prefect server."""
        return self.root / "prefect"

    def run_page(self, pipeline: str) -> Path:
        """The page about the latest run of a pipeline."""
        return self.root / "reports" / f"{pipeline}.run.html"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifact store in embedded mode."""
        return self.root / "artifacts"

    @property
    def database(self) -> Path:
        """MLflow's SQLite file in embedded mode."""
        return self.root / "mlflow.db"

    @property
    def tracking_uri(self) -> str:
        """The configured MLflow server, else the SQLite file."""
        return os.environ.get("MLFLOW_TRACKING_URI") or self._own_uri

    @property
    def embedded(self) -> bool:
        """Whether MLflow runs in this process, on this folder's own file.

        MLflow writes the address that it is given into the environment, so that the variable
        alone does not tell.
        """
        return self.tracking_uri == self._own_uri

    @property
    def _own_uri(self) -> str:
        return sqlite_uri(self.database)

    def scratch(self, name: str) -> Path:
        """An empty temporary folder; call it under a lock on ``name``."""
        folder = self.temporary / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder
