from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.errors import DataError
from tasks.text.retrieval import Passages, Ranking, tokens

POLICIES = """\
# Returns

Parcels may be sent back within thirty days.
Keep the receipt.

Refunds reach your card within a week.
\x20
## Hours
### Oslo

The shop in Oslo opens at nine.
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "policies.md", POLICIES)
    write(
        tmp_path,
        "deep/中文.TXT",
        "\ufeff退货须在三十天内办理。\r\n\r\n商店位于上海，九点开门！\r\n",
    )
    lines = [{"text": "Gift cards never expire."}, {"context": "Bikes are\n\nserviced in May."}]
    write(tmp_path, "faq.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n")
    write(tmp_path, "table.csv", "Gift,cards")
    write(tmp_path, ".git/notes.md", "Gift cards of another kind")
    return tmp_path


def test_every_document_is_cut_into_passages(folder: Path) -> None:
    found = Passages.read(folder).passages
    assert [(passage.reference, passage.text) for passage in found] == [
        ("deep/中文.TXT#1", "退货须在三十天内办理。"),
        ("deep/中文.TXT#2", "商店位于上海，九点开门！"),
        ("faq.jsonl#1", "Gift cards never expire."),
        ("faq.jsonl#2", "Bikes are\n\nserviced in May."),
        (
            "policies.md#1",
            "# Returns\n\nParcels may be sent back within thirty days.\nKeep the receipt.",
        ),
        ("policies.md#2", "Refunds reach your card within a week."),
        ("policies.md#3", "## Hours\n### Oslo\n\nThe shop in Oslo opens at nine."),
    ]


@pytest.mark.parametrize(
    ("question", "reference"),
    [
        ("When does the shop in OSLO open?", "policies.md#3"),
        ("Do gift cards expire?", "faq.jsonl#1"),
        ("退货要几天？", "deep/中文.TXT#1"),
        ("上海的商店几点开门", "deep/中文.TXT#2"),
        ("How many days until I must have sent parcels back?", "policies.md#1"),
    ],
)
def test_the_passage_that_fits_comes_first(folder: Path, question: str, reference: str) -> None:
    assert Passages.read(folder).best(question, 3)[0].reference == reference


def test_nothing_is_found_without_a_common_word(folder: Path) -> None:
    passages = Passages.read(folder)
    assert passages.best("Xylophone?", 3) == []
    assert passages.best("?!", 3) == []
    assert len(passages.best("the shop within your card", 2)) == 2


def test_a_long_passage_stays_whole_and_a_repeated_one_is_kept_once(tmp_path: Path) -> None:
    long = "word " * 20_000
    write(tmp_path, "a.txt", f"{long}\n\nsame\n\n")
    write(tmp_path, "b.txt", "same\n\nother\n\n# A heading at the end")
    found = Passages.read(tmp_path).passages
    assert [passage.reference for passage in found] == ["a.txt#1", "a.txt#2", "b.txt#2", "b.txt#3"]
    assert found[0].text == long.strip()


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder"):
        Passages.read(tmp_path / "nowhere")
    write(tmp_path, "table.csv", "a,b")
    write(tmp_path, "empty.txt", "\n \n")
    with pytest.raises(DataError, match=r"found no text in \.txt, \.md, \.jsonl files"):
        Passages.read(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252", "gb18030"])
def test_a_document_has_the_encoding_that_its_bytes_show(tmp_path: Path, encoding: str) -> None:
    german = "Schöne Grüße aus Köln, wir öffnen für Sie früh."
    text = "这家商店早上九点开门，晚上八点关门。" if encoding == "gb18030" else german
    write(tmp_path, "a.txt", f"{text}\r\n\r\nThe end.\r\n".encode(encoding))
    write(
        tmp_path, "b.jsonl", json.dumps({"text": text + "!"}, ensure_ascii=False).encode(encoding)
    )
    assert [passage.text for passage in Passages.read(tmp_path).passages] == [
        text,
        "The end.",
        f"{text}!",
    ]


def test_every_document_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", b"caf\xe9")
    write(tmp_path, "b.jsonl", '{"text": "x"}\n\n{"text": \n')
    write(tmp_path, "c.jsonl", '{"title": "secret"}')
    write(tmp_path, "d.jsonl", "[1]")
    with pytest.raises(DataError) as caught:
        Passages.read(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "HERE").splitlines() == [
        "HERE/a.txt: expected UTF-8, found byte 0xe9 (convert it to UTF-8)",
        "HERE/b.jsonl:3: not valid JSON",
        "HERE/c.jsonl:1: expected a JSON object with a `text`",
        "HERE/d.jsonl:1: expected a JSON object with a `text`",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The STRASSE, 24-hour!", ["the", "strasse", "24", "hour"]),
        ("上海市", ["上海", "海市"]),
        ("iPhone手机x猫", ["iphone", "手机", "x", "猫"]),
        ("Straße", ["strasse"]),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_scores_follow_the_formula() -> None:
    """BM25 as Lucene computes it: idf times saturated frequency, k1 1.5, b 0.75."""
    from math import log

    found = Ranking(["b a", "c b c b", "c d"]).scores("c")
    idf = log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean = 8 / 3
    expected = [
        0.0,
        idf * 2 / (2 + 1.5 * (0.25 + 0.75 * 4 / mean)),
        idf * 1 / (1 + 1.5 * (0.25 + 0.75 * 2 / mean)),
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_texts_without_words_score_nothing() -> None:
    assert Ranking(["", "?!"]).best("anything", 2) == []
    assert Ranking([]).best("anything", 2) == []
