"""The messages of the source, and the catalogue of their translations."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment

from configs.language import CHINESE, FOLDER, STORED
from tests.docs.markdown import ROOT

PACKAGES = ("configs", "flows", "onestep", "tasks")
PO = FOLDER / CHINESE / "LC_MESSAGES" / "onestep.po"
MO = PO.with_suffix(".mo")
TEMPLATES: Any = Environment(extensions=["jinja2.ext.i18n"])
MARKS = ("_", "english", "words")
HEADER = """# Messages of onestep in Chinese; `python -m tests.docs` adds new ones, compiles all.
msgid ""
msgstr ""
"Language: zh_CN\\n"
"Content-Type: text/plain; charset=utf-8\\n"

"""


def sources(pattern: str) -> list[Path]:
    """The shipped files of a kind."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob(pattern))


def calls(path: Path, names: tuple[str, ...]) -> Iterator[ast.Call]:
    """The calls of functions by their names as the code writes them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            yield node


def messages() -> list[tuple[str, str | None]]:
    """Every message of the modules and the templates with its context, without repetition."""
    found: dict[tuple[str, str | None], None] = {}
    for path in sources("*.py"):
        for call in calls(path, MARKS):
            mark = call.func.id if isinstance(call.func, ast.Name) else ""
            marked = call.args if mark == "words" else call.args[:1]
            texts = [one.value for one in marked if isinstance(one, ast.Constant)]
            context = STORED if mark == "english" else None
            found |= {(text, context): None for text in texts if isinstance(text, str) and text}
    for path in sources("*.j2"):
        parts = TEMPLATES.extract_translations(path.read_text(encoding="utf-8"))
        # With values, a message is the first of several arguments.
        texts = [text if isinstance(text, str) else text[0] for _line, _name, text in parts]
        found |= {(text, None): None for text in texts}
    return list(found)


def catalogue() -> Catalog:
    """The catalogue as it is."""
    with PO.open("rb") as file:
        return read_po(file, locale=CHINESE)


def completed(known: Catalog) -> bytes:
    """The catalogue with every message of the source; a new one has no translation yet."""
    new = Catalog(locale=CHINESE)
    for text, context in messages():
        old = known.get(text, context)
        new.add(text, string=old.string if old else "", context=context)
    file = BytesIO()
    write_po(file, new, width=98, omit_header=True)
    return HEADER.encode() + file.getvalue()


def compiled(known: Catalog) -> bytes:
    """The catalogue as ``gettext`` reads it, the same at any time."""
    known.creation_date = datetime(2026, 1, 1, tzinfo=UTC)
    file = BytesIO()
    write_mo(file, known)
    return file.getvalue()
