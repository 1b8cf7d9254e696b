"""What ``auto`` means on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import ModelError
from tasks import cores
from tasks.training import hardware

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("present", "device"), [(True, CUDA), (False, CPU)])
def test_auto_takes_a_cuda_device_if_there_is_one(
    present: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    assert hardware.choose_device("auto") == device
    assert hardware.choose_device("cpu") == CPU


def test_a_declared_cuda_device_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"compute\.device: expected a CUDA device"):
        hardware.choose_device("cuda")


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "fp32"), ((9, 0), "bf16")])
def test_precision_of_a_cuda_device_follows_its_generation(
    capability: tuple[int, int], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert hardware.choose_precision("auto", CUDA) == precision


@pytest.mark.parametrize(
    ("flags", "precision"), [("fma avx512_bf16", "bf16"), ("fma avx512f", "fp32")]
)
def test_precision_of_a_cpu_follows_its_flags(
    flags: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text: Any = lambda path, **settings: f"flags : {flags}"  # noqa: E731
    monkeypatch.setattr(Path, "read_text", text)
    assert hardware.choose_precision("auto", CPU) == precision


@pytest.mark.parametrize("declared", ["fp32", "bf16"])
def test_a_declared_precision_is_taken(declared: str) -> None:
    assert hardware.choose_precision(declared, CPU) == declared


def test_the_declared_attention_kernel_is_the_only_one() -> None:
    assert hardware.attention_kernels("sdpa", CPU) == ("sdpa",)
    assert hardware.attention_kernels("auto", CPU) == ("eager",)
    assert hardware.attention_kernels("auto", CUDA) == ("sdpa", "eager")


def test_threads_are_set_for_the_process() -> None:
    before = torch.get_num_threads()
    try:
        assert (hardware.use_threads(2), torch.get_num_threads()) == (2, 2)
        assert hardware.use_threads(None) == cores.available()
    finally:
        torch.set_num_threads(before)


def test_peak_memory_is_of_this_process_in_bytes() -> None:
    before = hardware.peak_memory(CPU)
    assert before > 50e6
    block = torch.ones(64 << 20)
    assert hardware.peak_memory(CPU) >= block.nbytes
