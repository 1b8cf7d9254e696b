"""Look models up in the registry."""

from __future__ import annotations

from typing import Any

from tasks import registry, tracking
from tasks.errors import ModelError, Problem
from tasks.workspace import Workspace


def registered(workspace: Workspace, name: str | None) -> list[dict[str, Any]]:
    """Every version of one model, newest first; without a name, the served one of each.

    Raises:
        ModelError: no such model.
    """
    client = tracking.reach(workspace)
    names = [model.name for model in client.search_registered_models(max_results=1000)]
    if name is not None and name not in names:
        known = ", ".join(names) or "none yet"
        raise ModelError(Problem(name, "no such model", f"registered: {known}"))
    records = []
    for chosen in [name] if name is not None else names:
        known_aliases = registry.aliases(client, chosen)
        for version in registry.versions(client, chosen):
            record = registry.describe(client, version, known_aliases)
            if name is not None or record["aliases"]:
                records.append(record)
    return records
