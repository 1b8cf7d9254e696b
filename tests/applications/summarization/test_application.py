from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rouge_score.rouge_scorer import RougeScorer

from configs.schema import Pipeline
from tasks.applications.shared.generation.parts import GenerationFacts
from tasks.applications.summarization.application import APPLICATION
from tasks.applications.summarization.scores import TYPES, SummaryScorer, WordsAndCharacters
from tests.support import reading, tables

DOCUMENTS = [
    "The library opens on Sundays from May. Members asked for it. Two librarians were hired. "
    "The café stays open too.",
    "A storm closed the harbour. Ferries stopped at noon. Crews worked all night. It reopened.",
    "The council approved the plan. Work starts in June. It costs two million. Nobody objected.",
]
SUMMARIES = [
    "The library will open on Sundays. Two librarians were hired.",
    "A storm closed the harbour until crews reopened it.",
    "The council's plan was approved, and work starts in June.",
]
WRITTEN = [
    "Libraries opened on Sunday. Librarians hired.",
    "The storm stopped ferries. Crews reopened the harbour.",
    "The plan starts in June.",
]


def scorer(language: str = "en") -> SummaryScorer:
    found = SummaryScorer(language)
    for rows in (slice(0, 1), slice(1, None)):
        targets = {"document": DOCUMENTS[rows], "summary": SUMMARIES[rows]}
        found.update(targets, {"text": WRITTEN[rows]})
    return found


def test_english_is_scored_as_by_rouge_score_with_its_stemmer() -> None:
    public = RougeScorer(list(TYPES), use_stemmer=True)
    metrics = scorer().metrics()
    for name in TYPES:
        scores = [
            public.score(wanted.replace(". ", ".\n"), text.replace(". ", ".\n"))[name].fmeasure
            for wanted, text in zip(SUMMARIES, WRITTEN, strict=True)
        ]
        assert metrics[name] == pytest.approx(100 * sum(scores) / 3, abs=1e-9)
    assert metrics["rouge1"] > scorer("de").metrics()["rouge1"]


def test_chinese_is_counted_by_characters() -> None:
    """Reference 7 characters, output 5, of which 4 are shared and in order."""
    found = SummaryScorer("zh")
    targets = {"document": ["图书馆周日开放，成员很高兴。"], "summary": ["图书馆周日开放。"]}
    found.update(targets, {"text": ["图书馆开门。"]})
    metrics = found.metrics()
    precision, recall = 4 / 5, 4 / 7
    expected = 100 * 2 * precision * recall / (precision + recall)
    assert metrics["rouge1"] == pytest.approx(expected)
    assert metrics["rougeL"] == pytest.approx(expected)
    assert metrics["rougeLsum"] == pytest.approx(expected)
    # Bigrams: 6 and 4, of which 图书 and 书馆 are shared.
    assert metrics["rouge2"] == pytest.approx(100 * 2 * (2 / 4) * (2 / 6) / (2 / 4 + 2 / 6))
    assert metrics["length_ratio"] == pytest.approx(6 / 8)


def test_rouge_lsum_joins_the_matches_of_sentences() -> None:
    """Sentences in another order: each still matches, while one common subsequence does not."""
    found = SummaryScorer("zh")
    found.update(
        {"document": ["天气很好。我们出门。再回家。"], "summary": ["天气很好。我们出门。"]},
        {"text": ["我们出门。天气很好。"]},
    )
    metrics = found.metrics()
    assert metrics["rougeLsum"] == pytest.approx(100)
    assert metrics["rougeL"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, World 42!", ["hello", "world", "42"]),
        ("我爱NLP。", ["我", "爱", "nlp"]),
        ("Привет, мир", ["привет", "мир"]),
        ("안녕 세계", ["안녕", "세계"]),
        ("カメラ", ["カ", "メ", "ラ"]),
        ("naïve café", ["naïve", "café"]),
        ("...", []),
    ],
)
def test_words_and_characters(text: str, tokens: list[str]) -> None:
    assert WordsAndCharacters().tokenize(text) == tokens


@pytest.mark.parametrize("metric", [*TYPES, "length_ratio"])
def test_the_interval_holds_the_value(metric: str) -> None:
    found = scorer()
    low, high = found.interval(metric, 300, 0.95)
    assert low < found.metrics()[metric] < high
    assert found.interval(metric, 300, 0.95) == (low, high)


def test_mistakes_details_and_figures() -> None:
    found = scorer()
    single = found.row_scores()
    first = found.mistakes(1)[0]
    assert first["position"] == int(single.argmin())
    assert first["rougeLsum"] == pytest.approx(single.min())
    assert first["written_characters"] == len(WRITTEN[first["position"]])
    assert not [value for value in first.values() if isinstance(value, str)]
    assert sum(row["rows"] for row in found.details({})) == 3
    assert set(found.figures()) == {"row_scores"}


@pytest.mark.parametrize(("language", "stem"), [("en", "porter"), ("zh", "no"), ("de", "no")])
def test_the_signature_says_what_was_stemmed(language: str, stem: str) -> None:
    signature = SummaryScorer(language).signatures()["rouge"]
    assert signature.startswith("rouge-score:0.1")
    assert f"stem:{stem}" in signature


def facts(language: str) -> GenerationFacts:
    return GenerationFacts(inputs=("document",), language=language)


def test_the_baseline_is_lead_3() -> None:
    frame = pd.DataFrame({"document": [DOCUMENTS[1], "One. Two.", "Single"]})
    found = APPLICATION.baseline.predict(frame, facts("en"))["text"]
    assert found == [
        "A storm closed the harbour. Ferries stopped at noon. Crews worked all night.",
        "One. Two.",
        "Single",
    ]
    chinese = pd.DataFrame({"document": ["一。二！三？四。"]})
    assert APPLICATION.baseline.predict(chinese, facts("zh"))["text"] == ["一。二！三？"]


def articles(count: int = 20) -> list[dict[str, Any]]:
    return [
        {
            "document": f"Story {n} is about a parcel. It came late.",
            "summary": f"Parcel {n} came late.",
        }
        for n in range(count)
    ]


def set_aside(folder: Path, rows: list[dict[str, Any]]) -> dict[int, list[str]]:
    found = tables.check(folder, [*articles(), *rows], application="summarization")
    return tables.reasons(found)


@pytest.mark.parametrize(
    ("document", "summary", "reason"),
    [
        ("Short.", "A summary that is longer.", "the summary has 25 characters, its document 6"),
        ("Just as long.", "Quite as long", "the summary has 13 characters, its document 13"),
        ("", "A summary.", "document: "),
        ("A document that is there.", "   ", "summary: "),
        ("A document that is there.", None, "summary: the value is missing"),
    ],
)
def test_a_row_that_cannot_be_a_summary_is_set_aside(
    tmp_path: Path, document: str, summary: str | None, reason: str
) -> None:
    (why,) = set_aside(tmp_path, [{"document": document, "summary": summary}]).values()
    assert any(reason in line for line in why), why
    for text in (document, summary):
        assert not text or not text.strip() or text not in str(why)


def test_the_same_document_twice_is_a_duplicate(tmp_path: Path) -> None:
    again = {"document": articles()[2]["document"], "summary": "A parcel came too late."}
    (why,) = set_aside(tmp_path, [again]).values()
    assert why[0].startswith(("duplicate", "leakage"))


def test_good_rows_stay(tmp_path: Path) -> None:
    assert set_aside(tmp_path, []) == {}


def config(**sections: Any) -> Pipeline:
    record = {"name": "s", "application": "summarization", "data": {"train": "train.jsonl"}}
    return reading.pipeline(record | sections)


def test_long_documents_are_handled_as_declared() -> None:
    chunked = config(model={"long_inputs": "chunk"})
    assert list(APPLICATION.rules.check(chunked)) == []
    assert APPLICATION.serving.configure(facts("en"), chunked).long_inputs == "chunk"
    assert APPLICATION.learning.configure(facts("en"), chunked).long_inputs == "truncate"
    assert APPLICATION.scoring.primary_metric(chunked.data) == "rougeLsum"
