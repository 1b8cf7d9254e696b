"""Device, precision and attention kernel: what ``auto`` means on this machine."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch

from configs.errors import ModelError
from configs.language import _
from tasks import cores

Precision = Literal["fp32", "bf16"]
NATIVE_BF16_CPU = ("amx_bf16", "avx512_bf16")
AMPERE = (8, 0)


def choose_device(declared: str) -> torch.device:
    """The declared device, or a CUDA device if there is one.

    Raises:
        ModelError: a CUDA device is declared and there is none.
    """
    if declared == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if declared == "cuda" and not torch.cuda.is_available():
        message = _("expected a CUDA device, found none that this build of PyTorch can use")
        raise ModelError.at("compute.device", message, _("set it to auto or cpu"))
    return torch.device(declared)


def choose_precision(declared: str, device: torch.device) -> Precision:
    """The declared precision, or bf16 where the hardware multiplies it natively."""
    if declared in ("fp32", "bf16"):
        return "bf16" if declared == "bf16" else "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= AMPERE else "fp32"
    return "bf16" if _cpu_has_bf16() else "fp32"


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in NATIVE_BF16_CPU)


def attention_kernels(declared: str, device: torch.device) -> tuple[str, ...]:
    """The attention kernels to try, best first: the declared one alone, unless that is ``auto``.

    On a CPU eager attention trains faster than sdpa with dropout.
    """
    if declared != "auto":
        return (declared,)
    return ("sdpa", "eager") if device.type == "cuda" else ("eager",)


def use_threads(threads: int | None) -> int:
    """Set the CPU threads of this process; by default one per available core."""
    count = threads or cores.available()
    torch.set_num_threads(count)
    return count


def peak_memory(device: torch.device) -> int:
    """Highest memory so far in bytes: of the device, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _peak_resident()


def _peak_resident() -> int:
    # On Linux, `ru_maxrss` of a process starts at its parent's value.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
