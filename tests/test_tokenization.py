from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from configs.errors import DataError, ModelError
from tasks.contract.sources.splits import SPLITS
from tasks.tokenization import TokenizationResult, tokenize_rows
from tasks.training.model import initial_model
from tasks.training.model.initial_model import InitialModel
from tasks.validation import ValidationResult
from tasks.workspace import Workspace
from tests.support.tables import Row, parcels, pipeline, run, split_rows, write_table

TEXTS = [
    "It arrived, finally!",
    "Où est mon colis ?",
    "漢字 and 🙂 and\nlines",
    "x" * 300,
    "word " * 30,
]


def rows() -> list[Row]:
    """Texts of every kind, of which one in five is longer than 16 tokens."""
    labels = ("delivery", "billing")
    return [{"text": f"{TEXTS[n % 5]} {n}", "label": labels[n // 5 % 2]} for n in range(50)]


def tokenized(
    folder: Path, starter: InitialModel, table: list[Row] | None = None, **sections: Any
) -> tuple[ValidationResult, TokenizationResult]:
    write_table(folder / "train.jsonl", rows() if table is None else table)
    config = pipeline(folder, {"train": "train.jsonl"}, sections.pop("contract", {}), **sections)
    validated = run(config)
    return validated, tokenize_rows(config, Workspace.open(folder / "mlruns"), validated, starter)


def stored(result: TokenizationResult, split: str) -> dict[str, list[Any]]:
    with pa.OSFile(str(result.stored.path / f"{split}.arrow")) as source:
        columns: dict[str, list[Any]] = pa.ipc.open_stream(source).read_all().to_pydict()
    return columns


@pytest.mark.parametrize("max_length", [16, "auto"])
def test_token_ids_are_those_of_transformers(
    tmp_path: Path, starter: InitialModel, max_length: Any
) -> None:
    validated, result = tokenized(tmp_path, starter, model={"max_length": max_length})
    tokenizer = AutoTokenizer.from_pretrained(starter.path)
    # No row is longer than the least that `auto` takes.
    limit = 128 if max_length == "auto" else max_length
    assert result.max_length == limit
    for split in SPLITS:
        texts = [row["text"] for row in split_rows(validated, split)]
        expected = tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
        assert stored(result, split)["input_ids"] == expected
        assert result.tokens[split] == sum(map(len, expected))


@pytest.mark.parametrize(
    ("words", "outliers", "expected"),
    [(10, 0, 128), (150, 0, 160), (150, 1, 160), (150, 30, 304), (700, 0, 512)],
)
def test_auto_covers_nearly_all_training_rows(
    tmp_path: Path, starter: InitialModel, words: int, outliers: int, expected: int
) -> None:
    """A row has as many tokens as words, a number and two special ones."""
    table = [
        {**row, "text": "word " * (300 if n < outliers else words) + str(n)}
        for n, row in enumerate(parcels(400))
    ]
    write_table(tmp_path / "dev.jsonl", parcels(4, "card"))
    data = {"train": "train.jsonl", "validation": "dev.jsonl", "test": "dev.jsonl"}
    write_table(tmp_path / "train.jsonl", table)
    config = pipeline(tmp_path, data, {"max_truncated": 1.0, "rules": {"leakage": "warn"}})
    validated = run(config)
    result = tokenize_rows(config, Workspace.open(tmp_path / "mlruns"), validated, starter)
    assert result.max_length == expected
    assert result.truncated == (400 if words == 700 else int(outliers == 1))


def test_every_token_row_knows_its_row(tmp_path: Path, starter: InitialModel) -> None:
    validated, result = tokenized(tmp_path, starter)
    for split in SPLITS:
        assert stored(result, split)["row"] == list(range(validated.rows[split]))


def test_labels_stay_with_their_rows(tmp_path: Path, starter: InitialModel) -> None:
    validated, result = tokenized(tmp_path, starter)
    for split in SPLITS:
        names = [row["label"] for row in split_rows(validated, split)]
        assert [validated.facts.labels[n] for n in stored(result, split)["labels"]] == names


def test_what_is_cut_is_counted(tmp_path: Path, starter: InitialModel) -> None:
    _, result = tokenized(tmp_path, starter, model={"max_length": 24})
    tokenizer = AutoTokenizer.from_pretrained(starter.path)
    longer = sum(len(tokenizer(row["text"])["input_ids"]) > 24 for row in rows())
    assert result.truncated == longer > 0
    assert f"; {longer} rows cut to 24 tokens; " in result.note


def test_a_row_of_exactly_the_longest_length_is_not_cut(
    tmp_path: Path, starter: InitialModel
) -> None:
    table = [{**row, "text": f"a b c d e {n}"} for n, row in enumerate(parcels(10))]
    _, exact = tokenized(tmp_path / "exact", starter, table, model={"max_length": 8})
    assert (exact.truncated, exact.tokens["train"]) == (0, 6 * 8)


@pytest.mark.parametrize(("limit", "refused"), [(0.19, True), (0.2, False)])
def test_too_many_cut_rows_are_refused(
    tmp_path: Path, starter: InitialModel, limit: float, refused: bool
) -> None:
    table = [
        {**row, "text": f"{'word ' * (40 if n % 5 == 0 else 1)}{n}"}
        for n, row in enumerate(parcels(50))
    ]
    settings = {"model": {"max_length": 16}, "contract": {"max_truncated": limit}}
    if not refused:
        assert tokenized(tmp_path, starter, table, **settings)[1].truncated == 10
        return
    with pytest.raises(DataError, match="10 of 50 rows are longer than 16 tokens, more than 19%"):
        tokenized(tmp_path, starter, table, **settings)


def test_more_tokens_than_the_model_has_positions_are_refused(
    tmp_path: Path, starter: InitialModel
) -> None:
    with pytest.raises(ModelError, match="at most the 512 tokens that the model takes, found 513"):
        tokenized(tmp_path, starter, model={"max_length": 513})


THAI = ["พัสดุของฉันยังมาไม่ถึง", "สินค้าชำรุด", "ขอบคุณมาก", "ยกเลิกคำสั่งซื้อ"]


def thai(count: int, every: int = 1) -> list[Row]:
    """Rows of which one in so many is in a script that the starter does not know."""
    return [
        {**row, "text": f"{THAI[n % 4]} {n}" if n % every == 0 else f"where is parcel {n}"}
        for n, row in enumerate(parcels(count))
    ]


def test_a_tokenizer_that_does_not_know_the_texts_is_refused(
    tmp_path: Path, starter: InitialModel
) -> None:
    message = (
        r"^model\.base: 100% of the tokens of the texts are unknown to the tokenizer, more than "
        r"20% \(take a model for their language and script, or raise contract\.max_unknown\)$"
    )
    with pytest.raises(ModelError, match=message):
        tokenized(tmp_path, starter, thai(40))
    allowed = {"contract": {"max_unknown": 1.0}}
    assert "unknown to the tokenizer" in tokenized(tmp_path, starter, thai(40), **allowed)[1].note


def test_a_few_unknown_tokens_are_shown(tmp_path: Path, starter: InitialModel) -> None:
    _, result = tokenized(tmp_path, starter, thai(40, every=4))
    # Ten rows with a number and at least one word, thirty of four words.
    assert 10 / 140 <= result.stored.summary["unknown"]["texts"] <= 0.2
    share = f"{result.stored.summary['unknown']['texts']:.1%}"
    assert f"; {share} of the tokens of the texts unknown to the tokenizer" in result.note
    _, known = tokenized(tmp_path / "known", starter, parcels(40))
    assert known.stored.summary["unknown"] == {"texts": 0.0}
    assert "unknown" not in known.note


def test_numbers_and_emoji_do_not_count(tmp_path: Path, starter: InitialModel) -> None:
    numbers = [{**row, "text": f"{row['text']} 123456, 78-90!"} for row in thai(40)]
    with pytest.raises(ModelError, match=r"^model\.base: 100% of the tokens of the texts"):
        tokenized(tmp_path / "numbers", starter, numbers)
    faces = [{**row, "text": f"good parcel \U0001f60d {n}"} for n, row in enumerate(parcels(40))]
    _, found = tokenized(tmp_path / "faces", starter, faces)
    assert found.stored.summary["unknown"] == {"texts": 0.0}
    _, mixed = tokenized(tmp_path / "mixed", starter, [*thai(8), *faces[8:]])
    # Eight words in Thai, and thirty-two times two in English.
    assert mixed.stored.summary["unknown"] == {"texts": 8 / 72}


def test_a_tokenizer_that_does_not_know_the_targets_is_refused(tmp_path: Path) -> None:
    rows = [{"source": f"where is parcel {n}", "target": f"{THAI[n % 4]} {n}"} for n in range(40)]
    write_table(tmp_path / "train.jsonl", rows)
    sections = {"language": {"source": "en", "target": "th"}, "application": "translation"}

    def tokens(**decoder: Any) -> TokenizationResult:
        model = {"decoder": {"base": "starter", **decoder}}
        config = pipeline(tmp_path, {"train": "train.jsonl"}, model=model, **sections)
        pair = initial_model.find(config.model, "translation")
        workspace = Workspace.open(tmp_path / "mlruns")
        return tokenize_rows(config, workspace, run(config), pair)

    with pytest.raises(ModelError, match=r"^model\.decoder: .*the targets.*decoder\.vocab_size"):
        tokens()
    assert tokens(vocab_size=300).stored.summary["unknown"]["targets"] < 0.2


@pytest.mark.parametrize(("architecture", "room"), [("decoder", 24), ("encoder-decoder", 128)])
def test_texts_beyond_the_positions_cannot_be_written(
    tmp_path: Path, architecture: str, room: int
) -> None:
    rows = [{"source": f"where is it {n}", "target": f"wo ist es {n}"} for n in range(40)]
    write_table(tmp_path / "train.jsonl", rows)
    scratch = {"architecture": architecture, "hidden_size": 32, "num_layers": 1, "num_heads": 2}
    model = {"scratch": {**scratch, "vocab_size": 300}, "max_target_length": 24}
    language = {"source": "en", "target": "de"}
    sections = {"application": "translation", "language": language, "model": model}

    def tokens(longest: int) -> TokenizationResult:
        generation = {"max_new_tokens": longest}
        config = pipeline(tmp_path, {"train": "train.jsonl"}, generation=generation, **sections)
        base = initial_model.find(config.model, "translation")
        workspace = Workspace.open(tmp_path / "mlruns")
        return tokenize_rows(config, workspace, run(config), base)

    tokens(room)
    message = f"generation.max_new_tokens: expected at most {room} tokens, for which the model has"
    with pytest.raises(ModelError, match=f"{message} positions, found {room + 1} .*target_length"):
        tokens(room + 1)


def test_a_second_run_is_reused_whatever_the_training(
    tmp_path: Path, starter: InitialModel
) -> None:
    _, first = tokenized(tmp_path, starter)
    _, second = tokenized(tmp_path, starter, training={"epochs": 9}, name="other")
    assert (first.stored.reused, second.stored.reused) == (False, True)
    assert (second.tokens, second.truncated) == (first.tokens, first.truncated)


@pytest.mark.parametrize(
    "sections", [{"model": {"max_length": 32}}, {"contract": {"max_truncated": 0.9}}], ids=str
)
def test_another_setting_is_another_output(
    tmp_path: Path, starter: InitialModel, sections: dict[str, Any]
) -> None:
    tokenized(tmp_path, starter)
    assert not tokenized(tmp_path, starter, **sections)[1].stored.reused


def test_other_rows_are_another_output(tmp_path: Path, starter: InitialModel) -> None:
    tokenized(tmp_path, starter)
    assert not tokenized(tmp_path, starter, parcels(50))[1].stored.reused
