from __future__ import annotations

import os
import signal
from pathlib import Path

from tasks import claims


def test_a_claim_is_gone_when_nothing_is_owed(tmp_path: Path) -> None:
    with claims.claimed(tmp_path) as claim:
        claim.note("flow_run", id="1")
        gone, living = claims.inspect(tmp_path)
        assert (gone, living) == ([], [{"kind": "flow_run", "id": "1"}])
    assert claims.inspect(tmp_path) == ([], [])
    with claims.claimed(tmp_path) as claim:
        claim.note("flow_run", id="2")
        claim.owed = True
    (left,), living = claims.inspect(tmp_path)
    assert (left.of("flow_run"), living) == ([{"kind": "flow_run", "id": "2"}], [])


def test_a_killed_process_leaves_its_claim(tmp_path: Path) -> None:
    """Its last line may be torn."""
    child = os.fork()
    if child == 0:
        with claims.claimed(tmp_path) as claim:
            claim.note("mlflow_run", experiment="reviews", fingerprint="abc")
            claim.note("events", folder="key", fingerprint="def")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (path,) = claims.folder(tmp_path).iterdir()
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"kind": "events", "fold')
    (dead,), living = claims.inspect(tmp_path)
    assert living == []
    assert dead.of("events") == [{"kind": "events", "folder": "key", "fingerprint": "def"}]
    assert claims.fingerprints(dead.entries) == {"abc", "def"}
    dead.remove()
    assert claims.inspect(tmp_path) == ([], [])


def test_an_error_does_not_keep_a_claim(tmp_path: Path) -> None:
    try:
        with claims.claimed(tmp_path) as claim:
            claim.note("flow_run", id="1")
            raise KeyError
    except KeyError:
        assert list(claims.folder(tmp_path).iterdir()) == []
