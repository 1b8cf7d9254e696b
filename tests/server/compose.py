"""Read ``compose.yaml`` as Compose does, so that tests run its own commands without containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.docs.markdown import ROOT

FILE = ROOT / "compose.yaml"
EXAMPLE = ROOT / ".env.example"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")
ANYWHERE, LOOPBACK = "0.0.0.0", "127.0.0.1"
PORTS = {"database": 5432, "store": 9000, "prefect": 4200, "mlflow": 5000}
"""Where each service listens in its container."""


def load() -> dict[str, Any]:
    """The file as YAML has it, with its variables."""
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(FILE.read_text(encoding="utf-8"))
    return found


def example() -> dict[str, str]:
    """The variables of ``.env.example`` and the values that it gives them."""
    return settings_in(EXAMPLE)


def settings_in(path: Path) -> dict[str, str]:
    """The variables of a file like ``.env``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def variables(value: object) -> list[re.Match[str]]:
    """Every variable that a part of the file uses."""
    if isinstance(value, Mapping):
        return [found for part in value.values() for found in variables(part)]
    if isinstance(value, list):
        return [found for part in value for found in variables(part)]
    return list(VARIABLE.finditer(value)) if isinstance(value, str) else []


@dataclass(frozen=True)
class Composition:
    """The services as they run on this machine, on ports of their own.

    Attributes:
        settings: the variables of ``.env``.
        ports: the port that each service got here.
        folder: stands for the folders in the containers.
    """

    settings: Mapping[str, str]
    ports: Mapping[str, int]
    folder: Path
    file: dict[str, Any] = field(default_factory=load)

    def command(self, service: str) -> list[str]:
        """The command line of a service."""
        return [self.here(word) for word in self.file["services"][service]["command"]]

    def environment(self, service: str) -> dict[str, str]:
        """The environment of a service."""
        declared = self.file["services"][service]["environment"]
        found = {name: self.here(value) for name, value in declared.items()}
        hosts = {name: LOOPBACK for name in found if name.endswith("HOST")}
        return found | hosts

    @property
    def role(self) -> str:
        """The role that owns the databases."""
        return self.environment("database")["POSTGRES_USER"]

    @property
    def database(self) -> str:
        """The database that PostgreSQL's image creates."""
        return self.environment("database")["POSTGRES_DB"]

    def config(self, name: str) -> str:
        """The content of a file that is declared in place."""
        return str(self.file["configs"][name]["content"])

    def write_configs(self, service: str) -> None:
        """Put the files of a service where its environment says that they are."""
        for mount in self.file["services"][service]["configs"]:
            path = Path(self.here(mount["target"]))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.config(mount["source"]), encoding="utf-8")

    def here(self, text: str) -> str:
        """A word of the file with its variables filled in, and the addresses and paths of here."""
        text = VARIABLE.sub(self._value, text).replace(ANYWHERE, LOOPBACK)
        for service, port in PORTS.items():
            own = self.ports[service]
            text = text.replace(f"{service}:{port}", f"{LOOPBACK}:{own}")
            text = str(own) if text == str(port) else text
        return re.sub(r"^/(?:(?:etc|var)/|(?=pipelines\b))", f"{self.folder}/", text)

    def _value(self, found: re.Match[str]) -> str:
        given = self.settings.get(found["name"], "")
        if not given and found["kind"] == "?":
            raise KeyError(f"{found['name']}: {found['text']}")
        return given or found["text"] or ""
