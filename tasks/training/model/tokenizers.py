"""Tokenizers: load those of pretrained models, train those of models from scratch."""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from configs.errors import ModelError
from configs.language import _

START, PAD, END, UNKNOWN, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
SPECIAL: Final = [START, PAD, END, UNKNOWN, MASK]
SHARED: Final[dict[str, Any]] = {"special_tokens": SPECIAL, "show_progress": False}
RESERVED: Final = "\t\n\r\0\u2581\u2585"
"""Signs that SentencePiece keeps for itself."""


def load(
    path: Path,
    *,
    exact: bool = True,
    ends: bool = False,
    languages: tuple[str, str] | None = None,
) -> Any:
    """Load a tokenizer from a local folder; one without a padding token pads with its end token.

    Args:
        exact: whether offsets into the text are needed, which only fast tokenizers have.
        ends: whether an end token is needed, at which generation stops.
        languages: source and target, for multilingual tokenizers.

    Raises:
        ModelError: the folder has no tokenizer of the wanted kind.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error)[:200].partition("\n")[0]
        raise ModelError.at(
            path, _("the tokenizer cannot be loaded: {reason}", reason=reason)
        ) from None
    if exact and not tokenizer.is_fast:
        advice = _("save the model with a tokenizer.json")
        raise ModelError.at(path, _("expected a fast tokenizer"), advice)
    if ends and tokenizer.eos_token is None:
        advice = _("name one in tokenizer_config.json")
        raise ModelError.at(path, _("the tokenizer has no end token"), advice)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"
    read_special_tokens_as_text(tokenizer)
    if languages is not None:
        _set_languages(tokenizer, *languages)
    return tokenizer


def read_special_tokens_as_text(tokenizer: Any) -> None:
    """Keep texts from spelling special tokens, such as ``</s>`` or ``[SEP]``; also when saved."""
    tokenizer.split_special_tokens = tokenizer.init_kwargs["split_special_tokens"] = True
    if not tokenizer.is_fast:
        return
    from tokenizers.normalizers import Replace, Sequence

    backend = tokenizer.backend_tokenizer
    # Models with pieces for them, such as Unigram, find them in texts nevertheless.
    spelled = [
        Replace(token.content, f"{token.content[0]} {token.content[1:]}")
        for id_, token in backend.get_added_tokens_decoder().items()
        if token.special and len(token.content) > 1 and _is_read(tokenizer, token.content, id_)
    ]
    if spelled:
        own = [backend.normalizer] if backend.normalizer is not None else []
        backend.normalizer = Sequence([*own, *spelled])


def _is_read(tokenizer: Any, token: str, id_: int) -> bool:
    texts = [token, f"a {token} b", f"a{token}b"]
    return any(id_ in ids for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])


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
    message = _("the model's tokenizer knows no language {language!r}", language=language)
    raise ModelError.at("language", message, _("give the model's own code, such as zh_CN"))


def train(
    texts: Iterable[str],
    kind: str,
    vocabulary: int,
    folder: Path,
    *,
    writes: bool,
    where: str = "model.scratch.vocab_size",
) -> Any:
    """Train a tokenizer and save it; the same texts and settings give the same files.

    Args:
        texts: the training texts, which are read twice.
        kind: as ``model.scratch.tokenizer``.
        vocabulary: maximum number of tokens, special ones included.
        writes: add only an end token, as for targets and for inputs of generating models;
            otherwise a start and an end token, as for inputs of encoders.
        where: the field that declares the vocabulary.

    Returns:
        A ``PreTrainedTokenizerFast``.

    Raises:
        ModelError: the texts have more characters than the vocabulary may have tokens.
    """
    try:
        backend = BACKENDS[kind](texts, vocabulary)
    except Exception as error:
        # The library raises plain exceptions.
        if "vocabulary size is smaller" not in str(error).lower():
            raise
        message = _(
            "{vocabulary} tokens are too few for the characters of the training rows",
            vocabulary=vocabulary,
        )
        raise ModelError.at(where, message, _("declare a larger vocabulary")) from None
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


def _bpe(texts: Iterable[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE(unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, **SHARED)
    backend.train_from_iterator(texts, trainer)
    return backend


def _unigram(texts: Iterable[str], vocabulary: int) -> Any:
    """Trained by SentencePiece: the trainer of `tokenizers` adds in an order that changes."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = Counter(
        word for text in texts for word in unicodedata.normalize("NFC", text).split(" ")
    )
    reserved = sorted(set(RESERVED) & set().union(*words))
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=_counted(words),
        input_format="tsv",
        model_writer=model,
        # Besides its own three special tokens.
        vocab_size=vocabulary - len(SPECIAL) - len(reserved) + 3,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        split_by_unicode_script=False,
        split_by_number=False,
        max_sentence_length=2**30,
        minloglevel=2,
    )
    trained = SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [(trained.id_to_piece(n), trained.get_score(n)) for n in range(3, len(trained))]
    rarest = min((score for _, score in pieces), default=0.0)
    scores = dict.fromkeys(SPECIAL, 0.0) | dict.fromkeys(reserved, rarest) | dict(pieces)
    vocab = list(scores.items())
    backend = Tokenizer(models.Unigram(vocab, SPECIAL.index(UNKNOWN), byte_fallback=False))
    # Not NFKC, which replaces the full-width punctuation of Chinese.
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(SPECIAL)
    return backend


def _counted(words: Mapping[str, int]) -> Iterator[str]:
    """Lines of a word and its count; it stands there twice, or only its parts would be candidates
    for tokens, which begin more than one text.
    """
    counts = Counter[str]()
    for word, count in words.items():
        for part in word.translate(dict.fromkeys(map(ord, RESERVED), " ")).split():
            counts[part] += count
    for part, count in sorted(counts.items()) or [(END, 1)]:
        yield f"{part} {part}\t{count}"


def _words(texts: Iterable[str], vocabulary: int) -> Any:
    from tokenizers import models, trainers

    backend = _split_as_bert(models.WordLevel(unk_token=UNKNOWN))
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary, **SHARED)
    backend.train_from_iterator(texts, trainer)
    return backend


def _wordpiece(texts: Iterable[str], vocabulary: int) -> Any:
    """Trained in two steps, since the trainer numbers signs inside words in an order that changes,
    and the numbers decide between pairs that are equally frequent.
    """
    from tokenizers import models, trainers

    trained = _split_as_bert(models.WordPiece(unk_token=UNKNOWN))
    signs = trainers.WordPieceTrainer(vocab_size=0, show_progress=False)
    trained.train_from_iterator(texts, signs)
    inner = sorted(token for token in trained.get_vocab() if token.startswith("##"))
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[*SPECIAL, *inner], show_progress=False
    )
    trained.train_from_iterator(texts, trainer)
    backend = _split_as_bert(models.WordPiece(trained.get_vocab(), unk_token=UNKNOWN))
    backend.add_special_tokens(SPECIAL)
    return backend


def _split_as_bert(model: Any) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    backend = Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


BACKENDS: Final[dict[str, Callable[[Iterable[str], int], Any]]] = {
    "bpe": _bpe,
    "unigram": _unigram,
    "wordpiece": _wordpiece,
    "words": _words,
}
"""Trained backends by ``model.scratch.tokenizer``."""


def _template(backend: Any, writes: bool) -> Any:
    from tokenizers.processors import TemplateProcessing

    single, pair = f"{START} $A {END}", f"{START} $A {END} $B:1 {END}:1"
    if writes:
        single, pair = f"$A {END}", f"$A {END} $B:1 {END}:1"
    ids = [(token, backend.token_to_id(token)) for token in (START, END)]
    return TemplateProcessing(single=single, pair=pair, special_tokens=ids)
