"""A mirror of the Hub with one model, on loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 39 + "1"


@contextmanager
def mirror(name: str, folder: Path) -> Iterator[str]:
    """Serve the files of a folder as the model ``name``; yields the address for HF_ENDPOINT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(f"/api/models/{name}"):
                self._send(json.dumps(_listing(name, folder, "/tree/" in path)).encode())
            elif path.startswith(f"/{name}/resolve/"):
                self._send((folder / path.rpartition("/")[2]).read_bytes())
            else:
                self.send_error(404)

        def _send(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _listing(name: str, folder: Path, tree: bool) -> object:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if tree:
        return [
            {"type": "file", "path": one.name, "size": one.stat().st_size, "oid": "0" * 40}
            for one in files
        ]
    return {"id": name, "sha": COMMIT, "siblings": [{"rfilename": one.name} for one in files]}
