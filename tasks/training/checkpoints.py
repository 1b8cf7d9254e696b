"""Checkpoints: everything that a run needs to resume exactly where it stopped.

A checkpoint is a folder created by one atomic rename: weights and optimizer moments in safetensors,
the rest in JSON. No pickle is written or read.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from configs.files import PARTIAL
from tasks.store import commit_folder, read_json, write_json
from tasks.trace import span
from tasks.training.step import Learner

FOLDER = "checkpoints"


@dataclass(frozen=True, slots=True)
class Position:
    """The progress of a run: optimizer steps done, epochs validated, and the best value so far."""

    step: int = 0
    epoch: int = 0
    best: float | None = None
    best_epoch: int | None = None


@span("checkpoint")
def save(folder: Path, learner: Learner, position: Position) -> Path:
    """Write a checkpoint atomically and drop the older ones."""
    final = folder / FOLDER / f"step-{position.step:08d}-{position.epoch:04d}"
    if final.exists():
        return final
    partial = final.with_name(final.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(own_tensors(learner.model), partial / "model.safetensors")
    if learner.average is not None:
        save_file(own_tensors(learner.average), partial / "average.safetensors")
    tensors, optimizer = _flatten(learner.optimizer.state_dict())
    save_file(tensors, partial / "optimizer.safetensors")
    save_file(_generators(), partial / "generators.safetensors")
    record = {"position": asdict(position), "optimizer": optimizer, "random": random.getstate()}
    record["schedule"] = {"last_epoch": learner.schedule.last_epoch}
    write_json(partial / "state.json", record | {"numpy": _numpy_state()})
    commit_folder(partial, final)
    for other in (folder / FOLDER).iterdir():
        if other != final:
            shutil.rmtree(other)
    return final


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a job; those of a killed worker may be incomplete."""
    complete = [p for p in (folder / FOLDER).glob("step-*") if p.suffix != PARTIAL]
    return max(complete, default=None)


def restore(checkpoint: Path, learner: Learner) -> Position:
    """Load a checkpoint into a freshly built learner and set every random generator."""
    device = str(learner.accelerator.device)
    load_tensors(learner.model, checkpoint / "model.safetensors", device)
    if learner.average is not None:
        load_tensors(learner.average, checkpoint / "average.safetensors", device)
    record = read_json(checkpoint / "state.json")
    tensors = load_file(checkpoint / "optimizer.safetensors")
    fresh = learner.optimizer.param_groups
    learner.optimizer.load_state_dict(_unflatten(tensors, record["optimizer"], fresh))
    # Not load_state_dict: LambdaLR's also expects its functions, which are not saved.
    learner.schedule.last_epoch = record["schedule"]["last_epoch"]
    learner.schedule._last_lr = [group["lr"] for group in learner.optimizer.param_groups]
    _restore_generators(load_file(checkpoint / "generators.safetensors"), record)
    return Position(**record["position"])


def own_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer once, contiguous; a shared one has its first name."""
    seen: set[int] = set()
    tensors = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.detach().contiguous()
    return tensors


def load_tensors(model: nn.Module, path: Path, device: str = "cpu") -> None:
    """Load what :func:`own_tensors` saved; tied tensors follow their first name."""
    missing, unexpected = model.load_state_dict(load_file(path, device=device), strict=False)
    absent = set(missing) - (model.state_dict().keys() - own_tensors(model).keys())
    if unexpected or absent:
        raise ValueError(f"{path} does not fit the model: {sorted(absent)} {sorted(unexpected)}")


def _flatten(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split an optimizer's state into tensors and JSON values."""
    tensors: dict[str, torch.Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    for index, entry in state["state"].items():
        values[str(index)] = {}
        for name, value in entry.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.contiguous()
            else:
                values[str(index)][name] = value
    return tensors, {"groups": state["param_groups"], "values": values}


def _unflatten(
    tensors: dict[str, torch.Tensor], record: dict[str, Any], fresh: list[dict[str, Any]]
) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(i): entry for i, entry in record["values"].items()}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state[int(index)][name] = value
    groups = [
        {name: _with_tuples(own.get(name), value) for name, value in group.items()}
        for own, group in zip(fresh, record["groups"], strict=True)
    ]
    return {"state": state, "param_groups": groups}


def _with_tuples(own: Any, value: Any) -> Any:
    """Restore tuples, which JSON stores as lists, where a freshly built optimizer has them."""
    if isinstance(value, list) and isinstance(own, list | tuple):
        return type(own)(_with_tuples(*pair) for pair in zip(own, value, strict=True))
    return value


def _generators() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _numpy_state() -> list[Any]:
    name, keys, position, has_gauss, cached = np.random.get_state()
    return [name, np.asarray(keys).tolist(), position, has_gauss, cached]


def _restore_generators(states: dict[str, torch.Tensor], record: dict[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    cuda = [states[f"cuda.{i}"] for i in range(len(states) - 1)]
    if cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(cuda)
    version, internal, gauss = record["random"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = record["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
