from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError, StorageFailure, WorkerFailure
from configs.files import write_atomic
from tasks import store as stores
from tasks.store import Store, StoredOutput, Summary

Process = subprocess.Popen[str]
Start = Callable[[str, str], Process]
INPUTS = {"version": 1, "rows": "abc"}
# Builds the output of INPUTS; the build goes on when the file "go" exists.
BUILDER = """
import sys, time
from pathlib import Path
from tasks.store import Store, lock

root = Path(sys.argv[1])

def build(folder):
    (folder / "part").write_text("part")
    (root / f"building-{sys.argv[2]}").touch()
    while not (root / "go").exists():
        time.sleep(0.01)
    return {"by": sys.argv[2]}

for path in (root / "locks").glob("*.lock"):
    with lock(path, wait=False) as free:
        (root / f"free-{sys.argv[2]}-{free}").touch()
(root / f"started-{sys.argv[2]}").touch()
stored = Store(root).produce("stage", {"version": 1, "rows": "abc"}, build)
print(stored.reused, stored.summary["by"])
"""


class Build:
    """Writes two files and counts how often it was asked to."""

    def __init__(self, content: str = "content") -> None:
        self.content = content
        self.found: list[list[str]] = []

    def __call__(self, folder: Path) -> Summary:
        self.found.append([path.name for path in stores.files_below(folder)])
        (folder / "deep").mkdir(exist_ok=True)
        (folder / "a.txt").write_text(self.content, encoding="utf-8")
        (folder / "deep" / "manifest.json").write_text("{}", encoding="utf-8")
        return {"rows": 3}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start builders, and wait until each is where it is wanted."""
    processes = []

    def started(name: str, until: str) -> Process:
        command = [sys.executable, "-c", BUILDER, str(tmp_path), name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        while not (tmp_path / f"{until}-{name}").exists():
            assert process.poll() is None
            time.sleep(0.01)
        return process

    yield started
    for process in processes:
        process.kill()
        with process:
            pass


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def produce(store: Store, build: Build, inputs: Any = None, **options: Any) -> StoredOutput:
    return store.produce("stage", INPUTS if inputs is None else inputs, build, **options)


def interrupted(store: Store, error: BaseException, *, resumable: bool) -> list[str]:
    """Names of the folders that a build leaves when it raises."""

    def build(folder: Path) -> Summary:
        (folder / "part").write_text("part", encoding="utf-8")
        raise error

    with pytest.raises(type(error)):
        store.produce("stage", INPUTS, build, resumable=resumable)
    return [path.suffix for path in store.stages.glob("stage/*")]


def test_an_output_is_computed_once(store: Store) -> None:
    build = Build()
    first, second = produce(store, build), produce(store, build)
    assert len(build.found) == 1
    assert (first.reused, second.reused) == (False, True)
    assert (second.path, second.key, second.digest) == (first.path, first.key, first.digest)
    assert second.summary == {"rows": 3}
    assert second.seconds == first.seconds


def test_other_inputs_or_another_stage_are_another_output(store: Store) -> None:
    build = Build()
    keys = {
        produce(store, build).key,
        produce(store, build, {**INPUTS, "version": 2}).key,
        store.produce("other", INPUTS, build).key,
    }
    assert len(keys) == len(build.found) == 3


def test_the_order_of_inputs_does_not_matter(store: Store) -> None:
    produce(store, Build())
    assert produce(store, Build(), dict(reversed(INPUTS.items()))).reused


def test_the_manifest_holds_inputs_summary_and_every_file(store: Store) -> None:
    stored = produce(store, Build())
    manifest = json.loads((stored.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"] == INPUTS
    assert manifest["summary"] == {"rows": 3}
    assert manifest["seconds"] == stored.seconds >= 0
    empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    text = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert manifest["files"] == {
        "a.txt": {"sha256": text, "bytes": 7},
        "deep/manifest.json": {"sha256": empty, "bytes": 2},
    }


def test_the_folder_is_named_after_stage_and_key_and_nothing_else_is_left(store: Store) -> None:
    stored = produce(store, Build())
    assert stored.path == store.stages / "stage" / stored.key
    assert [path.name for path in stored.path.parent.iterdir()] == [stored.key]


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    one = produce(Store(tmp_path / "one"), Build(), {"version": 1})
    same = produce(Store(tmp_path / "two"), Build(), {"version": 2})
    other = produce(Store(tmp_path / "three"), Build("other"), {"version": 1})
    assert one.digest == same.digest != other.digest
    assert one.content("a") == same.content("a") != other.content("a")
    assert one.content("deep/") == other.content("deep/")


def test_fresh_computes_again_and_replaces(store: Store) -> None:
    produce(store, Build("old"))
    again = produce(store, Build("new"), fresh=True)
    assert not again.reused
    assert (again.path / "a.txt").read_text(encoding="utf-8") == "new"
    assert produce(store, Build()).digest == again.digest


def contents(store: Store, content: str, **options: Any) -> list[str]:
    """The first letters of the contents that the key has had; each is of one letter."""
    letters = {}
    for letter in "abc":
        folder = store.stages.parent / f"scratch-{letter}"
        folder.mkdir(exist_ok=True)
        Build(letter)(folder)
        letters[stores.content_digest(stores.folder_files(folder), "a.txt")] = letter
    stored = produce(store, Build(content), pure=("a.txt",), **options)
    return [letters[one] for one in stored.contents]


def test_a_key_with_two_contents_is_noticed_when_it_is_computed_again(store: Store) -> None:
    assert contents(store, "a") == ["a"]
    assert contents(store, "b") == ["a"]  # reused
    assert contents(store, "a", fresh=True) == ["a"]
    assert contents(store, "b", fresh=True) == ["a", "b"]
    assert contents(store, "c") == ["a", "b"]
    assert contents(store, "a", fresh=True) == ["b", "a"]


def test_a_key_with_two_contents_is_noticed_after_its_output_was_deleted(store: Store) -> None:
    contents(store, "a")
    shutil.rmtree(store.stages)
    assert contents(store, "b") == ["a", "b"]


def test_a_key_with_two_contents_is_noticed_in_a_home_with_a_copied_output(
    store: Store, tmp_path: Path
) -> None:
    contents(store, "a")
    other = Store(tmp_path / "other")
    shutil.copytree(store.stages, other.stages)
    assert contents(other, "b", fresh=True) == ["a", "b"]


def test_damage_is_no_second_content(store: Store) -> None:
    contents(store, "a")
    overwrite(next(store.stages.glob("stage/*")))
    assert contents(store, "a") == ["a"]


def test_a_stage_that_need_not_be_pure_has_no_contents(store: Store) -> None:
    assert produce(store, Build("a")).contents == ()
    assert produce(store, Build("b"), fresh=True).contents == ()
    damaged = store.contents / "stage" / f"{produce(store, Build()).key}.json"
    stores.write_json(damaged, {"no": "list"})
    assert contents(store, "b") == ["b"]


def overwrite(path: Path) -> None:
    (path / "a.txt").write_text("changed", encoding="utf-8")


DAMAGES = {
    "changed": overwrite,
    "missing": lambda path: (path / "a.txt").unlink(),
    "added": lambda path: (path / "b.txt").touch(),
    "nested manifest": lambda path: (path / "deep" / "manifest.json").write_text("[]"),
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "cut manifest": lambda path: (path / "manifest.json").write_text('{"files": {'),
    "other manifest": lambda path: (path / "manifest.json").write_text("[]"),
    "empty manifest": lambda path: (path / "manifest.json").write_text('{"files": null}'),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_output_is_set_aside_reported_and_rebuilt(store: Store, kind: str) -> None:
    first = produce(store, Build())
    DAMAGES[kind](first.path)
    again = produce(store, Build())
    assert not again.reused
    assert again.digest == first.digest
    assert stores.damage(again.path) == ""
    (aside,) = first.path.parent.glob(f"{first.key}.damaged-*")
    assert again.repaired.endswith(f"; set aside as {aside.name}")
    assert produce(store, Build()).repaired == ""


def test_the_report_of_a_damage_names_the_file(store: Store) -> None:
    stored = produce(store, Build())
    overwrite(stored.path)
    assert stores.damage(stored.path) == "a.txt differs from the manifest"


@pytest.mark.parametrize("error", [RuntimeError(), DataError([]), KeyboardInterrupt()], ids=repr)
def test_a_build_that_fails_leaves_nothing_unless_it_can_be_resumed(
    store: Store, error: BaseException
) -> None:
    assert interrupted(store, error, resumable=False) == []
    assert interrupted(store, error, resumable=True) == [".partial"]
    assert not produce(store, Build()).reused


def test_a_failed_training_process_leaves_its_log(store: Store) -> None:
    assert interrupted(store, WorkerFailure("see its log"), resumable=False) == [".partial"]


def test_a_resumable_build_gets_what_the_last_one_left(store: Store) -> None:
    interrupted(store, RuntimeError(), resumable=True)
    build = Build()
    stored = produce(store, build, resumable=True)
    assert build.found == [["part"]]
    assert stored.content("part") != stored.content("nothing")


@pytest.mark.parametrize(("resumable", "found"), [(False, []), (True, ["part"])])
def test_a_killed_process_leaves_its_part_and_no_lock(
    store: Store, start: Start, resumable: bool, found: list[str]
) -> None:
    process = start("first", "building")
    process.kill()
    process.wait()
    build = Build()
    assert not produce(store, build, resumable=resumable).reused
    assert build.found == [found]


def test_two_processes_at_once_compute_once(tmp_path: Path, start: Start) -> None:
    first, second = start("first", "building"), start("second", "started")
    (tmp_path / "go").touch()
    assert first.communicate()[0].split() == ["False", "first"]
    assert second.communicate()[0].split() == ["True", "first"]
    assert (tmp_path / "free-second-False").exists()
    assert not (tmp_path / "building-second").exists()


def test_a_lock_is_exclusive_unless_shared(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "one.lock"
    with stores.lock(path, shared=True), stores.lock(path, shared=True) as also:
        assert also
        with stores.lock(path, wait=False) as held:
            assert not held
    with stores.lock(path, wait=False) as held:
        assert held


def test_sweeping_removes_what_nobody_resumed(store: Store) -> None:
    interrupted(store, RuntimeError(), resumable=True)
    (partial,) = store.stages.glob("stage/*.partial")
    assert store.sweep() == []
    os.utime(partial, (0, 0))
    key = partial.name.removesuffix(".partial")
    with stores.lock(store.locks / f"stage-{key}.lock"):
        assert store.sweep() == []
    assert store.sweep() == [partial]
    assert not partial.exists()


def test_sweeping_leaves_outputs(store: Store) -> None:
    stored = produce(store, Build())
    os.utime(stored.path, (0, 0))
    assert store.sweep() == []
    assert produce(store, Build()).reused


def test_writing_replaces_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "record.json"
    stores.write_json(path, {"long": "x" * 1000})
    stores.write_json(path, {"name": "ünïcödé", "path": tmp_path})
    assert stores.read_json(path) == {"name": "ünïcödé", "path": str(tmp_path)}
    assert "ünïcödé" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_writing_that_fails_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "record"
    write_atomic(path, "old")
    path.with_name("record.partial").symlink_to("/dev/full")
    with pytest.raises(StorageFailure, match="No space left"), stores.storage_errors():
        write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"


def test_a_full_disk_ends_a_build_as_a_storage_failure(store: Store) -> None:
    def build(folder: Path) -> Summary:
        (folder / "weights").symlink_to("/dev/full")
        (folder / "weights").write_bytes(bytes(10))
        return {}

    with pytest.raises(StorageFailure, match="free space or change the permissions"):
        store.produce("stage", INPUTS, build)
    assert not produce(store, Build()).reused


def test_a_store_below_a_file_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailure, match=r"cannot write at .*file.*: Not a directory"):
        produce(Store(tmp_path / "file" / "mlruns"), Build())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_what_the_user_can_repair_is_a_storage_failure(code: int) -> None:
    with pytest.raises(StorageFailure, match="cannot write at place"), stores.storage_errors():
        raise OSError(code, os.strerror(code), "place")


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(FileNotFoundError), stores.storage_errors():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), "place")
