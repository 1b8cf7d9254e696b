from __future__ import annotations

from pathlib import Path

import pytest

from tasks import extensions
from tasks.extensions import Extensions
from tests.support import packages

GROUP = "onestep.test_extensions"
NUMBERS = Extensions(GROUP, {"plain": 1, "spare": 2})
FOREIGN = Extensions[int](GROUP, {})


@pytest.fixture(autouse=True)
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {GROUP: {"foreign": "VALUE", "plain": "VALUE"}}
    packages.install(tmp_path, monkeypatch, "some_foreign_package", "VALUE = 3\n", points)


def test_extensions_of_packages_are_listed_beside_the_built_in_ones() -> None:
    assert NUMBERS.names() == ["foreign", "plain", "spare"]


def test_extension_is_loaded_by_name() -> None:
    assert NUMBERS.load("foreign") == 3


def test_built_in_extension_cannot_be_replaced() -> None:
    assert NUMBERS.load("plain") == 1


def test_unknown_name_is_refused_with_a_suggestion() -> None:
    assert NUMBERS.refusal("foreign") == ""
    assert NUMBERS.refusal("foriegn") == (
        "expected one of foreign, plain, spare, found 'foriegn' (did you mean `foreign`?)"
    )
    with pytest.raises(KeyError):
        NUMBERS.load("foriegn")


def test_a_package_installed_later_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FOREIGN.names() == ["foreign", "plain"]
    packages.install(
        tmp_path, monkeypatch, "another_package", "VALUE = 4\n", {GROUP: {"new": "VALUE"}}
    )
    assert FOREIGN.names() == ["foreign", "new", "plain"]


def test_entry_points_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    FOREIGN.names()
    before = extensions._read.cache_info().misses
    NUMBERS.names()
    assert extensions._read.cache_info().misses == before
