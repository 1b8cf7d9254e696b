"""The compose file: refers to what exists, pins what it runs, and has no secret of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any
from urllib.request import urlopen

import pytest

from tests.docs.markdown import ROOT
from tests.server.compose import LOOPBACK, PORTS, VARIABLE, Composition, example, load, variables
from tests.server.stand import Stand

FILE = load()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
KEYS = {"build", "command", "configs", "depends_on", "environment", "healthcheck"}
KEYS |= {"image", "init", "logging", "ports", "pull_policy", "restart", "volumes"}
PINNED = re.compile(r"^[\w./-]+:v?\d+(\.\d+)+[\w.-]*$")
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|AUTH_STRING|CONNECTION_URL|USERNAME")
OPTIONAL = {"PIPELINES", "PREFECT_PORT", "MLFLOW_PORT", "TORCH_INDEX"}
ONE_SHOT = "service_completed_successfully"


def settings(**changes: str) -> dict[str, str]:
    """A filled in ``.env``."""
    return {name: value or "secret" for name, value in example().items()} | changes


def composition(folder: Path) -> Composition:
    """The services on ports of their own."""
    return Composition(settings(), {name: port + 10_000 for name, port in PORTS.items()}, folder)


def environments() -> Iterator[tuple[str, str, str]]:
    """Service, name and value of every variable of every service."""
    for service, declared in SERVICES.items():
        for name, value in declared.get("environment", {}).items():
            yield service, name, value


def test_the_file_has_the_sections_of_the_specification_alone() -> None:
    own = {name for name in FILE if not name.startswith("x-")}
    assert own == {"name", "services", "configs", "volumes"}
    assert {key for declared in SERVICES.values() for key in declared} <= KEYS


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_refers_to_what_is_declared(service: str) -> None:
    declared = SERVICES[service]
    for mount in declared.get("configs", ()):
        assert mount["source"] in FILE["configs"]
    for volume in declared.get("volumes", ()):
        source = VARIABLE.sub(lambda found: found["text"], volume).split(":")[0]
        assert source in FILE["volumes"] or (ROOT / source).is_dir()
    for other, how in declared.get("depends_on", {}).items():
        if how["condition"] == ONE_SHOT:
            assert SERVICES[other]["restart"] == "on-failure"
        else:
            assert how["condition"] == "service_healthy"
            assert SERVICES[other]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_a_pinned_image_and_comes_back(service: str) -> None:
    assert PINNED.match(SERVICES[service]["image"])
    assert SERVICES[service]["restart"] in ("unless-stopped", "on-failure")


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_prints_does_not_fill_the_disk(service: str) -> None:
    assert SERVICES[service]["logging"] == {"driver": "local"}


def test_one_service_builds_the_image_of_all() -> None:
    """Services of one image that build at the same time fail each other's build."""
    (builder,) = [name for name, declared in SERVICES.items() if "build" in declared]
    for declared in SERVICES.values():
        if declared["image"] == SERVICES[builder]["image"]:
            assert declared["pull_policy"] == "never"


@pytest.mark.parametrize("service", ["prefect", "worker"])
def test_a_service_writes_to_volumes_alone(service: str) -> None:
    """The account of the image owns nothing else."""
    volumes = [volume.partition(":")[2] for volume in SERVICES[service]["volumes"]]
    written = {
        name: value
        for name, value in SERVICES[service]["environment"].items()
        if name.endswith(("_HOME", "_DIRECTORY"))
    }
    owned = re.findall(r"/var/\S+", re.findall("--owner onestep .*", DOCKERFILE)[0])
    assert written
    for name, value in written.items():
        for folders in (volumes, owned):
            assert any(PurePath(value).is_relative_to(folder) for folder in folders), name


def test_every_service_that_others_talk_to_is_checked() -> None:
    assert {name for name, declared in SERVICES.items() if "healthcheck" in declared} == set(PORTS)


def test_nothing_is_published_beyond_loopback() -> None:
    published = [port for declared in SERVICES.values() for port in declared.get("ports", ())]
    assert len(published) == 2
    assert all(port.startswith(f"{LOOPBACK}:") for port in published)


def test_every_variable_is_in_the_example_and_the_other_way_round() -> None:
    assert {found["name"] for found in variables(FILE)} == set(example())


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    secrets = [(s, n, v) for s, n, v in environments() if SECRET.search(n)]
    assert secrets
    for service, name, value in secrets:
        kinds = [found["kind"] for found in VARIABLE.finditer(value)]
        assert kinds == ["?"], f"{service}: {name}"
    assert [name for name, value in example().items() if value and name not in OPTIONAL] == []


@pytest.mark.parametrize("name", sorted(set(example()) - OPTIONAL))
def test_a_secret_that_is_not_set_ends_the_start(name: str, tmp_path: Path) -> None:
    without = Composition(settings(**{name: ""}), dict(PORTS), tmp_path)
    with pytest.raises(KeyError, match=name):
        [without.environment(service) for service, _, _ in environments()]


def test_no_command_line_shows_a_secret(tmp_path: Path) -> None:
    for service, declared in SERVICES.items():
        if "command" in declared:
            assert "secret" not in " ".join(composition(tmp_path).command(service))


def test_health_is_asked_where_the_service_listens() -> None:
    for service in ("store", "prefect", "mlflow"):
        declared = SERVICES[service]
        address = f"{LOOPBACK}:{PORTS[service]}/"
        assert address in " ".join(declared["healthcheck"]["test"])
        assert str(PORTS[service]) in " ".join(declared["command"])


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"])
def test_mlflow_answers_to_the_names_of_the_published_port(host: str) -> None:
    command = SERVICES["mlflow"]["command"]
    allowed = command[command.index("--allowed-hosts") + 1].split(",")
    assert f"{host}:${{MLFLOW_PORT:-5000}}" in allowed


def test_the_tests_run_these_commands_with_other_addresses_and_paths(tmp_path: Path) -> None:
    here = composition(tmp_path)
    for service in ("prefect", "mlflow", "bucket"):
        ours, theirs = here.command(service), SERVICES[service]["command"]
        assert len(ours) == len(theirs)
        assert without_numbers(ours) == without_numbers(theirs)
        assert here.environment(service).keys() == SERVICES[service]["environment"].keys()
    assert str(PORTS["mlflow"] + 10_000) in here.command("mlflow")
    assert here.environment("mlflow")["PGHOST"] == LOOPBACK


def without_numbers(command: list[str]) -> list[str]:
    """The words of a command that are no address."""
    return [word for word in command if not re.search(r"\d", word)]


def test_the_databases_that_services_use_are_created() -> None:
    created = set(re.findall(r"CREATE DATABASE (\w+);", FILE["configs"]["databases"]["content"]))
    created.add(SERVICES["database"]["environment"]["POSTGRES_DB"])
    texts = [*(value for _, _, value in environments()), *SERVICES["mlflow"]["command"]]
    texts.append(FILE["configs"]["auth"]["content"])
    plain = "\n".join(VARIABLE.sub("", text) for text in texts)
    assert set(re.findall(r"postgresql\+\w+://\S*/(\w+)", plain)) == created


def test_the_image_is_built_from_files_that_exist_and_is_not_root() -> None:
    assert PINNED.match(re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)[0])
    for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for pattern in line.split():
            assert list(ROOT.glob(pattern)), pattern
    target = re.findall(r"make (\S+)", DOCKERFILE)[-1]
    assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert DOCKERFILE.rindex("USER onestep") > DOCKERFILE.rindex("RUN ")


def test_the_image_has_the_version_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)[0]
    images = {d["image"] for d in SERVICES.values() if "build" in d}
    assert images == {f"onestep:{version}"}


@pytest.mark.xdist_group("servers")
def test_prefect_serves_its_interface_from_where_it_may_write(stand: Stand) -> None:
    folder = Path(stand.environment("prefect")["PREFECT_SERVER_UI_STATIC_DIRECTORY"])
    assert folder.is_relative_to(stand.folder)
    page = urlopen(stand.address("prefect"), timeout=10).read().decode()
    assert page in [path.read_text(encoding="utf-8") for path in folder.glob("*/index.html")]
