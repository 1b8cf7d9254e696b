"""The reference page of the rules, generated from the config."""

from __future__ import annotations

from typing import Final

from configs.contract import Contract, Privacy, Rules
from configs.schema import Applications
from tasks.contract.rules import cells

HEAD: Final = """# Rules of the data contract

Each rule has a severity under `contract.rules`: `refuse` fails the run, `quarantine` sets the row
aside, `drop` removes and counts it, `warn` only counts it. Each kind of private data has a
treatment under `contract.privacy`: `refuse`, `redact` or `allow`.
"""
RULE: Final = "---"
TITLES: Final = {
    "form": "Form of single values",
    "splits": "Rules across rows",
}


def page(applications: Applications) -> str:
    """The page in Markdown, for the pipeline class of each application."""
    contract = Contract()
    parts = [HEAD]
    for group, title in TITLES.items():
        members = [name for name in Rules.model_fields if cells.group(name) == group]
        parts.append(_rules(title, members, contract))
    for name, kind in applications.items():
        own: Contract = kind.model_fields["contract"].default
        if members := cells.own_rules(type(own.rules)):
            parts.append(_rules(f"Rules of {name}", members, own))
    kinds = [kind for kind in Privacy.model_fields if kind != "countries"]
    rows = [_row(kind, contract, "privacy.") for kind in kinds]
    parts.append(_table("Private data", "Kind | Default | What it is", rows))
    return "\n".join(parts)


def _rules(title: str, names: list[str], contract: Contract) -> str:
    rows = [_row(name, contract) for name in names]
    return _table(title, "Rule | Default | What breaks it", rows)


def _row(name: str, contract: Contract, prefix: str = "") -> str:
    default = cells.severity(prefix + name, contract)
    meaning = cells.documentation(prefix + name, type(contract.rules))
    return f"`{name}` | `{default}` | {meaning}"


def _table(title: str, heads: str, rows: list[str]) -> str:
    lines = "\n".join(
        ["|---|---|---|" if row == RULE else f"| {row} |" for row in (heads, RULE, *rows)]
    )
    return f"## {title}\n\n{lines}\n"
