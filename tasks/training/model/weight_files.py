"""The files of a pretrained model's weights: which are loaded, and whether they are whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from configs.errors import Problem
from configs.language import _, english, translated
from tasks.store import read_json

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""The first bytes of the file that Git has in place of one that Git LFS stores."""
AGAIN: Final = english("copy or download it again")


def pointers(files: list[Path]) -> Iterator[Problem]:
    """The files that are only pointers of Git LFS."""
    for path in files:
        with path.open("rb") as stream:
            if stream.read(len(POINTER)) == POINTER:
                message = _("expected the file itself, found a pointer of Git LFS to it")
                advice = _(
                    "run 'git lfs install' and 'git lfs pull' in {parent}", parent=path.parent
                )
                yield Problem(str(path), message, advice)


def loaded(folder: Path, config: Mapping[str, Any]) -> list[Path]:
    """The safetensors files that Transformers loads, shards included; some may be missing."""
    named = folder / str(config.get("transformers_weights") or WEIGHTS)
    index = named if named.name.endswith(".index.json") else folder / INDEX
    if named != index and (named.exists() or not index.exists()):
        return [named]
    shards = read_json(index)["weight_map"].values()
    return [folder / name for name in sorted(set(shards))]


def faults(folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
    """What keeps the files from being loaded: missing or incomplete ones."""
    from safetensors import SafetensorError, safe_open

    if (folder / "adapter_config.json").exists():
        message = _("expected a whole model, found the adapter of one")
        advice = _("merge it into its model: merge_and_unload(), then save_pretrained()")
        yield Problem(str(folder), message, advice)
        return
    try:
        files = loaded(folder, config)
    except (ValueError, KeyError, TypeError, AttributeError):
        yield Problem(str(folder / INDEX), _("not an index of weights"), translated(AGAIN))
        return
    for path in files:
        if not path.is_file():
            yield Problem(
                str(path), _("the file is missing"), _("copy or download the whole folder")
            )
            continue
        try:
            with safe_open(path, framework="numpy"):
                pass
        except SafetensorError as error:
            message = _(
                "expected a safetensors file, found {size:,} bytes that are damaged or incomplete: "
                "{error}",
                size=path.stat().st_size,
                error=error,
            )
            yield Problem(
                str(path),
                message,
                translated(AGAIN),
            )
