"""Tokenizers: load those of pretrained models, train those of models from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from configs.errors import ModelError, Problem

START, PAD, END, UNKNOWN, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
SPECIAL: Final = [START, PAD, END, UNKNOWN, MASK]


def load(
    path: Path,
    *,
    family_class: bool = True,
    exact: bool = True,
    ends: bool = False,
    languages: tuple[str, str] | None = None,
) -> Any:
    """Load a tokenizer from a local folder; one without a padding token pads with its end token.

    Args:
        path: the model's folder.
        family_class: load the class of the model family, which also saves it as such; otherwise
            load only ``tokenizer.json``, which does not import torch.
        exact: whether offsets into the text are needed, which only fast tokenizers have.
        ends: whether an end token is needed, at which generation stops.
        languages: source and target, for multilingual tokenizers.

    Raises:
        ModelError: the folder has no tokenizer of the wanted kind.
    """
    try:
        tokenizer = _class(path, family_class).from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error)[:200].partition("\n")[0]
        raise ModelError(Problem(str(path), f"the tokenizer cannot be loaded: {reason}")) from None
    if exact and not tokenizer.is_fast:
        advice = "save the model with a tokenizer.json"
        raise ModelError(Problem(str(path), "expected a fast tokenizer", advice))
    if ends and tokenizer.eos_token is None:
        advice = "name one in tokenizer_config.json"
        raise ModelError(Problem(str(path), "the tokenizer has no end token", advice))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"
    if languages is not None:
        _set_languages(tokenizer, *languages)
    return tokenizer


def _class(path: Path, family_class: bool) -> Any:
    if (path / "tokenizer.json").exists() and not family_class:
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast
    from transformers import AutoTokenizer

    return AutoTokenizer


def _set_languages(tokenizer: Any, source: str, target: str) -> None:
    """Set the languages of a multilingual tokenizer, such as mBART's, by its own codes."""
    if not hasattr(tokenizer, "src_lang"):
        return
    tokenizer.src_lang = language_code(tokenizer, source)
    tokenizer.tgt_lang = language_code(tokenizer, target)


def language_code(tokenizer: Any, language: str) -> str:
    """The code that a multilingual tokenizer has for a language, such as ``zh_CN`` for ``zh``.

    Raises:
        ModelError: it knows no such language.
    """
    known = [str(token).strip("_") for token in tokenizer.all_special_tokens]
    known += [str(name) for name in getattr(tokenizer, "lang_code_to_id", {})]
    for code in dict.fromkeys(known):
        if code == language or code.partition("_")[0] == language:
            return code
    message = f"the model's tokenizer knows no language {language!r}"
    raise ModelError(Problem("language", message, "give the model's own code, such as zh_CN"))


def train(
    texts: Iterable[str],
    kind: str,
    vocabulary: int,
    folder: Path,
    *,
    writes: bool,
    where: str = "model.scratch.vocab_size",
) -> Any:
    """Train a tokenizer and save it.

    Args:
        texts: the training texts.
        kind: as ``model.scratch.tokenizer``.
        vocabulary: maximum number of tokens, special ones included.
        folder: where to save it.
        writes: add only an end token, as for targets and for inputs of generating models;
            otherwise a start and an end token, as for inputs of encoders.
        where: the field that declares the vocabulary.

    Returns:
        A ``PreTrainedTokenizerFast``.

    Raises:
        ModelError: the texts have more characters than the vocabulary may have tokens.
    """
    backend, trainer = _parts(kind, vocabulary)
    try:
        backend.train_from_iterator(texts, trainer)
    except Exception as error:
        # The library raises plain exceptions.
        if "vocabulary" not in str(error):
            raise
        message = f"{vocabulary} tokens are too few for the characters of the training rows"
        raise ModelError(Problem(where, message, "declare a larger vocabulary")) from None
    backend.post_processor = _template(backend, writes)
    tokenizer = _tokenizer(backend)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _tokenizer(backend: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    kind: Any = PreTrainedTokenizerFast
    return kind(
        tokenizer_object=backend,
        bos_token=START,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        mask_token=MASK,
        cls_token=START,
        sep_token=END,
        model_input_names=["input_ids", "attention_mask"],
    )


def _parts(kind: str, vocabulary: int) -> tuple[Any, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    shared: dict[str, Any] = {"special_tokens": SPECIAL, "show_progress": False}
    if kind == "bpe":
        backend = Tokenizer(models.BPE(unk_token=UNKNOWN))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        return backend, trainers.BpeTrainer(
            vocab_size=vocabulary, initial_alphabet=alphabet, **shared
        )
    if kind == "unigram":
        backend = Tokenizer(models.Unigram())
        # Not NFKC, which replaces the full-width punctuation of Chinese.
        backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        return backend, trainers.UnigramTrainer(vocab_size=vocabulary, unk_token=UNKNOWN, **shared)
    backend = Tokenizer(
        models.WordPiece(unk_token=UNKNOWN)
        if kind == "wordpiece"
        else models.WordLevel(unk_token=UNKNOWN)
    )
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer if kind == "wordpiece" else trainers.WordLevelTrainer
    return backend, trainer(vocab_size=vocabulary, **shared)


def _template(backend: Any, writes: bool) -> Any:
    from tokenizers.processors import TemplateProcessing

    single, pair = f"{START} $A {END}", f"{START} $A {END} $B:1 {END}:1"
    if writes:
        single, pair = f"$A {END}", f"$A {END} $B:1 {END}:1"
    ids = [(token, backend.token_to_id(token)) for token in (START, END)]
    return TemplateProcessing(single=single, pair=pair, special_tokens=ids)
