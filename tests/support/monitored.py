"""What Prefect knows of a home, asked in a process of its own: ``python -m`` this module.

With a pipeline file it first starts to listen for a webhook, loads ``automations.yaml`` with the
``prefect`` command, and runs the pipeline, each time with one set of overrides. It prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from flows.servers.prefect import prefect_api
from tasks.workspace import Workspace
from tests.support.commands import ONESTEP, environment

AUTOMATIONS = Path(__file__).parents[2] / "automations.yaml"
PLACEHOLDERS = (
    "00000000-0000-0000-0000-000000000001",
    "00000000-0000-0000-0000-000000000002",
)
MAIL = {"subject": "{{subject}}", "body": "{{body}}"}
PREFECT = Path(sys.executable).with_name("prefect")
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Monitored:
    """Runs, artifacts and events of a home, the webhook's calls, and the messages to people."""

    runs: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    artifacts: list[dict[str, Any]]
    events: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    loaded: str

    def artifact(self, key: str) -> Any:
        """The data of the newest artifact with a key."""
        return next(one["data"] for one in self.artifacts if one["key"] == key)

    def event(self, name: str) -> dict[str, Any]:
        """The only event of a kind."""
        (found,) = [event for event in self.events if event["event"] == name]
        return found


def monitored(home: Path, file: Path | None = None, *overrides: str) -> Monitored:
    """Ask a home; with a file, run it once with each override first."""
    arguments = [str(file), *overrides] if file else []
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.monitored", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Monitored(**json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def _listening(heard: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Keep what is posted, by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            heard[self.path].append(json.loads(text))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _load(url: str, folder: Path) -> str:
    """Load the shipped automations with blocks of our own; a message goes to a webhook too."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.blocks.webhook import Webhook

    mail = CustomWebhookNotificationBlock(
        name="mail", url=f"{url}/mail", json_data=MAIL, allow_private_urls=True
    )
    blocks = (Webhook(url=f"{url}/hook").save("hook"), mail.save("mail"))
    text = AUTOMATIONS.read_text("utf-8")
    for placeholder, block in zip(PLACEHOLDERS, blocks, strict=True):
        assert placeholder in text
        text = text.replace(placeholder, str(block))
    copy = folder / "automations.yaml"
    copy.write_text(text, "utf-8")
    command = [str(PREFECT), "automation", "create", "--from-file", str(copy)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _ask(api: str, what: str, **body: Any) -> Any:
    import httpx

    return httpx.post(f"{api}/{what}/filter", json=body, timeout=30).raise_for_status().json()


def _events(api: str) -> list[dict[str, Any]]:
    """The pipeline's events; the server stores an event some seconds after it has acted on it."""
    ours = {"event": {"prefix": ["onestep."]}}
    found: list[dict[str, Any]] = _ask(api, "events", filter=ours)["events"]
    return found


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def main() -> None:
    """Run what is asked for, and print what Prefect knows afterwards."""
    workspace, file, overrides = Workspace.open(), sys.argv[1:2], sys.argv[2:]
    heard: dict[str, list[dict[str, Any]]] = {"/hook": [], "/mail": []}
    with prefect_api(workspace) as api, _listening(heard) as url:
        loaded = _load(url, workspace.temporary) if file else ""
        expected = len(_events(api)) + len(overrides)
        for override in overrides:
            command = [str(ONESTEP), "run", *file, "--set", override]
            subprocess.run(command, capture_output=True, check=False)
        _wait(
            lambda: (
                all(len(posts) >= len(overrides) for posts in heard.values())
                and len(_events(api)) >= expected
            )
        )
        record = {
            "runs": _ask(api, "flow_runs", sort="START_TIME_ASC"),
            "tasks": _ask(api, "task_runs"),
            "artifacts": _ask(api, "artifacts", sort="CREATED_DESC"),
            "events": _events(api),
            "calls": heard["/hook"],
            "messages": heard["/mail"],
            "loaded": loaded,
        }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
