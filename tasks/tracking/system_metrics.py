"""Log CPU, memory, disk and network of the machine during a training, for MLflow's charts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

LOOK_SECONDS = 1.0


class LoadMonitor:
    """Runs MLflow's system monitor for a run; a server that is down only delays it.

    It samples every ten seconds, or as ``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` says, and
    continues after the last step of the run, so that a resumed run has each step once. If several
    processes train the same run, only the machine of the one that ``writes`` is shown.
    """

    def __init__(
        self, run_id: Callable[[], str], tracking_uri: str, writes: Callable[[], bool]
    ) -> None:
        self.run_id = run_id
        self.tracking_uri = tracking_uri
        self.writes = writes
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="load", daemon=True)

    def start(self) -> LoadMonitor:
        """Start in the background."""
        self._thread.start()
        return self

    def close(self, seconds: float) -> None:
        """Send what is left, at most for ``seconds``."""
        self._ending.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        monitor: SystemMetricsMonitor | None = None
        while not self._ending.is_set():
            if monitor is None and self.writes():
                monitor = self._open()
                if monitor is not None:
                    monitor.start()  # type: ignore[no-untyped-call]
            elif monitor is not None and not self.writes():
                monitor.finish()  # type: ignore[no-untyped-call]
                monitor = None
            self._ending.wait(LOOK_SECONDS)
        if monitor is not None:
            monitor.finish()  # type: ignore[no-untyped-call]

    def _open(self) -> SystemMetricsMonitor | None:
        from mlflow.exceptions import MlflowException
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
        from requests.exceptions import RequestException

        try:
            return SystemMetricsMonitor(  # type: ignore[no-untyped-call]
                self.run_id(), resume_logging=True, tracking_uri=self.tracking_uri
            )
        except (MlflowException, RequestException):
            return None
