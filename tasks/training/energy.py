"""Measure the energy of a training with CodeCarbon, if it is installed.

Hardware counters are read if this user has access to them. Otherwise the processor's power is
estimated as its rated power times this process's share of CPU time. Nothing goes to the network.
Only the event log is written: watt-hours every minute and at the end, so that a killed run loses
those of at most a minute.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.training.events import EventLog, Record

if TYPE_CHECKING:
    import torch
    from codecarbon import OfflineEmissionsTracker

SECONDS_BETWEEN_EVENTS = 60.0
PARTS = ("cpu", "gpu", "ram")
ESTIMATES = ("cpu_load", "constant")
"""CodeCarbon's modes that estimate the processor's power without a counter."""
How = dict[str, Literal["measured", "estimated"]]


class Meter:
    """Logs the energy that a block uses; never raises, and does nothing if it cannot measure.

    Attributes:
        how: by hardware part, whether it is measured or estimated; None if it is neither.
    """

    def __init__(self, events: EventLog) -> None:
        self.how: How | None = None
        self._events = events
        self._tracker: OfflineEmissionsTracker | None = None
        self._lock = threading.Lock()
        self._ended = False

    def prepare(self, folder: Path, device: torch.device) -> None:
        """Detect the hardware, which takes about a second."""
        try:
            self._tracker = _tracker(self, folder, device)
            self.how = _methods(self._tracker, device)
        except ImportError:
            return
        except Exception as error:
            self._fail(error)

    def __enter__(self) -> Meter:
        """Start measuring."""
        if self._tracker:
            self._attempt(self._tracker.start)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop measuring and log the rest."""
        if self._tracker:
            self._attempt(partial(self._end, self._tracker))

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            self._fail(error)

    def _end(self, tracker: OfflineEmissionsTracker) -> None:
        tracker.stop()
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            # CodeCarbon swallows its own errors, and then does not call `out`.
            raise RuntimeError("CodeCarbon stopped without a result")

    def live_out(self, total: Any, since: Any) -> None:
        """Log the energy since the last call; CodeCarbon calls it from its own thread."""
        self._log(since, last=False)

    def out(self, total: Any, since: Any) -> None:
        """Log the energy since the last call; CodeCarbon calls it last."""
        self._log(since, last=True)

    def _log(self, since: Any, last: bool) -> None:
        used = {f"{part}_wh": 1000 * getattr(since, f"{part}_energy") for part in PARTS}
        with self._lock:
            # No energy event may follow the final event of the log.
            if not self._ended:
                self._events.append("energy", **used)
            self._ended = self._ended or last

    def exit(self) -> None:
        """Do nothing; CodeCarbon calls it after it has stopped."""

    def _fail(self, error: Exception) -> None:
        self.how, self._tracker = None, None
        self._events.append("energy", problem=f"{type(error).__name__}: {error}")


def _tracker(meter: Meter, folder: Path, device: torch.device) -> OfflineEmissionsTracker:
    """A tracker that has detected the hardware; user settings cannot make it print or send."""
    # Its messages would end the worker's log, whose last line is reported after a failure.
    logging.getLogger("codecarbon").disabled = True
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        output_methods=[],
        output_handlers=[meter],
        output_dir=str(folder),
        emissions_endpoint=None,
        # A given carbon intensity avoids a request to the network.
        force_carbon_intensity_g_co2e_kwh=0.0,
        # Otherwise it would replace the signal handlers of this process.
        allow_multiple_runs=True,
        # Count the load of this process only, not that of others on the machine.
        tracking_mode="process",
        gpu_ids=_gpus(device),
        measure_power_secs=SECONDS_BETWEEN_EVENTS,
        api_call_interval=1,
    )
    tracker.get_detected_hardware()
    return tracker


def _gpus(device: torch.device) -> list[int]:
    """The NVML index of the device; NVML and CUDA order devices differently."""
    if device.type != "cuda":
        return []
    import pynvml
    import torch

    pynvml.nvmlInit()
    uuid = str(torch.cuda.get_device_properties(device).uuid).removeprefix("GPU-")
    return [pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))]


def _methods(tracker: OfflineEmissionsTracker, device: torch.device) -> How:
    found = {type(part).__name__: part for part in tracker._hardware}
    counted = getattr(found.get("CPU"), "_mode", None) not in ESTIMATES
    how: How = {"cpu": "measured" if counted else "estimated", "ram": "estimated"}
    if device.type == "cuda":
        how["gpu"] = "measured"
    if missing := {"RAM", *(["GPU"] if "gpu" in how else [])} - set(found):
        raise RuntimeError(f"CodeCarbon found no {' and no '.join(sorted(missing))}")
    return how


def total(records: Iterable[Record]) -> Record | None:
    """The energy of a run, summed over its workers; None unless all measured until their end.

    It has ``wh``, and by hardware part the watt-hours and whether they are measured or estimated.
    """
    records = list(records)
    used = [record for record in records if record["kind"] == "energy"]
    workers = [record.get("energy") or {} for record in records if record["kind"] == "started"]
    if not used or not all(workers) or any("problem" in record for record in used):
        return None
    parts = [part for part in PARTS if any(part in how for how in workers)]
    watt_hours = {part: sum(record[f"{part}_wh"] for record in used) for part in parts}
    found = {
        part: "measured" if all(how.get(part) == "measured" for how in workers) else "estimated"
        for part in parts
    }
    return {"wh": sum(watt_hours.values()), "parts": watt_hours, "how": found}
