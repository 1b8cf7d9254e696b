from __future__ import annotations

from pathlib import Path

import pytest

from tasks import extensions
from tests.support import packages

GROUP = "onestep.test_extensions"
BUILT_IN = {"plain": 1, "spare": 2}


@pytest.fixture(autouse=True)
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {GROUP: {"foreign": "VALUE", "plain": "VALUE"}}
    packages.install(tmp_path, monkeypatch, "some_foreign_package", "VALUE = 3\n", points)


def test_extensions_of_packages_are_listed_beside_the_built_in_ones() -> None:
    assert extensions.names(GROUP, BUILT_IN) == ["foreign", "plain", "spare"]


def test_extension_is_loaded_by_name() -> None:
    assert extensions.load(GROUP, "foreign", BUILT_IN) == 3


def test_built_in_extension_cannot_be_replaced() -> None:
    assert extensions.load(GROUP, "plain", BUILT_IN) == 1


def test_unknown_name_is_refused_with_a_suggestion() -> None:
    assert extensions.refusal(GROUP, "foreign", BUILT_IN) == ""
    assert extensions.refusal(GROUP, "foriegn", BUILT_IN) == (
        "expected one of foreign, plain, spare, found 'foriegn' (did you mean `foreign`?)"
    )
    with pytest.raises(KeyError):
        extensions.load(GROUP, "foriegn", BUILT_IN)


def test_a_package_installed_later_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert extensions.names(GROUP, {}) == ["foreign", "plain"]
    packages.install(
        tmp_path, monkeypatch, "another_package", "VALUE = 4\n", {GROUP: {"new": "VALUE"}}
    )
    assert extensions.names(GROUP, {}) == ["foreign", "new", "plain"]


def test_entry_points_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    extensions.names(GROUP, {})
    before = extensions._read.cache_info().misses
    extensions.names(GROUP, BUILT_IN)
    assert extensions._read.cache_info().misses == before
