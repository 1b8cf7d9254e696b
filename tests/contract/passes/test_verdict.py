from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from configs.errors import DataError
from tasks.contract.passes import verdict
from tasks.contract.rows.quarantine import QuarantineSummary
from tasks.contract.rules.findings import Place
from tests.support import passes
from tests.support.passes import Checked
from tests.support.tables import parcels

NOTHING = QuarantineSummary(Path("parcels.jsonl"), 0, None, Counter())
BROKEN = {"text": "", "label": "delivery"}


def refused(checked: Checked, quarantine: QuarantineSummary = NOTHING) -> list[str]:
    with pytest.raises(DataError) as caught:
        verdict.accept(checked.config, checked.application, checked.result, quarantine)
    folder = str(checked.config.data.folder)
    return [str(problem).replace(folder, "HERE") for problem in caught.value.problems]


def test_facts_are_learned_from_the_rows_that_stay(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": [*parcels(40), BROKEN]})
    facts = verdict.accept(checked.config, checked.application, checked.result, NOTHING)
    assert facts.labels == ("billing", "delivery")
    assert facts.inputs == ("text",)


def test_a_rule_that_refuses_names_its_first_row(tmp_path: Path) -> None:
    rows = {"train": [*parcels(40), BROKEN, BROKEN]}
    assert refused(passes.check(tmp_path, rows, rules={"missing": "refuse"})) == [
        "HERE/train.jsonl row 41: 2 rows break the rule `missing`, and contract.rules.missing is "
        "`refuse` (text: the text is empty)"
    ]


def test_too_many_quarantined_rows_are_refused_with_their_reasons(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": parcels(40)}, max_quarantined=0.1)
    first = Place("train", "train.jsonl", 7)
    reasons = Counter({f"reason {letter}": 9 - n for n, letter in enumerate("abcdefg")})
    few = QuarantineSummary(Path("parcels.jsonl"), 4, first, reasons)
    verdict.accept(checked.config, checked.application, checked.result, few)
    many = QuarantineSummary(Path("parcels.jsonl"), 5, first, reasons)
    (problem,) = refused(checked, many)
    assert problem.startswith(
        "train.jsonl row 7: 5 of 40 rows break the contract, more than 10.0% (9 x reason a; "
    )
    assert "5 x reason e; and 2 more kinds)" in problem
    assert "see parcels.jsonl, repair the rows" in problem


def test_splits_that_cannot_be_made_are_refused(tmp_path: Path) -> None:
    (problem,) = refused(passes.check(tmp_path, {"train": parcels(2)}))
    assert problem.startswith("data.validation: cannot set aside 0.2 of 2 rows of 2 labels")


def test_a_column_without_labels_is_refused_before_the_splits(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": parcels(1)})
    assert "cannot set aside" in str(checked.result.problems[0])
    (problem,) = refused(checked)
    assert problem.startswith("column 'label': expected at least two labels")


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    checked = passes.check(tmp_path, {"train": parcels(40), "test": [BROKEN]})
    assert refused(checked) == ["HERE/test.jsonl: no row is left for the test split"]
