from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sacrebleu.metrics import BLEU, CHRF

from configs.schema import Pipeline
from tasks.applications.shared.generation.parts import GenerationFacts
from tasks.applications.translation.application import APPLICATION
from tasks.applications.translation.scores import TranslationScorer, tokenizer_for
from tests.support import reading, tables

FACTS = GenerationFacts(inputs=("source",), language="zh")
SOURCES = ["We open at nine.", "Where is my parcel?", "The blue jacket is too small.", "Call us."]
REFERENCES = {
    "zh": ["我们九点开门。", "我的包裹在哪里？", "蓝色的夹克太小了。", "请打电话给我们。"],
    "en": ["We open at nine.", "Where is my parcel?", "The blue jacket is too small.", "Call us."],
    "ja": ["九時に開きます。", "荷物はどこですか？", "上着は小さすぎます。", "電話してください。"],
}
WRITTEN = {
    "zh": ["我们九点开门。", "包裹在哪里呢？", "蓝色的衣服太小了。", "打电话给我们吧。"],
    "en": ["We open at ten.", "Where is my parcel?", "The jacket is too small.", "Phone us now."],
    "ja": ["九時に開きます。", "荷物はどこ？", "上着は小さすぎます。", "電話をしてください。"],
}


def scorer(language: str) -> TranslationScorer:
    """A scorer that got the rows in two portions."""
    found = TranslationScorer(language)
    for rows in (slice(0, 3), slice(3, None)):
        targets = {"source": SOURCES[rows], "target": REFERENCES[language][rows]}
        found.update(targets, {"text": WRITTEN[language][rows]})
    return found


@pytest.mark.parametrize(("language", "tokenizer"), [("zh", "zh"), ("en", "13a"), ("ja", "char")])
def test_scores_are_those_of_sacrebleu(language: str, tokenizer: str) -> None:
    metrics = scorer(language).metrics()
    bleu, chrf = BLEU(tokenize=tokenizer), CHRF(word_order=2)
    for name, public in (("bleu", bleu), ("chrf", chrf)):
        score = public.corpus_score(WRITTEN[language], [REFERENCES[language]]).score
        assert 0 < score < 100
        assert metrics[name] == pytest.approx(score, abs=1e-9)
    signatures = scorer(language).signatures()
    # Only the public object has counted its references.
    assert f"tok:{tokenizer}" in signatures["bleu"]
    assert "version:" in signatures["bleu"]
    assert "nc:6|nw:2" in signatures["chrf"]
    assert metrics["rows"] == 4


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        ("zh_CN", "zh"),
        ("zho_Hans", "zh"),
        ("yue", "zh"),
        ("ja_XX", "char"),
        ("jpn_Jpan", "char"),
        ("th", "char"),
        ("de", "13a"),
        ("pt-BR", "13a"),
    ],
)
def test_the_tokenizer_follows_the_language(language: str, tokenizer: str) -> None:
    assert tokenizer_for(language) == tokenizer


def test_length_ratio_counts_characters() -> None:
    written, wanted = ("".join(texts["zh"]) for texts in (WRITTEN, REFERENCES))
    assert scorer("zh").metrics()["length_ratio"] == pytest.approx(len(written) / len(wanted))


@pytest.mark.parametrize("metric", ["bleu", "chrf", "length_ratio"])
def test_the_interval_holds_the_value(metric: str) -> None:
    found = scorer("zh")
    low, high = found.interval(metric, 200, 0.95)
    assert low < found.metrics()[metric] < high
    assert found.interval(metric, 200, 0.95) == (low, high)
    narrow = found.interval(metric, 200, 0.6)
    assert low <= narrow[0] < narrow[1] <= high


def test_rows_that_are_all_alike_leave_no_doubt() -> None:
    found = TranslationScorer("en")
    targets = {"source": SOURCES[:1] * 5, "target": ["We open at nine."] * 5}
    found.update(targets, {"text": ["We open at nine."] * 5})
    assert found.interval("bleu", 100, 0.9) == pytest.approx((100, 100))


def test_mistakes_are_the_rows_with_the_lowest_chrf() -> None:
    found = scorer("zh")
    chrf = CHRF(word_order=2)
    single = [
        chrf.sentence_score(text, [wanted]).score
        for text, wanted in zip(WRITTEN["zh"], REFERENCES["zh"], strict=True)
    ]
    first, second = found.mistakes(2)
    order = sorted(range(4), key=lambda row: single[row])
    assert [first["position"], second["position"]] == order[:2]
    assert first["chrf"] == pytest.approx(single[order[0]], abs=1e-6)
    assert first["reference_characters"] == len(REFERENCES["zh"][order[0]])
    assert not [value for value in first.values() if isinstance(value, str)]


def test_details_cover_every_row_once() -> None:
    details = scorer("en").details({})
    assert sum(row["rows"] for row in details) == 4
    assert set(scorer("en").figures()) == {"row_scores"}


def test_the_baseline_copies_the_source() -> None:
    frame = pd.DataFrame({"source": SOURCES, "target": REFERENCES["zh"]})
    assert APPLICATION.baseline.predict(frame, FACTS) == {"text": SOURCES}
    found = TranslationScorer("zh")
    found.update(frame.to_dict("list"), APPLICATION.baseline.predict(frame, FACTS))
    assert found.metrics()["bleu"] < 5


def pairs(count: int = 20) -> list[dict[str, Any]]:
    return [
        {"source": f"Parcel {n} is late.", "target": f"第{n}个包裹晚了。"} for n in range(count)
    ]


def validated(folder: Path, rows: list[dict[str, Any]], **sections: Any) -> dict[int, list[str]]:
    """Why rows were set aside, by row number; the file's rows count from 1."""
    sections = {"application": "translation", "language": {"target": "zh"}} | sections
    found = tables.check(folder, [*pairs(), *rows], **sections)
    quarantine = (found.stored.path / "quarantine.jsonl").read_text(encoding="utf-8")
    for row in rows:
        for text in row.values():
            why = list(tables.reasons(found).values())
            assert not text or not text.strip() or text not in str(why)
    assert quarantine or not tables.reasons(found)
    return tables.reasons(found)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("Copied as it is.", "Copied as it is.", "the target is a copy of the source"),
        ("Copied 包裹.", " Copied 包裹. ", "the target is a copy of the source"),
        ("A long sentence that says much more than that.", "是。", "46 and 2 characters"),
        ("No.", "不" * 31, "3 and 31 characters, more than 10 to 1"),
        ("Good morning.", "Guten Morgen.", "target: no Han letter"),
        ("早上好。", "早安。", "source: no Latin letter, though the language is declared as en"),
        ("", "早安。", "source: "),
        ("Good morning.", "  ", "target: "),
        (None, "早安。", "source: the value is missing"),
    ],
)
def test_a_row_that_cannot_be_a_translation_is_set_aside(
    tmp_path: Path, source: str | None, target: str, reason: str
) -> None:
    (why,) = validated(tmp_path, [{"source": source, "target": target}]).values()
    assert any(reason in line for line in why), why


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("123-456", "123–456"),
        ("OK?", "好吗？"),
        ("Mr Wang lives in Beijing.", "王先生住在北京。"),
        ("iPhone 12", "iPhone 12 手机"),
    ],
)
def test_a_row_that_may_be_a_translation_stays(tmp_path: Path, source: str, target: str) -> None:
    assert validated(tmp_path, [{"source": source, "target": target}]) == {}


def test_the_ratio_of_lengths_is_declared(tmp_path: Path) -> None:
    row = {"source": "No.", "target": "不" * 31}
    contract = {"max_length_ratio": 12.0}
    assert validated(tmp_path, [row], contract=contract) == {}


def test_a_copy_is_fine_within_one_language(tmp_path: Path) -> None:
    rows = [{"source": f"Text {n}", "target": f"Text {n}"} for n in range(20)]
    language = {"source": "en", "target": "en"}
    found = tables.check(tmp_path, rows, application="translation", language=language)
    assert tables.reasons(found) == {}


def test_another_translation_of_a_source_is_no_duplicate(tmp_path: Path) -> None:
    other = {"source": "Parcel 3 is late.", "target": "第3个包裹迟到了。"}
    again = {"source": "Parcel 4 is late.", "target": "第4个包裹晚了。"}
    data = {"validation": ["validation.jsonl"], "test": ["test.jsonl"]}
    for name in ("validation", "test"):
        rows = [{"source": f"{name} {n}", "target": f"{n}号包裹"} for n in range(5)]
        if name == "test":
            rows.append({"source": "Parcel 5 is late.", "target": "五号包裹迟到。"})
        tables.write_table(tmp_path / f"{name}.jsonl", rows)
    why = validated(tmp_path, [other, again], data=data)
    assert len(why) == 2
    text = " ".join(reason for reasons in why.values() for reason in reasons)
    train = tmp_path / "train.jsonl"
    assert f"duplicate: the same text as {train} row 5 in the train split" in text
    assert "leakage: the same text is in the test split" in text


def config(**sections: Any) -> Pipeline:
    record = {"name": "t", "application": "translation", "data": {"train": "train.jsonl"}}
    return reading.pipeline(record | sections)


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({}, "language.target"),
        ({"language": {"source": "zh", "target": "zh"}}, "language.target"),
        ({"data": {"train": "t.csv", "labels": ["a", "b"]}}, "data.labels"),
        ({"training": {"loss": {"class_weights": "balanced"}}}, "training.loss.class_weights"),
    ],
)
def test_settings_that_make_no_sense_are_refused(sections: dict[str, Any], where: str) -> None:
    assert where in dict(APPLICATION.rules.check(config(**sections)))


def test_sensible_settings_pass() -> None:
    assert list(APPLICATION.rules.check(config(language={"target": "zh"}))) == []


def test_validation_is_greedy_and_the_served_model_searches() -> None:
    declared = config(language={"target": "zh"}, generation={"num_beams": 6, "length_penalty": 0.6})
    trained = APPLICATION.learning.configure(FACTS, declared)
    assert (trained.num_beams, trained.language) == (1, "zh")
    served = APPLICATION.serving.configure(trained, declared)
    assert (served.num_beams, served.length_penalty, served.language) == (6, 0.6, "zh")
