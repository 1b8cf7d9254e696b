"""Events on their way to Prefect: on the disk first, so that no killed process takes one along.

A note is deleted when the server has answered. It may be sent again after that, by a process that
was killed in between: the server knows an event by its id, which the decision alone determines.
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

from flows.servers.prefect import configured, hidden_api
from tasks.store import canonical, storage_errors, write_json
from tasks.tracking.client import public
from tasks.workspace import Workspace

NAMESPACE: Final = UUID("6f5e1c52-0c4b-5f6e-9d0a-2f6f3a1b7c11")
REQUEST_SECONDS: Final = 10.0
Record = dict[str, Any]
Post = Callable[[str, list[Record]], None]


def folder(workspace: Workspace) -> Path:
    """Where notes are."""
    return workspace.root / "outbox"


def note(
    workspace: Workspace,
    event: str,
    resource: Mapping[str, str],
    payload: Mapping[str, Any],
    related: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write down that an event has happened; the same event only once, but for its relations.

    Args:
        workspace: whose it is.
        event: its name.
        resource: what it is about.
        payload: what there is to say.
        related: the Prefect run that it belongs to, and what that belongs to.
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
    """Send what is noted to the Prefect server that is configured.

    Returns:
        Why something stays for the next time, in one line; empty if nothing does, or if there is
        no server.
    """
    return _deliver(workspace, configured() or "", _with_login)


def deliver_by_hand(workspace: Workspace) -> str:
    """The same for a command that starts no server: without one, the next run sends the notes."""
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
        return f"Prefect at {public(api)} takes no events ({why}); the next run sends them"
    return _forget(notes)


def _forget(paths: Iterable[Path]) -> str:
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        return f"{error.filename} cannot be deleted: {error.strerror}; its event will come again"
    return ""


def _with_login(_: str, events: list[Record]) -> None:
    """With the settings of the user; without a second try, because notes stay."""
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
    """To a server on loopback that asks for no login: Prefect takes seconds to import."""
    import httpx

    httpx.post(f"{api}/events", json=events, timeout=REQUEST_SECONDS).raise_for_status()


def _read(workspace: Workspace) -> Iterator[tuple[Path, Record]]:
    """The notes, as they happened."""
    found: list[tuple[Path, Record]] = []
    for path in folder(workspace).glob("*.json"):
        # Another process may have sent it just now; one that cannot be read stops no other.
        with suppress(OSError, ValueError):
            found.append((path, json.loads(path.read_text(encoding="utf-8"))))
    yield from sorted(found, key=lambda entry: str(entry[1]["occurred"]))
