"""An S3 store that keeps its objects as files: ``python -m`` this module, with a port and a folder.

It stands for the store of ``compose.yaml``. moto's server answers, and each change is written down
before it does, so that the folder can be copied, and the store started from the copy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import run_simple

REGION = "us-east-1"
CHANGES = {"PUT", "POST", "DELETE"}
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Kept:
    """An application whose objects are also files, by bucket and key."""

    def __init__(self, application: Application, folder: Path) -> None:
        self.application = application
        self.folder = folder
        self.backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self.lock = threading.Lock()
        self.written: dict[Path, str] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        answer = self.application(environ, start)
        if environ["REQUEST_METHOD"] in CHANGES:
            with self.lock:
                self.write()
        return answer

    def read(self) -> None:
        """Take over what the folder has."""
        for bucket in (path for path in self.folder.iterdir() if path.is_dir()):
            self.backend.create_bucket(bucket.name, REGION)
            for path in (path for path in bucket.rglob("*") if path.is_file()):
                key = path.relative_to(bucket).as_posix()
                self.backend.put_object(bucket.name, key, path.read_bytes())

    def write(self) -> None:
        """Bring the folder to the state of the store."""
        present = {}
        for bucket in self.backend.buckets.values():
            (self.folder / bucket.name).mkdir(exist_ok=True)
            for key in bucket.keys.values():
                path = self.folder / bucket.name / key.name
                present[path] = key.etag
                if self.written.get(path) != key.etag:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(key.value)
        for path in self.written.keys() - present.keys():
            path.unlink(missing_ok=True)
        self.written = present


def main() -> None:
    """Serve on loopback until a signal."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    kept = Kept(DomainDispatcherApplication(create_backend_app), folder)
    kept.read()
    run_simple("127.0.0.1", port, kept, threaded=True)


if __name__ == "__main__":
    main()
