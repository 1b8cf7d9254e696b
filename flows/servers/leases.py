"""Leases across machines, for work that only one worker at a time may do.

Within one home a lock file suffices. Workers with different homes share a Prefect server with
global concurrency limits of one: a holder renews its lease, and that of a dead one expires.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from configs.errors import TrackingFailure
from configs.language import _
from flows.servers.prefect import configured, hidden
from tasks.progress import Notice, announce
from tasks.tracking.client import public
from tasks.workspace import Workspace

LEASE_SECONDS = 120.0
NOTICE_SECONDS = 15.0
WAIT_SECONDS = 3600.0
PREFIX = "onestep-"


def shared(workspace: Workspace) -> Workspace:
    """The workspace with leases across machines, unless its MLflow or Prefect is embedded."""
    if workspace.embedded or not configured() or hidden(workspace):
        return workspace
    return replace(workspace, leases=lease)


@contextmanager
def lease(key: str, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold a lease of the Prefect server.

    That of a dead holder expires after ``seconds``; Prefect allows no less than 60.

    Raises:
        TrackingFailure: another run kept it, or the server does not answer.
    """
    with ExitStack() as stack:
        try:
            _reach(stack, f"{PREFIX}{key}", seconds)
            yield
        except CancelledError as error:
            message = _(
                "Prefect did not renew the lease {key!r}; run the same command again", key=key
            )
            raise TrackingFailure(message) from error


def _reach(stack: ExitStack, name: str, seconds: float) -> None:
    import httpx

    try:
        _acquire(stack, name, seconds)
    except httpx.HTTPError as error:
        raise TrackingFailure(
            _("Prefect does not answer at {url}", url=public(configured() or ""))
        ) from error


def _acquire(stack: ExitStack, name: str, seconds: float) -> None:
    from prefect.concurrency.sync import concurrency

    _create(name)
    for patience in (NOTICE_SECONDS, WAIT_SECONDS):
        held = concurrency(name, 1, patience, lease_duration=seconds, strict=True)
        with suppress(TimeoutError):
            stack.enter_context(held)
            return
        announce(Notice(_("waiting for another run, which has the lease {name}", name=name)))
    advice = _(
        "if none goes on: prefect global-concurrency-limit update {name} --active-slots 0",
        name=name,
    )
    raise TrackingFailure(
        _("another run kept the lease {name} for an hour; {advice}", name=name, advice=advice)
    )


def _create(name: str) -> None:
    """Create the limit on first use; another process may create it at the same time."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=1)
                )
