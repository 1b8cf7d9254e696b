from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import CONFIG_MAPPING, AutoTokenizer, PreTrainedTokenizerFast

from configs.errors import ModelError
from tasks.applications.codec import Codec
from tasks.applications.shared.generation.serving import load_tokenizer
from tasks.training.model import tokenizers
from tests.support import writers
from tests.support.writers import SOURCES, TARGETS

KINDS = ("bpe", "unigram", "wordpiece", "words")
ENGLISH = "We open at nine, please call us!"
CHINESE = "我们九点开门，请给我们打电话！"


def train(kind: str, folder: Path, *, writes: bool = True, size: int = 400) -> Any:
    texts = [*SOURCES, *TARGETS, ENGLISH, CHINESE] * 3
    return tokenizers.train(texts, kind, size, folder, writes=writes)


@pytest.mark.parametrize("kind", KINDS)
def test_both_languages_come_back(kind: str, tmp_path: Path) -> None:
    tokenizer = train(kind, tmp_path)
    exact = kind in {"bpe", "unigram"}
    for text in (ENGLISH, CHINESE):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        found = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if exact:
            assert found == text
        else:
            assert found.replace(" ", "") == text.lower().replace(" ", "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writes", [True, False])
def test_texts_get_the_tokens_of_their_purpose(kind: str, writes: bool, tmp_path: Path) -> None:
    tokenizer = train(kind, tmp_path, writes=writes)
    start, end = tokenizer.convert_tokens_to_ids(["<s>", "</s>"])
    bare = tokenizer(ENGLISH, add_special_tokens=False)["input_ids"]
    other = tokenizer(CHINESE, add_special_tokens=False)["input_ids"]
    first = [] if writes else [start]
    assert tokenizer(ENGLISH)["input_ids"] == [*first, *bare, end]
    assert tokenizer(ENGLISH, CHINESE)["input_ids"] == [*first, *bare, end, *other, end]
    assert tokenizer.num_special_tokens_to_add() == 2 - writes
    assert tokenizer(ENGLISH, truncation=True, max_length=4)["input_ids"][-1] == end
    names = ("bos_token", "pad_token", "eos_token", "unk_token")
    assert [getattr(tokenizer, name) for name in names] == ["<s>", "<pad>", "</s>", "<unk>"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_is_the_trained_one(kind: str, tmp_path: Path) -> None:
    trained = train(kind, tmp_path)
    loaded = tokenizers.load(tmp_path)
    for text in (ENGLISH, CHINESE, *SOURCES):
        assert loaded(text)["input_ids"] == trained(text)["input_ids"]
        ids = loaded(text)["input_ids"]
        assert loaded.decode(ids) == trained.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["bert", "gpt2", "mbart", "marian", "bart"])
def test_a_served_folder_does_not_change_the_tokenizer(
    kind: str, family: str, tmp_path: Path
) -> None:
    """Transformers picks a tokenizer's class by the model beside it, if it is not careful."""
    trained = train(kind, tmp_path)
    CONFIG_MAPPING[family]().save_pretrained(tmp_path)
    served = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in (ENGLISH, CHINESE):
        ids = trained(text)["input_ids"]
        assert served(text)["input_ids"] == ids
        assert served.decode(ids, skip_special_tokens=True) == trained.decode(
            ids, skip_special_tokens=True
        )


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_gives_the_same_files(kind: str, tmp_path: Path) -> None:
    written = []
    for home in "abc":
        train(kind, tmp_path / home)
        written.append({path.name: path.read_bytes() for path in (tmp_path / home).iterdir()})
    assert written[0] == written[1] == written[2]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text("ab c\t\n\u2581\u2585\u00e9\u4f60", max_size=12), min_size=1))
@pytest.mark.parametrize("kind", ["unigram", "wordpiece"])
def test_any_texts_give_the_same_tokens_twice_and_come_back(
    kind: str, texts: list[str], tmp_path: Path
) -> None:
    texts = [*texts, "ab", "cab"]
    one, two = (tokenizers.train(texts, kind, 300, tmp_path, writes=True) for _ in range(2))
    assert one.backend_tokenizer.to_str() == two.backend_tokenizer.to_str()
    assert all(one.unk_token_id not in one(text)["input_ids"] for text in texts)


@pytest.mark.parametrize("kind", ["unigram", "wordpiece", "words"])
def test_the_vocabulary_is_no_larger_than_declared(kind: str, tmp_path: Path) -> None:
    assert len(train(kind, tmp_path, size=250)) <= 250


def test_a_vocabulary_smaller_than_the_alphabet_names_its_field(tmp_path: Path) -> None:
    texts = [chr(0x4E00 + n) for n in range(500)]
    with pytest.raises(ModelError, match=r"^model\.scratch\.vocab_size: 100 tokens are too few"):
        tokenizers.train(texts, "unigram", 100, tmp_path, writes=True)
    where = "model.decoder.vocab_size"
    with pytest.raises(ModelError, match=r"^model\.decoder\.vocab_size: 100 tokens"):
        tokenizers.train(texts, "unigram", 100, tmp_path, writes=True, where=where)


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {}}', encoding="utf-8")
    with pytest.raises(ModelError, match="the tokenizer cannot be loaded"):
        tokenizers.load(tmp_path)


SPELLED = ("</s>", "<s>struck</s> out", "a<mask>b", "It ended. </s></s>", "<pad> <s> <pad>")


@pytest.mark.parametrize("kind", KINDS)
def test_a_special_token_in_a_text_is_text_also_when_served(kind: str, tmp_path: Path) -> None:
    train(kind, tmp_path)
    loaded = tokenizers.load(tmp_path)
    loaded.save_pretrained(tmp_path / "served")
    served = PreTrainedTokenizerFast.from_pretrained(tmp_path / "served")
    special = set(loaded.convert_tokens_to_ids(["<s>", "</s>", "<pad>", "<mask>"]))
    for text in SPELLED:
        encoded = loaded(text, return_special_tokens_mask=True)
        pairs = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
        assert not {token for token, added in pairs if not added} & special
        assert served(text)["input_ids"] == encoded["input_ids"]
        assert len(encoded["input_ids"]) > len(loaded("")["input_ids"])


@pytest.mark.parametrize("family", ["mbart", "mbart50"])
def test_so_it_is_with_a_tokenizer_of_a_family(family: str, tmp_path: Path) -> None:
    folder = writers.multilingual_tokenizer(family, tmp_path)
    loaded = tokenizers.load(folder, exact=False, languages=("en", "zh"))
    loaded.save_pretrained(tmp_path / "served")
    served = load_tokenizer(tmp_path / "served")
    bare = loaded("")["input_ids"]
    special = {*loaded.all_special_ids} - {loaded.unk_token_id}
    for text in (*SPELLED, "en_XX"):
        ids = loaded(text)["input_ids"]
        assert sum(token in special for token in ids) == len(bare)
        assert served(text)["input_ids"] == ids


def test_what_writes_needs_an_end_token(tmp_path: Path) -> None:
    trained = train("bpe", tmp_path)
    assert tokenizers.load(tmp_path, ends=True).eos_token == "</s>"
    trained.eos_token = None
    trained.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the tokenizer has no end token"):
        tokenizers.load(tmp_path, ends=True)


def test_without_a_padding_token_the_end_token_pads(tmp_path: Path) -> None:
    trained = train("bpe", tmp_path)
    trained.pad_token = None
    trained.padding_side = "left"
    trained.save_pretrained(tmp_path)
    loaded = tokenizers.load(tmp_path)
    assert (loaded.pad_token, loaded.padding_side) == ("</s>", "right")


@pytest.mark.parametrize("family", ["mbart", "mbart50"])
@pytest.mark.parametrize(
    ("languages", "codes"),
    [(("en", "zh"), ("en_XX", "zh_CN")), (("zh_CN", "de"), ("zh_CN", "de_DE"))],
)
def test_languages_are_found_by_their_own_codes(
    family: str, languages: tuple[str, str], codes: tuple[str, str], tmp_path: Path
) -> None:
    folder = writers.multilingual_tokenizer(family, tmp_path)
    tokenizer = tokenizers.load(folder, exact=False, languages=languages)
    assert (tokenizer.src_lang, tokenizer.tgt_lang) == codes
    # The served model's tokenizer knows them too.
    tokenizer.save_pretrained(tmp_path / "served")
    served = AutoTokenizer.from_pretrained(tmp_path / "served", local_files_only=True)
    assert (served.src_lang, served.tgt_lang) == codes
    assert served(SOURCES)["input_ids"] == tokenizer(SOURCES)["input_ids"]


def test_an_unknown_language_is_refused(tmp_path: Path) -> None:
    folder = writers.multilingual_tokenizer("mbart", tmp_path)
    with pytest.raises(ModelError, match=r"^language: the model's tokenizer knows no language 'd"):
        tokenizers.load(folder, exact=False, languages=("en", "da"))


def test_other_tokenizers_have_no_languages(tmp_path: Path) -> None:
    train("bpe", tmp_path)
    assert not hasattr(tokenizers.load(tmp_path, languages=("en", "zh")), "src_lang")


def test_the_codec_pads_as_the_tokenizer_does(tmp_path: Path) -> None:
    tokenizer = train("bpe", tmp_path)
    assert Codec(tokenizer, tokenizer, "causal", 8).pad_id == tokenizer.pad_token_id
