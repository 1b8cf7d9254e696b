"""What holds for any table: nothing crashes, no row is lost, and order decides nothing."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from tasks.contract.passes import first_pass
from tasks.contract.sources import base, formats
from tasks.contract.sources.splits import SPLITS
from tasks.validation import ValidationResult
from tests.support import healthy
from tests.support.tables import Row, pipeline, quarantined, run, split_rows, write_table

KINDS = ["csv", "tsv", "json", "jsonl", "parquet", "csv.gz", "jsonl.gz"]
LONG = (
    "The committee of the rowing club decided on Tuesday that every boat must be back in its "
    "shed before the bells of the chapel ring for the evening service on Sundays and holidays"
)
CHAIN = [
    LONG,
    LONG.replace("committee", "board").replace("boat", "skiff"),
    LONG.replace("committee", "board").replace("boat", "skiff").replace("holidays", "feasts now"),
]
"""Each is nearly the same as its neighbour, and the first and the last are not."""
STRANGE = [
    "same words as elsewhere",
    "  same words as elsewhere\n",
    "Same words, as elsewhere!",
    "\0",
    "\x1b[31mred\x1b[0m",
    "\u200b\u200d\ufeff",
    "\u202eright to left\u202c",
    "שלום עולם, מה שלומך היום",
    "مرحبا بالعالم",
    "👩\u200d👩\u200d👧 👍🏽 🇳🇴",
    'a "quoted" word, and "an open one',
    "one line\r\nand\ranother\nline\u2028and a last",
    "cafÃ© &amp; <b>bar</b> #39;s",
    "caf\ufffd",
    "write to jane@example.com or +49 30 23125 017",
    "=1+1",
]
FRAGILE = (
    *("duplicates", "leakage", "label_conflict", "near_duplicates", "near_leakage"),
    *("length", "mojibake", "replacement", "control", "html", "wrong_language", "rare_label"),
)
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.sampled_from(STRANGE) | st.text(max_size=40)
LABEL = st.sampled_from(["a", "b", " a", "c", "jane@example.com"])
SEVERITY = st.sampled_from(["quarantine", "warn", "quarantine", "warn", "quarantine", "refuse"])
RULES = st.dictionaries(st.sampled_from(FRAGILE), SEVERITY, max_size=4)


def is_number(text: str) -> bool:
    """Whether it is one of those texts that a file may not begin with."""
    try:
        float(text)
    except ValueError:
        return False
    return True


WORDED = st.sampled_from([*STRANGE, *CHAIN]) | st.text(max_size=30).filter(
    lambda text: not is_number(text)
)


def is_left_out(row: Row, kind: str) -> bool:
    """Whether a row of a table for spreadsheets has no value."""
    return kind in ("csv", "tsv", "csv.gz") and not any((v or "").strip() for v in row.values())


def rows_of(text: st.SearchStrategy[str], most: int) -> st.SearchStrategy[list[Row]]:
    row = st.fixed_dictionaries({"text": st.none() | text, "label": st.none() | LABEL})
    return st.lists(row, max_size=most)


def anchors(count: int = 20, start: int = 0) -> list[Row]:
    """Healthy rows with two labels in turn."""
    texts = [row["text"] for row in healthy.topics()[start : start + count]]
    return [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(texts)]


def aside(validated: ValidationResult) -> list[Row]:
    return quarantined(validated.stored.path / "quarantine.jsonl")


def trimmed(row: Row) -> str:
    """What makes two rows the same: white space at the ends of a text does not count."""
    stripped = {k: v.strip() if isinstance(v, str) else v for k, v in row.items()}
    return json.dumps(stripped, sort_keys=True)


def content(validated: ValidationResult) -> Counter[tuple[str, str]]:
    """Kept rows by their split and quarantined ones, without their places."""
    kept = (
        (split, trimmed({"text": row["text"], "label": row["label"]}))
        for split in SPLITS
        for row in split_rows(validated, split)
    )
    left = (("quarantine", trimmed(entry["raw"])) for entry in aside(validated))
    return Counter([*kept, *left])


def in_another_order(rows: Sequence[Row], random: Any, *names: str) -> list[Row]:
    """The rows, of which only those with the same values of some columns keep their order."""
    shuffled: list[Row] = random.sample(list(rows), len(rows))
    alike: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        alike[trimmed({name: row[name] for name in names})].append(row)
    return [alike[trimmed({name: row[name] for name in names})].pop(0) for row in shuffled]


def validated_files(
    folder: Path, files: Mapping[str, Sequence[Row]], contract: Mapping[str, Any], home: str
) -> Counter[tuple[str, str]] | str:
    """What comes of the rows of each split; ``refused`` if the stage refuses them."""
    for split, rows in files.items():
        write_table(folder / f"{split}.jsonl", rows)
    names = {split: f"{split}.jsonl" for split in files}
    try:
        data = {**names, "labels": ["a", "b"]}
        return content(run(pipeline(folder, data, contract), home=home))
    except DataError:
        return "refused"


@FEW
@given(
    odd=rows_of(TEXT, 15),
    kind=st.sampled_from(KINDS),
    rules=RULES,
    repair=st.booleans(),
    labels=st.sampled_from([None, ["a", "b"]]),
)
def test_any_table_is_refused_or_split_into_kept_and_quarantined_rows(
    tmp_path_factory: pytest.TempPathFactory,
    odd: list[Row],
    kind: str,
    rules: Mapping[str, str],
    repair: bool,
    labels: list[str] | None,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = [*anchors(), *odd]
    write_table(folder / f"train.{kind}", rows)
    data = {"train": f"train.{kind}", "labels": labels}
    try:
        validated = run(pipeline(folder, data, {"rules": rules, "repair": repair}))
    except DataError as error:
        assert error.problems  # noqa: PT017
        return
    kept = Counter(row["row"] for split in SPLITS for row in split_rows(validated, split))
    left = Counter(entry["row"] for entry in aside(validated))
    numbers = [n for n, row in enumerate(rows, 1) if not is_left_out(row, kind)]
    assert kept + left == Counter(numbers)
    assert validated.report["rows"]["in"] == len(rows)
    assert validated.report["rows"]["empty"] == len(rows) - len(numbers)
    assert sum(validated.rows.values()) == kept.total()
    assert validated.quarantined == left.total()


@FEW
@given(tail=st.text(max_size=200), kind=st.sampled_from(["csv", "tsv", "jsonl"]))
def test_any_text_after_healthy_rows_is_refused_or_counted(
    tmp_path_factory: pytest.TempPathFactory, tail: str, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    path = write_table(folder / f"train.{kind}", anchors())
    path.write_bytes(path.read_bytes() + tail.encode())
    try:
        validated = run(pipeline(folder, {"train": path.name, "labels": ["a", "b"]}))
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    rows = validated.report["rows"]
    assert rows["in"] == rows["kept"] + rows["quarantined"] + rows["empty"]
    kept = {row["row"]: row["text"] for split in SPLITS for row in split_rows(validated, split)}
    assert [kept[n] for n in range(1, 21)] == [row["text"] for row in anchors()]


@FEW
@given(
    train=rows_of(WORDED, 10),
    validation=rows_of(WORDED, 5),
    test=rows_of(WORDED, 5),
    rules=RULES,
    repair=st.booleans(),
    random=st.randoms(use_true_random=False),
    chunk=st.sampled_from([base.BATCH_CHARACTERS, 1500, 1]),
)
def test_neither_order_nor_chunks_decide_which_rows_of_declared_files_stay(
    tmp_path_factory: pytest.TempPathFactory,
    train: list[Row],
    validation: list[Row],
    test: list[Row],
    rules: Mapping[str, str],
    repair: bool,
    random: Any,
    chunk: int,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    files = {
        "train": [*anchors(20), *train],
        "validation": [*anchors(6, 20), *validation],
        "test": [*anchors(6, 26), *test],
    }
    contract = {"rules": rules, "repair": repair}
    once = validated_files(folder, files, contract, "once")
    # Of several labels of a text, the one that is read last stays.
    shuffled = {split: in_another_order(rows, random, "text") for split, rows in files.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "BATCH_CHARACTERS", chunk)
        assert validated_files(folder, shuffled, contract, "again") == once


@FEW
@given(
    odd=rows_of(WORDED, 15),
    duplicates=st.sampled_from(["quarantine", "warn"]),
    random=st.randoms(use_true_random=False),
)
def test_order_does_not_decide_which_split_a_text_comes_to(
    tmp_path_factory: pytest.TempPathFactory, odd: list[Row], duplicates: str, random: Any
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = [*anchors(30), *odd]
    contract = {"rules": {"duplicates": duplicates}}
    once = validated_files(folder, {"train": rows}, contract, "once")
    shuffled = in_another_order(rows, random, "text")
    assert validated_files(folder, {"train": shuffled}, contract, "again") == once


@FEW
@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from("ab"))),
    duplicates=st.sampled_from(["drop", "quarantine", "warn"]),
    conflict=st.sampled_from(["quarantine", "warn"]),
    random=st.randoms(use_true_random=False),
    chunk=st.sampled_from([base.BATCH_CHARACTERS, 1]),
)
def test_neither_chunks_nor_other_rows_decide_which_reading_of_a_row_stays(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[tuple[int, int, str]],
    duplicates: str,
    conflict: str,
    random: Any,
    chunk: int,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    texts = [row["text"] for row in anchors(5, 40)]
    read = [
        {"text": texts[text], "label": label, "ticket": ticket or None}
        for text, ticket, label in pairs
    ]
    rows = [*({**row, "ticket": f"t{n}"} for n, row in enumerate(anchors(30))), *read]
    contract = {"rules": {"duplicates": duplicates, "label_conflict": conflict}}
    data = {"train": ["one.jsonl", "two.jsonl"], "id_column": "ticket", "labels": ["a", "b"]}
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for home, ordered in (("once", rows), ("again", in_another_order(rows, random, "text"))):
            write_table(folder / "one.jsonl", ordered[: len(ordered) // 2])
            write_table(folder / "two.jsonl", ordered[len(ordered) // 2 :])
            found.append(run(pipeline(folder, data, contract), home=home))
            patch.setattr(base, "BATCH_CHARACTERS", chunk)
    assert content(found[0]) == content(found[1])
    last = {(row["text"], row["ticket"]): row["label"] for row in read if row["ticket"]}
    rows_in = found[0].report["rows"]
    assert rows_in["superseded"] == sum(bool(row["ticket"]) for row in read) - len(last)
    if (duplicates, conflict) == ("warn", "warn"):
        kept = Counter(row["text"] for split in SPLITS for row in split_rows(found[0], split))
        assert kept == Counter(
            [row["text"] for row in anchors(30)]
            + [text for text, _ in last]
            + [row["text"] for row in read if not row["ticket"]]
        )


@pytest.mark.parametrize(("labels", "count"), [("abb", 41), ("ab", 32), ("ab", 36)])
def test_healthy_rows_come_to_the_same_splits_in_any_order(
    tmp_path: Path, labels: str, count: int
) -> None:
    rows = [{**row, "label": labels[n % len(labels)]} for n, row in enumerate(anchors(count))]
    assert {rows[0]["label"], rows[-1]["label"]} == {"a", "b"}
    forwards = validated_files(tmp_path, {"train": rows}, {}, "forwards")
    backwards = validated_files(tmp_path, {"train": rows[::-1]}, {}, "backwards")
    assert backwards == forwards != "refused"


@pytest.mark.parametrize("seed", range(6))
def test_one_text_with_two_labels_comes_to_one_split(tmp_path: Path, seed: int) -> None:
    torn = [{**row, "label": label} for row in anchors(18, 30) for label in "ab"]
    write_table(tmp_path / "train.jsonl", [*anchors(30), *torn])
    contract = {"rules": {"duplicates": "warn"}}
    config = pipeline(tmp_path, {"train": "train.jsonl"}, contract, seed=seed)
    assert aside(run(config)) == []


def test_groups_come_to_the_same_splits_in_any_order(tmp_path: Path) -> None:
    rows = [{**row, "customer": f"c{n // 3}"} for n, row in enumerate(anchors(42))]
    found = []
    for home, ordered in (("forwards", rows), ("backwards", rows[::-1])):
        write_table(tmp_path / "train.jsonl", ordered)
        data = {"train": "train.jsonl", "group_column": "customer"}
        found.append(content(run(pipeline(tmp_path, data), home=home)))
    assert found[0] == found[1]


def test_a_rare_label_with_groups_is_split_without_a_warning(tmp_path: Path) -> None:
    rows = [{**row, "customer": f"c{n // 3}"} for n, row in enumerate(anchors(42))]
    rare = {"text": CHAIN[0], "label": "rare", "customer": "c5"}
    write_table(tmp_path / "train.jsonl", [*rows, rare])
    contract = {"rules": {"rare_label": "quarantine"}}
    validated = run(
        pipeline(tmp_path, {"train": "train.jsonl", "group_column": "customer"}, contract)
    )
    assert sum(validated.rows.values()) + validated.quarantined == len(rows) + 1


@pytest.mark.parametrize("day", ["Wednesday", "Friday", "Fest7", "Fest8"])
def test_a_chain_of_nearly_equal_texts_leaves_the_same_rows_in_any_order(
    tmp_path: Path, day: str
) -> None:
    chain = [{"text": text.replace("Tuesday", day), "label": "a"} for text in CHAIN]
    contract = {"rules": {"near_duplicates": "quarantine"}}
    found = []
    for n, ordered in enumerate(itertools.permutations(chain)):
        files = {
            "train": [*anchors(20), *ordered],
            "validation": anchors(6, 20),
            "test": anchors(6, 26),
        }
        found.append(validated_files(tmp_path, files, contract, f"home{n}"))
    assert "refused" not in found
    assert found == found[:1] * len(found)


def test_a_row_that_has_left_is_no_reason_for_another_to_leave(tmp_path: Path) -> None:
    first, second, third = ({"text": text, "label": "a"} for text in CHAIN)
    files = {
        "train": [*anchors(20), third],
        "validation": [*anchors(6, 20), second],
        "test": [*anchors(6, 26), first],
    }
    contract = {"rules": {"near_leakage": "quarantine"}}
    found = validated_files(tmp_path, files, contract, "home")
    assert isinstance(found, Counter)
    assert found["quarantine", trimmed(second)] == 1
    assert found["train", trimmed(third)] == 1


def test_order_does_not_decide_which_of_two_equal_rows_a_leaked_group_takes(tmp_path: Path) -> None:
    twins = [{"text": LONG, "label": "a", "customer": name} for name in ("leaked", "own")]
    others = [{**row, "customer": f"c{n}"} for n, row in enumerate(anchors(32))]
    found = []
    for home, ordered in (("forwards", twins), ("backwards", twins[::-1])):
        write_table(tmp_path / "train.jsonl", [*others[:20], *ordered])
        write_table(tmp_path / "validation.jsonl", others[20:26])
        write_table(tmp_path / "test.jsonl", [{**others[26], "customer": "leaked"}, *others[27:]])
        names = {split: f"{split}.jsonl" for split in SPLITS}
        validated = run(pipeline(tmp_path, {**names, "group_column": "customer"}), home=home)
        found.append(Counter(row["text"] for row in split_rows(validated, "train")))
    assert found[0] == found[1]


TWO_CORES = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core screens by itself")


def quoted_rows(count: int) -> list[Row]:
    """Rows with quotation marks, commas and line breaks, and some that leave."""
    rows: list[Row] = []
    for n in range(count):
        text = f'She said, "parcel {n} is here",\nand left\r\n"at {n * 7} o\'clock", "{n % 5}"'
        rows.append({"text": text, "label": "ab"[n % 2]})
        if n % 50 == 7:
            rows.append({"text": "" if n % 100 == 7 else text, "label": "a"})
        if n % 70 == 9:
            rows.append({"text": "", "label": " "})
    return rows


def in_blocks(patch: pytest.MonkeyPatch, size: int = 20_000) -> None:
    """Have any file cut into blocks for several processes."""
    patch.setattr(first_pass, "PARALLEL_BYTES", 1)
    patch.setattr(first_pass, "BLOCK_BYTES", size)


def places(validated: ValidationResult) -> list[tuple[str, Any]]:
    """Every kept and quarantined row with its place."""
    kept = [(split, row) for split in SPLITS for row in split_rows(validated, split)]
    return [*kept, *(("quarantine", entry) for entry in aside(validated))]


@TWO_CORES
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_several_processes_find_what_one_finds(tmp_path: Path, kind: str) -> None:
    path = write_table(tmp_path / f"train.{kind}", quoted_rows(1500))
    with path.open("ab") as stream:
        stream.write(b"a field too few\n{")
    config = pipeline(tmp_path, {"train": path.name}, {"sample_size": 0})
    one = run(config, home="one")
    with pytest.MonkeyPatch.context() as patch:
        in_blocks(patch)
        assert len(list(formats.open_file(path).blocks(20_000))) > 5
        several = run(config, home="several")
    assert one.quarantined > 30
    assert sorted(places(several), key=repr) == sorted(places(one), key=repr)
    assert several.report == one.report
    assert several.digest == one.digest


@TWO_CORES
def test_several_processes_find_the_last_reading_of_a_row(tmp_path: Path) -> None:
    rows = [{**row, "ticket": n} for n, row in enumerate(quoted_rows(1500)) if row["text"]]
    corrected = [{**row, "label": "a"} for row in rows[:700]]
    path = write_table(tmp_path / "train.csv", [*rows, *corrected])
    data = {"train": path.name, "id_column": "ticket"}
    config = pipeline(tmp_path, data, {"sample_size": 0})
    one = run(config, home="one")
    with pytest.MonkeyPatch.context() as patch:
        in_blocks(patch)
        several = run(config, home="several")
    assert one.report["rows"]["superseded"] == 700
    assert places(several) == places(one)
    assert several.digest == one.digest


@TWO_CORES
@pytest.mark.parametrize(
    ("kind", "damage"),
    [("csv", b"caf\xe9 in the third block,a\n"), ("csv", b'"open\n'), ("jsonl", b"caf\xe9\n")],
)
def test_several_processes_refuse_what_one_refuses(
    tmp_path: Path, kind: str, damage: bytes
) -> None:
    path = write_table(tmp_path / f"train.{kind}", quoted_rows(1500))
    with path.open("ab") as stream:
        stream.write(damage)
    config = pipeline(tmp_path, {"train": path.name}, {"sample_size": 0})
    with pytest.raises(DataError) as by_one:
        run(config, home="one")
    with pytest.MonkeyPatch.context() as patch:
        in_blocks(patch)
        with pytest.raises(DataError) as by_several:
            run(config, home="several")
    assert str(by_several.value) == str(by_one.value)
    assert str(path) in str(by_one.value)
