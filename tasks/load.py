"""CPU, memory, disk and network of the machine while a training goes on, for MLflow's charts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

PAUSE_SECONDS = 15.0


class LoadMonitor:
    """Runs MLflow's monitor for a run that a client made; a server that is down only delays it.

    It samples every ten seconds, or as ``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` says, and goes
    on at the step after the last one that the run has, so that a resumed run has each step once.

    Args:
        run_id: gives the run's id, opening the run if need be; may raise while the server is down.
        tracking_uri: of the server.
    """

    def __init__(self, run_id: Callable[[], str], tracking_uri: str) -> None:
        self.run_id = run_id
        self.tracking_uri = tracking_uri
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="load", daemon=True)

    def start(self) -> LoadMonitor:
        """Begin in the background."""
        self._thread.start()
        return self

    def close(self, seconds: float) -> None:
        """Send what is left, at most for ``seconds``."""
        self._ending.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        while not self._ending.is_set():
            if (monitor := self._opened()) is not None:
                monitor.start()  # type: ignore[no-untyped-call]
                self._ending.wait()
                monitor.finish()  # type: ignore[no-untyped-call]
                return
            self._ending.wait(PAUSE_SECONDS)

    def _opened(self) -> SystemMetricsMonitor | None:
        from mlflow.exceptions import MlflowException
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
        from requests.exceptions import RequestException

        try:
            return SystemMetricsMonitor(  # type: ignore[no-untyped-call]
                self.run_id(), resume_logging=True, tracking_uri=self.tracking_uri
            )
        except (MlflowException, RequestException):
            return None
