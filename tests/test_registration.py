from __future__ import annotations

import json
import multiprocessing
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from configs.schema import Gate, Pipeline, Registry
from tasks import registry, tracking
from tasks.errors import DataError
from tasks.evaluation import Evaluated
from tasks.predictor import Predictor
from tasks.registration import Origin, Registered, register
from tasks.tracking import FINGERPRINT
from tasks.workspace import Workspace
from tests.support.pipelines import Prepared
from tests.support.rows import reviews
from tests.support.workers import wait_until

pytest_plugins = ["tests.support.fixtures"]
pytestmark = [
    pytest.mark.xdist_group("stages"),
    # MLflow's own code, with pandas 3.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

TEXTS = pd.DataFrame({"text": [text for text, _ in reviews()[:20]]})


@dataclass(frozen=True)
class Shop:
    """A store, and one model name in it."""

    workspace: Workspace
    client: MlflowClient
    config: Pipeline
    evaluated: Evaluated

    @property
    def name(self) -> str:
        return self.config.model_name

    def run(self, fingerprint: str, accuracy: float) -> str:
        """The MLflow run of a fingerprint, with the metrics that it reached."""
        fingerprint = f"{self.name}-{fingerprint}"
        run_id = tracking.open_run(self.client, self.workspace, "reviews", fingerprint, fingerprint)
        tracking.log_figures(self.client, run_id, {"test/accuracy": accuracy}, 72)
        return run_id

    def register(self, fingerprint: str, accuracy: float) -> Registered:
        """Register the evaluated model as if it had reached an accuracy."""
        run_id = self.run(fingerprint, accuracy)
        metrics = self.evaluated.metrics | {"accuracy": accuracy}
        evaluated = replace(self.evaluated, metrics=metrics, headline="accuracy")
        origin = Origin(fingerprint, lambda: run_id, {"onestep.data": "some rows"})
        return register(self.config, self.workspace, self.client, evaluated, origin)

    def with_gate(self, **gate: object) -> Shop:
        section = Gate.model_validate(gate)
        return replace(self, config=self.config.model_copy(update={"gate": section}))

    def aliases(self) -> dict[str, int]:
        return registry.aliases(self.client, self.name)

    def numbers(self) -> list[int]:
        return [int(version.version) for version in registry.versions(self.client, self.name)]


@pytest.fixture
def shop(
    store: tuple[Workspace, MlflowClient],
    prepared: Prepared,
    evaluated: Evaluated,
    request: pytest.FixtureRequest,
) -> Shop:
    name = re.sub(r"\W+", "-", request.node.name)
    section = Registry(name=name[:99], tags={"team": "support"})
    config = prepared.config.model_copy(update={"registry": section})
    return Shop(*store, config, evaluated)


def test_first_version_is_champion(shop: Shop) -> None:
    registered = shop.with_gate(floors={"accuracy": 0.8}).register("first", 0.9)
    assert (registered.version, registered.alias, registered.reused) == (1, "champion", False)
    assert "first version" in registered.verdict
    assert shop.aliases() == {"champion": 1}


def test_version_says_where_it_comes_from(shop: Shop) -> None:
    registered = shop.register("a fingerprint", 0.9)
    version = shop.client.get_model_version(shop.name, str(registered.version))
    assert version.tags == {
        FINGERPRINT: "a fingerprint",
        registry.HEADLINE: "accuracy",
        registry.VERDICT: registered.verdict,
        "onestep.data": "some rows",
        "onestep.problem": "single",
        "team": "support",
    }
    assert version.run_id == shop.run("a fingerprint", 0.9)
    described = registry.describe(shop.client, version, shop.aliases())
    assert (described["value"], described["aliases"]) == (0.9, ["champion"])


@pytest.mark.parametrize(
    ("tag", "words"),
    [("onestep.application", "another application"), ("onestep.problem", "another labelling")],
)
def test_version_of_another_problem_does_not_replace_the_champion(
    shop: Shop, tag: str, words: str
) -> None:
    shop.register("first", 0.5)
    shop.client.set_model_version_tag(shop.name, "1", tag, "of another kind")
    config = shop.config.model_copy(
        update={"registry": shop.config.registry.model_copy(update={"tags": {tag: "ours"}})}
    )
    registered = replace(shop, config=config).register("second", 0.9)
    assert (registered.version, registered.alias) == (2, None)
    assert words in registered.verdict
    assert "registry.name" in registered.verdict
    assert shop.aliases() == {"champion": 1}


def test_version_below_a_floor_gets_no_alias(shop: Shop) -> None:
    registered = shop.with_gate(floors={"accuracy": 0.8}).register("weak", 0.7)
    assert (registered.version, registered.alias) == (1, None)
    assert "accuracy 0.7000 is below its floor 0.8" in registered.verdict
    assert shop.aliases() == {}


def test_better_version_replaces_the_champion(shop: Shop) -> None:
    shop.register("old", 0.8)
    registered = shop.register("new", 0.9)
    assert (registered.version, registered.alias) == (2, "champion")
    assert "0.9000 against 0.8000" in registered.verdict
    assert shop.aliases() == {"champion": 2}


@pytest.mark.parametrize(("accuracy", "min_gain"), [(0.7, 0.0), (0.8, 0.0), (0.85, 0.1)])
def test_version_that_gains_too_little_is_challenger(
    shop: Shop, accuracy: float, min_gain: float
) -> None:
    shop.register("old", 0.8)
    registered = shop.with_gate(min_gain=min_gain).register("new", accuracy)
    assert (registered.version, registered.alias) == (2, "challenger")
    assert shop.aliases() == {"champion": 1, "challenger": 2}


def test_registering_twice_makes_one_version(shop: Shop) -> None:
    first = shop.register("same", 0.9)
    again = shop.register("same", 0.9)
    assert again == replace(first, reused=True, seconds=again.seconds)
    assert shop.numbers() == [1]


@pytest.mark.parametrize(
    "report", [None, {"verdict": "refused"}, {"verdict": "passed", "rules": []}]
)
def test_a_model_whose_rows_no_rule_has_seen_is_refused(
    shop: Shop, tmp_path: Path, report: dict[str, object] | None
) -> None:
    stage = tmp_path / "evaluation"
    shutil.copytree(shop.evaluated.stored.path, stage)
    (stage / "package" / "contract.json").unlink()
    if report is not None:
        (stage / "package" / "contract.json").write_text(json.dumps(report), encoding="utf-8")
    stored = replace(shop.evaluated.stored, path=stage)
    unchecked = replace(shop, evaluated=replace(shop.evaluated, stored=stored))
    with pytest.raises(DataError, match="the data contract has not been checked"):
        unchecked.register("unchecked", 0.9)
    assert shop.aliases() == {}


def test_settled_verdict_is_not_decided_again(shop: Shop) -> None:
    shop.register("old", 0.8)
    shop.register("new", 0.9)
    again = shop.register("old", 0.8)
    assert (again.version, again.alias, again.reused) == (1, None, True)
    assert shop.aliases() == {"champion": 2}


@pytest.mark.parametrize(("accuracy", "alias"), [(0.9, "champion"), (0.7, "challenger")])
def test_version_that_a_kill_left_without_alias_is_completed(
    shop: Shop, accuracy: float, alias: str
) -> None:
    shop.register("old", 0.8)
    run_id = shop.run("killed", accuracy)
    source = shop.client.get_run(run_id).info.artifact_uri
    registry.create(shop.client, shop.name, f"{source}/model", run_id, {FINGERPRINT: "killed"})
    registered = shop.register("killed", accuracy)
    assert (registered.version, registered.alias, registered.reused) == (2, alias, True)
    assert shop.numbers() == [2, 1]
    assert shop.aliases()[alias] == 2


def test_champion_that_a_kill_left_without_verdict_is_completed(shop: Shop) -> None:
    shop.register("old", 0.8)
    run_id = shop.run("killed", 0.9)
    source = shop.client.get_run(run_id).info.artifact_uri
    registry.create(shop.client, shop.name, f"{source}/model", run_id, {FINGERPRINT: "killed"})
    registry.set_alias(shop.client, shop.name, "champion", 2)
    registered = shop.register("killed", 0.9)
    assert (registered.version, registered.alias) == (2, "champion")
    assert shop.aliases() == {"champion": 2}
    version = shop.client.get_model_version(shop.name, "2")
    assert version.tags[registry.VERDICT] == registered.verdict


def register_at_once(shop: Shop, ready: Path) -> Registered:
    """Register in a process of its own."""
    ready.touch()
    return shop.register("same", 0.9)


def test_two_processes_at_once_make_one_version(shop: Shop, tmp_path: Path) -> None:
    run_id = shop.run("same", 0.9)
    context = multiprocessing.get_context("spawn")
    marks = [tmp_path / "one", tmp_path / "two"]
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        with registry.lease(shop.workspace, shop.name):
            futures = [pool.submit(register_at_once, shop, mark) for mark in marks]
            wait_until(lambda: all(mark.exists() for mark in marks))
        results = [future.result() for future in futures]
    assert sorted(result.reused for result in results) == [False, True]
    assert {(result.version, result.alias) for result in results} == {(1, "champion")}
    assert shop.numbers() == [1]
    assert shop.aliases() == {"champion": 1}
    assert shop.run("same", 0.9) == run_id


def test_registered_model_answers_as_the_evaluated_one(shop: Shop) -> None:
    shop.register("first", 0.9)
    model = mlflow.pyfunc.load_model(f"models:/{shop.name}@champion")
    expected = Predictor().open(shop.evaluated.package).predict(None, TEXTS)
    pd.testing.assert_frame_equal(model.predict(TEXTS), expected)
    assert model.metadata.metadata == {"application": "sentiment"}
    assert model.metadata.get_input_schema().input_names() == ["text"]
    assert model.metadata.get_output_schema().input_names() == ["label", "score", "probabilities"]


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{}"), Path.unlink])
def test_damaged_artifact_does_not_load(shop: Shop, damage: Callable[[Path], object]) -> None:
    registered = shop.register("first", 0.9)
    run = shop.client.get_run(shop.run("first", 0.9))
    package = Path(run.info.artifact_uri) / "model" / "artifacts" / "package"
    damage(package / "model" / "config.json")
    with pytest.raises(ValueError, match=r"model/config\.json"):
        mlflow.pyfunc.load_model(registered.uri)
