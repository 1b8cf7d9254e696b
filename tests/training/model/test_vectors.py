from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from configs.errors import ModelError
from configs.schema import Model
from tasks.training.model import initial_model, vectors

# Gensim leaves the closing of files without a header to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
WORDS = ["the", "parcel", "late", "包裹", "</s>", "Oslo"]
WIDTH = 8
FORMATS = ("word2vec.txt", "word2vec.bin", "glove.txt", "word2vec.txt.gz", "glove.txt.gz")


def known() -> KeyedVectors:
    found = KeyedVectors(WIDTH)
    numbers = np.random.default_rng(0).normal(size=(len(WORDS), WIDTH)).astype(np.float32)
    found.add_vectors(WORDS, numbers)
    return found


def write(path: Path) -> Path:
    """Write the vectors in the format that the name says."""
    name = path.name.removesuffix(".gz")
    plain = path.with_name(name)
    header = name.startswith("word2vec")
    known().save_word2vec_format(str(plain), binary=name.endswith(".bin"), write_header=header)
    if path != plain:
        path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / request.param)


def test_every_format_loads(file: Path) -> None:
    assert vectors.width(file) == WIDTH
    loaded = vectors.load(file)
    assert loaded.index_to_key == WORDS
    np.testing.assert_allclose(loaded.vectors, known().vectors, rtol=1e-5, atol=1e-6)


def test_words_find_their_vectors(file: Path) -> None:
    vocabulary = {"包裹": 0, "the": 1, "unheard": 2, "The": 3, "oslo": 4, "</s>": 5}
    found, covered = vectors.matrix(file, vocabulary)
    assert found.shape == (6, WIDTH)
    assert found.dtype == np.float32
    assert covered.tolist() == [True, True, False, True, False, True]
    wanted = known()
    for position, word in [(0, "包裹"), (1, "the"), (3, "the"), (5, "</s>")]:
        np.testing.assert_allclose(found[position], wanted[word], rtol=1e-5, atol=1e-6)
    assert not found[~covered].any()


def scratch(path: Path, size: int) -> Model:
    section = {
        "architecture": "encoder",
        "hidden_size": size,
        "num_heads": 2,
        "tokenizer": "words",
        "vectors": path.name,
    }
    return Model.model_validate({"scratch": section}).below(path.parent)


def test_the_width_of_the_model_is_that_of_the_vectors(file: Path) -> None:
    base = initial_model.find(scratch(file, WIDTH), "topics")
    assert base.vectors == file
    with pytest.raises(ModelError) as caught:
        initial_model.find(scratch(file, 16), "topics")
    assert str(caught.value) == (
        f"model.scratch.vectors: expected vectors of width 16, found 8 in {file.name} "
        "(set model.scratch.hidden_size: 8, or name other vectors)"
    )


def test_other_vectors_are_another_model(tmp_path: Path) -> None:
    path = write(tmp_path / "glove.txt")
    first = initial_model.find(scratch(path, WIDTH), "topics")
    path.write_text(path.read_text(encoding="utf-8").replace("late", "soon"), encoding="utf-8")
    assert initial_model.find(scratch(path, WIDTH), "topics").digest != first.digest


def test_a_missing_file_names_its_field(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^model\.scratch\.vectors: no such file: "):
        initial_model.find(scratch(tmp_path / "nowhere.txt", WIDTH), "topics")


@pytest.mark.parametrize("content", [b"", b"\n", b"a text of words\n", b"word\n", b"\x00\x01\xff"])
def test_what_is_no_vector_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"^model\.scratch\.vectors: expected a Word2Vec header"):
        vectors.width(path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_cut_file_is_refused(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    content = path.read_bytes()
    cut = len(content) * 2 // 3
    path.write_bytes(content[: content.rfind(b" ", 0, cut) if name == "glove.txt" else cut])
    with pytest.raises(ModelError, match=rf"^model\.scratch\.vectors: {name} cannot be read"):
        vectors.load(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "glove.txt.gz")
    content = bytearray(path.read_bytes())
    content[12:60] = bytes(48)
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"glove\.txt\.gz cannot be read"):
        vectors.width(path)
    with pytest.raises(ModelError, match=r"glove\.txt\.gz cannot be read"):
        vectors.load(path)


def test_vectors_of_different_widths_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "glove.txt")
    with path.open("a", encoding="utf-8") as stream:
        stream.write("short 0.1 0.2\n")
    with pytest.raises(ModelError, match="cannot be read"):
        vectors.load(path)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("the 0.1 0.2\nparcel nan 0.3\n", encoding="utf-8")
    with pytest.raises(ModelError, match="infinite or missing numbers"):
        vectors.matrix(path, {"parcel": 0, "the": 1})
    assert vectors.matrix(path, {"the": 0})[1].all()
