"""Word vectors: Word2Vec (text or binary) and GloVe files, through gensim."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ModelError
from configs.language import _

GZIP = b"\x1f\x8b"
WHERE = "model.scratch.vectors"
DAMAGED = (ValueError, EOFError, OSError, zlib.error)


def width(path: Path) -> int:
    """Dimension of the vectors, from the first line of the file.

    Raises:
        ModelError: the first line is neither a header nor a word and its numbers.
    """
    fields = _first_line(path).split()
    if _is_header(fields):
        return int(fields[1])
    try:
        numbers = [float(field) for field in fields[1:]]
    except ValueError:
        numbers = []
    if len(numbers) < 2:
        message = _(
            "expected a Word2Vec header, or a word and its numbers, in {name}", name=path.name
        )
        raise ModelError.at(WHERE, message, _("give a Word2Vec or GloVe file, plain or .gz"))
    return len(numbers)


def _is_header(fields: list[bytes]) -> bool:
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _first_line(path: Path) -> bytes:
    try:
        with _open(path) as stream:
            return stream.readline(1 << 20)
    except DAMAGED as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError.at(
        WHERE, _("{name} cannot be read: {error}", name=path.name, error=str(error)[:100])
    )


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == GZIP
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]


def load(path: Path) -> Any:
    """Read a file of word vectors as Gensim's ``KeyedVectors``.

    Raises:
        ModelError: the file is damaged, or its vectors differ in width.
    """
    from gensim.models import KeyedVectors

    header = _is_header(_first_line(path).split())
    try:
        return KeyedVectors.load_word2vec_format(
            str(path), binary=header and _is_binary(path), no_header=not header
        )
    except DAMAGED as error:
        raise _damaged(path, error) from None


def _is_binary(path: Path) -> bool:
    """Whether raw floats follow the first word, not digits."""
    with _open(path) as stream:
        stream.readline()
        _, _, numbers = stream.read(1 << 12).partition(b" ")
    return bool(numbers[:16].translate(None, b"0123456789.eE+- \n"))


def matrix(path: Path, vocabulary: dict[str, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of the words of a vocabulary.

    Returns:
        Vectors of shape (tokens, width), zero for unknown words, and a mask of the known words. A
        word that the file lacks is looked up in lower case.

    Raises:
        ModelError: the file cannot be read.
    """
    known = load(path)
    found = np.zeros((len(vocabulary), known.vector_size), dtype=np.float32)
    covered = np.zeros(len(vocabulary), dtype=np.bool_)
    for token, position in vocabulary.items():
        name = token if token in known else token.lower()
        if name in known:
            found[position], covered[position] = known[name], True
    if not np.isfinite(found).all():
        raise ModelError.at(WHERE, _("{name} has infinite or missing numbers", name=path.name))
    return found, covered
