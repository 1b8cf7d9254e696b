"""How much of the machine this process may use."""

import os


def available() -> int:
    """CPU cores, those that the process is bound to where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
