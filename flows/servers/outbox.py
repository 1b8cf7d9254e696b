"""Events for Prefect, written to disk before they are sent, so that a killed process loses none.

A file is deleted when the server has answered. If the process is killed in between, the event is
sent again: the server recognizes it by its id, which depends on the decision alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from configs.language import _
from flows.servers.prefect import configured, hidden_api
from tasks.store import canonical, storage_errors, write_json
from tasks.tracking.client import public
from tasks.workspace import Workspace

NAMESPACE: Final = UUID("6f5e1c52-0c4b-5f6e-9d0a-2f6f3a1b7c11")
REQUEST_SECONDS: Final = 10.0
Record = dict[str, Any]
Post = Callable[[str, list[Record]], None]


def folder(workspace: Workspace) -> Path:
    """The folder of unsent events."""
    return workspace.root / "outbox"


def note(
    workspace: Workspace,
    event: str,
    resource: Mapping[str, str],
    payload: Mapping[str, Any],
    related: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write an event, once; with ``related`` an existing one is written again.

    Args:
        workspace: with the outbox.
        event: its name.
        resource: its subject, as Prefect has it.
        payload: its content.
        related: the Prefect run that it belongs to, and the run's flow and deployment.
    """
    identity = uuid5(NAMESPACE, canonical([event, resource, payload]).decode())
    path = folder(workspace) / f"{identity}.json"
    if path.exists() and not related:
        return
    record = {
        "id": str(identity),
        "occurred": datetime.now(UTC).isoformat(),
        "event": event,
        "resource": resource,
        "related": related,
        "payload": payload,
    }
    with storage_errors():
        write_json(path, record)


def deliver(workspace: Workspace) -> str:
    """Send the events to the configured Prefect server.

    Returns:
        Why some could not be sent, in one line; empty if all were, or if there is no server.
    """
    return _deliver(workspace, configured() or "", _with_login)


def deliver_by_hand(workspace: Workspace) -> str:
    """Deliver from a command that starts no server; without one, the next run sends the events."""
    if configured():
        return deliver(workspace)
    return _deliver(workspace, hidden_api(workspace), _plainly)


def _deliver(workspace: Workspace, api: str, post: Post) -> str:
    notes = dict(_read(workspace))
    if not notes or not api:
        return ""
    import httpx

    try:
        post(api, list(notes.values()))
    except httpx.HTTPError as error:
        why = type(error).__name__
        return _(
            "Prefect at {api} takes no events ({why}); the next run sends them",
            api=public(api),
            why=why,
        )
    return _forget(notes)


def _forget(paths: Iterable[Path]) -> str:
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        return _(
            "{error.filename} cannot be deleted: {error.strerror}; its event will come again",
            error=error,
        )
    return ""


def _with_login(_: str, events: list[Record]) -> None:
    """Post with the settings of the user, without retries: the files stay."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    impatient = {"timeout": REQUEST_SECONDS}
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True, httpx_settings=impatient) as client,
    ):
        client.request("POST", "/events", json=events)


def _plainly(api: str, events: list[Record]) -> None:
    """Post to a server on loopback without login; importing Prefect would take seconds."""
    import httpx

    httpx.post(f"{api}/events", json=events, timeout=REQUEST_SECONDS).raise_for_status()


def _read(workspace: Workspace) -> Iterator[tuple[Path, Record]]:
    """The events in the order in which they happened."""
    found: list[tuple[Path, Record]] = []
    for path in folder(workspace).glob("*.json"):
        # Another process may just have sent it; an unreadable one must not block the others.
        with suppress(OSError, ValueError):
            found.append((path, json.loads(path.read_text(encoding="utf-8"))))
    yield from sorted(found, key=lambda entry: str(entry[1]["occurred"]))
