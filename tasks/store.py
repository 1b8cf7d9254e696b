"""Stage outputs on disk: content-addressed, verified, committed by one rename.

A folder ``stages/STAGE/KEY`` exists only with a valid ``manifest.json``. Work in progress
lives beside it as ``KEY.partial``; a killed run leaves that, and the next one resumes or
replaces it under the same lock.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.errors import StorageFailure, WorkerFailure
from configs.files import PARTIAL, fsync, write_atomic
from configs.language import _

MANIFEST = "manifest.json"
DAMAGED = ".damaged-"
Summary = dict[str, Any]


def canonical(value: object) -> bytes:
    """Serialize to the one JSON form that digests are taken of."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    ).encode()


def digest(value: object) -> str:
    """SHA-256 of a JSON value in canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Every regular file below a folder, in a stable order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def folder_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Relative name to SHA-256 and size, for every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): {
            "sha256": file_digest(path),
            "bytes": path.stat().st_size,
        }
        for path in files_below(folder)
        if path != folder / MANIFEST
    }


def content_digest(files: Mapping[str, Mapping[str, Any]], *prefixes: str) -> str:
    """Digest of the content of all files, or of those whose names begin with a prefix."""
    chosen = prefixes or ("",)
    return digest({name: f["sha256"] for name, f in files.items() if name.startswith(chosen)})


def write_json(path: Path, value: object) -> None:
    """Write a record atomically as readable JSON."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read a record that :func:`write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def commit_folder(partial: Path, final: Path) -> None:
    """Publish a finished folder: every file to the disk first, then one rename."""
    for path in [*files_below(partial), partial]:
        fsync(path)
    partial.rename(final)
    fsync(final.parent)


@contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold an advisory lock; the kernel releases it when the process dies.

    Yields whether it is held; False only if ``wait`` is False and another holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, mode)
        except BlockingIOError:
            yield False
        else:
            yield True


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """A committed stage output.

    Attributes:
        key: digest of its inputs.
        digest: digest of its content.
        summary: numbers that the stage reported.
        seconds: time to compute it, in this run or an earlier one.
        repaired: why a damaged output was set aside, if one was.
        contents: digests of every content that was computed for the key, this one last; more than
            one if the stage is no function of its inputs. Empty for a stage that need not be one.
    """

    path: Path
    key: str
    digest: str
    summary: Summary
    reused: bool
    seconds: float
    repaired: str = ""
    contents: tuple[str, ...] = ()

    def content(self, *prefixes: str) -> str:
        """Digest of the part of the content whose names begin with one of the prefixes."""
        return content_digest(read_json(self.path / MANIFEST)["files"], *prefixes)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """The result of a stage that has an output folder."""

    stored: StoredOutput

    @property
    def reused(self) -> bool:
        """Whether an earlier run had computed it."""
        return self.stored.reused


class Store:
    """The stage outputs of one ``mlruns`` folder."""

    def __init__(self, root: Path) -> None:
        self.stages = root / "stages"
        self.locks = root / "locks"
        self.contents = root / "contents"

    def produce(
        self,
        stage: str,
        inputs: Mapping[str, Any],
        build: Callable[[Path], Summary],
        *,
        fresh: bool = False,
        resumable: bool = False,
        pure: Sequence[str] = (),
    ) -> StoredOutput:
        """Return the output for ``inputs``, computing it at most once.

        Args:
            inputs: everything that the output depends on, as JSON.
            build: fills the folder that it is given and returns the summary.
            fresh: compute even if a verified output exists.
            resumable: hand ``build`` the folder that a killed run left.
            pure: beginnings of the names of files that depend on nothing but ``inputs``. Their
                digests are kept, also if the output is deleted, and a later one is compared.

        Raises:
            StorageFailure: the disk is full or read-only.
        """
        final = self.stages / stage / digest({"stage": stage, **inputs})[:32]
        with storage_errors(), lock(self.locks / f"{stage}-{final.name}.lock"):
            self._note(final, pure)
            repaired = "" if fresh else self._set_aside_if_damaged(final)
            if final.exists() and not fresh:
                output = self._load(final)
            else:
                output = self._build(final, inputs, build, resumable)
            return replace(output, repaired=repaired, contents=self._note(final, pure))

    def _build(
        self,
        final: Path,
        inputs: Mapping[str, Any],
        build: Callable[[Path], Summary],
        resumable: bool,
    ) -> StoredOutput:
        partial = final.with_name(final.name + PARTIAL)
        if partial.exists() and not resumable:
            shutil.rmtree(partial)
        partial.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        try:
            summary = build(partial)
        except WorkerFailure:
            # The message names a log in the folder.
            raise
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        seconds = time.perf_counter() - started
        files = folder_files(partial)
        record = {"inputs": inputs, "summary": summary, "seconds": seconds, "files": files}
        write_json(partial / MANIFEST, record)
        if final.exists():
            shutil.rmtree(final)
        commit_folder(partial, final)
        return StoredOutput(final, final.name, content_digest(files), summary, False, seconds)

    def _load(self, final: Path) -> StoredOutput:
        record = read_json(final / MANIFEST)
        content = content_digest(record["files"])
        return StoredOutput(final, final.name, content, record["summary"], True, record["seconds"])

    def _note(self, final: Path, pure: Sequence[str]) -> tuple[str, ...]:
        """Keep the digest of an output that is there; return all that its key has had."""
        path = self.contents / final.parent.name / f"{final.name}.json"
        found = _readable(path)
        known = [str(one) for one in found] if isinstance(found, list) else []
        if pure and (files := _files_of(final)) is not None:
            now = content_digest(files, *pure)
            if known[-1:] != [now]:
                known = [*(one for one in known if one != now), now]
                write_json(path, known)
        return tuple(known) if pure else ()

    def _set_aside_if_damaged(self, final: Path) -> str:
        if not final.exists() or not (reason := damage(final)):
            return ""
        aside = final.with_name(f"{final.name}{DAMAGED}{time.time_ns()}")
        final.rename(aside)
        return _("{reason}; set aside as {name}", reason=reason, name=aside.name)

    def sweep(self, older_than: float = 7 * 86400) -> list[Path]:
        """Remove the work of killed runs that was not resumed for a week."""
        stale = []
        for partial in self.stages.glob(f"*/*{PARTIAL}"):
            name = f"{partial.parent.name}-{partial.name.removesuffix(PARTIAL)}.lock"
            with lock(self.locks / name, wait=False) as held:
                if held and time.time() - partial.stat().st_mtime > older_than:
                    shutil.rmtree(partial)
                    stale.append(partial)
        return stale


def _readable(path: Path) -> Any:
    """A record; None if there is none that can be read."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _files_of(folder: Path) -> dict[str, Any] | None:
    """The files that a manifest lists; None without a manifest that can be read."""
    manifest = _readable(folder / MANIFEST)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    return files if isinstance(files, dict) else None


def damage(folder: Path) -> str:
    """How a folder differs from its manifest; empty if it does not."""
    expected = _files_of(folder)
    if expected is None:
        return _("its manifest is missing or unreadable")
    found = folder_files(folder)
    changed = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    shown = ", ".join(changed[:3])
    return _("{changed} differs from the manifest", changed=shown) if changed else ""


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into a :class:`StorageFailure`."""
    hopeless = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.ENOTDIR}
    try:
        yield
    except OSError as error:
        if error.errno not in hopeless:
            raise
        where = _(" at {filename}", filename=error.filename) if error.filename else ""
        advice = _("free space or change the permissions, then run the same command again")
        raise StorageFailure(
            _(
                "cannot write{where}: {strerror}; {advice}",
                where=where,
                strerror=error.strerror,
                advice=advice,
            )
        ) from error
