"""The proxy of the environment, and a server on loopback."""

from __future__ import annotations

import os
from urllib.request import proxy_bypass

import pytest

from flows.servers.prefect import HOST, bypass_proxy

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *map(str.lower, NAMES)):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("others", ["", "intern.example", "intern.example, .local ,"])
def test_only_loopback_is_reached_without_the_proxy(
    proxy: str, name: str, others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    monkeypatch.setenv(name, others)
    before = bool(proxy_bypass("intern.example"))
    bypass_proxy()
    bypass_proxy()
    assert proxy_bypass(HOST)
    assert bool(proxy_bypass("intern.example")) is before is bool(others)
    assert not proxy_bypass("api.example")
    assert os.environ["no_proxy"].count(HOST) == 1


def test_without_a_proxy_the_environment_stays_as_it_is() -> None:
    bypass_proxy()
    assert not {"NO_PROXY", "no_proxy"} & set(os.environ)


def test_an_exception_for_all_hosts_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    bypass_proxy()
    assert os.environ["NO_PROXY"] == "*"
