"""The page about every rule, written out of the config so that it never lags behind it."""

from __future__ import annotations

from typing import Final

from configs.contract import Contract, Privacy
from tasks.contract.rules import cells

HEAD: Final = """# Rules of the data contract

Each rule has a severity under `contract.rules`: `refuse` fails the run, `quarantine` sets the row
aside, `warn` only counts it. Each kind of private data has a treatment under `contract.privacy`:
`refuse`, `redact` or `allow`.
"""
RULE: Final = "---"
TITLES: Final = {
    "form": "Form of single values",
    "splits": "Rows held against each other",
    "application": "Rules of one application",
}


def page() -> str:
    """The page in Markdown."""
    contract = Contract()
    names = list(type(contract.rules).model_fields)
    parts = [HEAD]
    for group, title in TITLES.items():
        members = [name for name in names if cells.group(name) == group]
        rows = [_row(name, cells.severity(name, contract)) for name in members]
        parts.append(_table(title, "Rule | Default | What breaks it", rows))
    kinds = [kind for kind in Privacy.model_fields if kind != "countries"]
    rows = [_row(kind, cells.severity(f"privacy.{kind}", contract), "privacy.") for kind in kinds]
    parts.append(_table("Private data", "Kind | Default | What it is", rows))
    return "\n".join(parts)


def _row(name: str, default: str, prefix: str = "") -> str:
    return f"`{name}` | `{default}` | {cells.documentation(prefix + name)}"


def _table(title: str, heads: str, rows: list[str]) -> str:
    lines = "\n".join(
        ["|---|---|---|" if row == RULE else f"| {row} |" for row in (heads, RULE, *rows)]
    )
    return f"## {title}\n\n{lines}\n"
