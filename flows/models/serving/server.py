"""Serve a registered model on loopback in MLflow's formats, and follow its alias."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from configs.language import _
from flows.models.serving.batching import Batcher, Limits
from flows.models.serving.metrics import Metrics, Monitored
from flows.models.serving.scoring import ScoringServer
from flows.run.inputs import quiet
from flows.servers.prefect import HOST
from flows.servers.ui import refuse_taken
from tasks.tracking import registry, runs
from tasks.tracking.client import reach
from tasks.tracking.registry import Reference
from tasks.workspace import Workspace

if TYPE_CHECKING:
    import uvicorn
    from mlflow.entities.model_registry import ModelVersion

POLL_SECONDS = 1.0
GRACE_SECONDS = 30
"""Time in which requests are finished when the server stops."""
HEADER = b"x-onestep-model"
"""Response header naming the version."""
Say = Callable[[str], None]


class Follower:
    """An ASGI application that passes each request to the version that has the alias.

    A new version is loaded beside the old one and takes over between two requests; a request in
    progress stays with its version. If loading fails, the old version stays. ``say`` is called with
    each change of version and each failure. A reference to a version number is never replaced.
    """

    def __init__(
        self, workspace: Workspace, reference: Reference, batcher: Batcher, say: Say
    ) -> None:
        self._workspace = workspace
        self._client = reach(workspace)
        self._reference = reference
        self._batcher = batcher
        self._say = say
        self._refused = ""
        self._take(registry.look_up(self._client, reference))

    @property
    def uri(self) -> str:
        """The version that is served."""
        return self._uri

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        application, uri = self._current

        async def named(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, uri.encode())]
            await send(message)

        await application(scope, receive, named)

    def follow(self, ended: threading.Event) -> None:
        """Check the alias every second until the event is set."""
        while self._reference.alias and not ended.wait(POLL_SECONDS):
            try:
                self._look()
            except Exception as error:
                self._complain(_("{kind} while looking at the registry", kind=type(error).__name__))

    def _look(self) -> None:
        version = registry.look_up(self._client, self._reference)
        uri = runs.uri_of(version)
        if uri == self._uri:
            self._refused = ""
            return
        try:
            self._take(version)
        except Exception as error:
            self._complain(_("{uri} does not load: {kind}", uri=uri, kind=type(error).__name__))
        else:
            self._say(_("now serving {uri}", uri=uri))

    def _take(self, version: ModelVersion) -> None:
        uri = runs.uri_of(version)
        served = runs.load_model(self._workspace, version)
        application = ScoringServer(served, self._batcher, self._say)
        self._batcher.metrics.model.info({"name": version.name, "version": str(version.version)})
        self._uri = uri
        self._current = (application, uri)

    def _complain(self, why: str) -> None:
        """Report a failure once."""
        if why != self._refused:
            self._refused = why
            self._say(_("{why}; {uri} stays", why=why, uri=self._uri))


def over_http(application: Any, port: int) -> uvicorn.Server:
    """A server of an application on a loopback port."""
    import uvicorn

    config = uvicorn.Config(
        application,
        HOST,
        port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def serve(workspace: Workspace, model: str, port: int, limits: Limits, say: Say) -> None:
    """Serve NAME, NAME@ALIAS or NAME/VERSION on a loopback port until interrupted.

    ``say`` is called with the address, with each change of version, and with a summary at the end.

    Raises:
        ModelError: no such model.
        UserError: the port is taken.
    """
    quiet()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    refuse_taken(port, "--port")
    metrics = Metrics()
    batcher = Batcher(limits, metrics)
    follower = Follower(workspace, Reference.parse(model), batcher, say)
    application = Monitored(follower, metrics)
    server = over_http(application, port)
    ended = threading.Event()
    threading.Thread(target=follower.follow, args=(ended,), daemon=True).start()
    say(
        _(
            "serving {uri} at http://{host}:{port}/invocations",
            uri=follower.uri,
            host=HOST,
            port=port,
        )
    )
    try:
        server.run()
    finally:
        ended.set()
        batcher.close()
        if summary := metrics.summary():
            say(summary)
