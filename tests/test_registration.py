from __future__ import annotations

import getpass
import json
import multiprocessing
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from requests.exceptions import ConnectionError as RequestsConnectionError

from configs.errors import DataError, ModelError
from configs.schema import Gate, Pipeline, Registry
from tasks.arrow import MappedTable
from tasks.champion import gate, row_hashes
from tasks.contract.rows.catalogue import hash_rows
from tasks.evaluation import EvaluationResult
from tasks.predictor import Predictor, sha256
from tasks.registration import Origin, RegistrationResult, register
from tasks.store import file_digest
from tasks.tracking import client, registry, runs
from tasks.tracking import promotion as promoting
from tasks.tracking.runs import FINGERPRINT
from tasks.validation import ValidationResult
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
    validated: ValidationResult
    evaluated: EvaluationResult

    @property
    def name(self) -> str:
        return self.config.model_name

    def run(self, fingerprint: str) -> str:
        """The MLflow run of a fingerprint."""
        fingerprint = f"{self.name}-{fingerprint}"
        return runs.open_run(self.client, self.workspace, "reviews", fingerprint, fingerprint)

    def register(
        self, fingerprint: str, evaluated: EvaluationResult | None = None, *, trial: bool = False
    ) -> RegistrationResult:
        """Register a model, the fine-tuned one unless another is given."""
        run_id = self.run(fingerprint)
        tags = {"onestep.data": "some rows", "onestep.application": "sentiment"}
        origin = Origin(fingerprint, lambda: run_id, tags)
        return register(
            self.config,
            self.workspace,
            self.client,
            evaluated or self.evaluated,
            self.validated,
            origin,
            trial=trial,
        )

    def with_gate(self, **gate: object) -> Shop:
        section = Gate.model_validate({"beat_baseline": False} | gate)
        return replace(self, config=self.config.model_copy(update={"gate": section}))

    def aliases(self) -> dict[str, int]:
        return registry.aliases(self.client, self.name)

    def numbers(self) -> list[int]:
        return [int(version.version) for version in registry.versions(self.client, self.name)]


@pytest.fixture
def shop(
    store: tuple[Workspace, MlflowClient],
    prepared: Prepared,
    evaluated: EvaluationResult,
    request: pytest.FixtureRequest,
) -> Shop:
    name = re.sub(r"\W+", "-", request.node.name)
    section = Registry(name=name[:99], tags={"team": "support"})
    # A model that gives one answer has to be a champion here.
    lenient = Gate(beat_baseline=False)
    config = prepared.config.model_copy(update={"registry": section, "gate": lenient})
    return Shop(*store, config, prepared.validated, evaluated)


def test_first_version_is_champion(shop: Shop) -> None:
    registered = shop.with_gate(thresholds={"accuracy": 0.8}).register("first")
    assert (registered.version, registered.alias, registered.reused) == (1, "champion", False)
    assert "first version" in registered.verdict
    assert shop.aliases() == {"champion": 1}


def test_version_says_where_it_comes_from(shop: Shop) -> None:
    registered = shop.register("a fingerprint")
    version = shop.client.get_model_version(shop.name, str(registered.version))
    (promotion,) = registry.trail(version)
    assert promotion["event"] == "promoted"
    assert promotion["why"] == registered.verdict
    assert promotion["before"] is None
    kept = {k: v for k, v in version.tags.items() if not k.startswith(registry.AUDIT)}
    assert kept == {
        FINGERPRINT: "a fingerprint",
        registry.PRIMARY_METRIC: shop.evaluated.primary_metric,
        registry.VERDICT: registered.verdict,
        "onestep.application": "sentiment",
        "onestep.data": "some rows",
        "onestep.package": file_digest(shop.evaluated.package / "manifest.json"),
        "onestep.decision": json.dumps({"alias": "champion", "before": None}),
        "onestep.problem": "single",
        registry.TEST_ROWS: row_hashes.digest_of_test(shop.validated, "sentiment"),
        "team": "support",
    }
    assert version.run_id == shop.run("a fingerprint")
    assert registry.describe(shop.client, version, shop.aliases())["aliases"] == ["champion"]


@pytest.mark.parametrize(
    ("tag", "words"),
    [("onestep.application", "another application"), ("onestep.problem", "another labelling")],
)
def test_version_of_another_problem_does_not_replace_the_champion(
    shop: Shop, constant: EvaluationResult, tag: str, words: str
) -> None:
    shop.register("first", constant)
    shop.client.set_model_version_tag(shop.name, "1", tag, "of another kind")
    registered = shop.register("second")
    assert (registered.version, registered.alias) == (2, None)
    assert words in registered.verdict
    assert "registry.name" in registered.verdict
    assert shop.aliases() == {"champion": 1}


def test_version_below_a_threshold_gets_no_alias(shop: Shop, constant: EvaluationResult) -> None:
    registered = shop.with_gate(thresholds={"accuracy": 0.8}).register("weak", constant)
    assert (registered.version, registered.alias) == (1, None)
    assert "accuracy 0.5000 is below its threshold 0.8" in registered.verdict
    assert shop.aliases() == {}


def test_better_version_replaces_the_champion(shop: Shop, constant: EvaluationResult) -> None:
    shop.register("old", constant)
    registered = shop.register("new")
    assert (registered.version, registered.alias) == (2, "champion")
    primary_metric = shop.evaluated.primary_metric
    old, new = constant.metrics[primary_metric], shop.evaluated.metrics[primary_metric]
    assert (
        f"{primary_metric} {new:.4f} against {old:.4f}, gain {new - old:.4f} ["
        in registered.verdict
    )
    assert shop.aliases() == {"champion": 2, "previous": 1}


def test_the_comparison_is_kept_with_the_run(shop: Shop, constant: EvaluationResult) -> None:
    shop.register("old", constant)
    registered = shop.register("new")
    path = shop.client.download_artifacts(shop.run("new"), "gate.json")
    record = json.loads(Path(path).read_text(encoding="utf-8"))
    assert record == registered.gate
    assert record["reference"] == f"models:/{shop.name}/1"
    found = {one["metric"]: one for one in record["metrics"]}
    assert found.keys() == shop.evaluated.metrics.keys() - {"rows"}
    for metric, one in found.items():
        assert one["challenger"] == pytest.approx(shop.evaluated.metrics[metric])
        assert one["champion"] == pytest.approx(constant.metrics[metric])
    assert 0 < record["mcnemar"] < 0.01
    assert sum(one["rows"] for one in record["slices"]) == record["rows"] == 24
    assert not any(one["judged"] for one in record["slices"])


def test_a_slice_that_falls_keeps_a_version_back(shop: Shop, constant: EvaluationResult) -> None:
    slices = {"min_rows": 5, "max_drop": 0.0}
    gated = shop.with_gate(rule="non_inferior", margin=1.0, slices=slices)
    gated.register("old")
    registered = gated.register("new", constant)
    assert (registered.version, registered.alias) == (2, "challenger")
    assert re.search(r"the slice length: \w+ fell from 1.0000 to 0.\d+", registered.verdict)
    assert shop.aliases() == {"champion": 1, "challenger": 2}


def test_worse_version_is_challenger(shop: Shop, constant: EvaluationResult) -> None:
    shop.register("old")
    registered = shop.register("new", constant)
    assert (registered.version, registered.alias) == (2, "challenger")
    assert shop.aliases() == {"champion": 1, "challenger": 2}


def test_version_that_gains_too_little_is_challenger(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old", constant)
    registered = shop.with_gate(min_gain=0.9).register("new")
    assert (registered.version, registered.alias) == (2, "challenger")
    assert "0.9 is needed" in registered.verdict


def test_version_that_answers_like_the_champion_is_challenger(shop: Shop) -> None:
    shop.register("old")
    registered = shop.with_gate(rule="non_inferior").register("new")
    assert (registered.version, registered.alias) == (2, "challenger")
    assert "is right on the same rows as the champion" in registered.verdict


def test_a_first_version_that_is_no_better_than_the_trivial_method_gets_no_alias(
    shop: Shop, constant: EvaluationResult
) -> None:
    registered = shop.with_gate(beat_baseline=True).register("a coin flip", constant)
    assert registered.alias is None
    assert "accuracy 0.5000 against 0.5000 of majority class" in registered.verdict
    assert shop.aliases() == {}
    assert shop.with_gate(beat_baseline=True).register("trained").alias == "champion"


def test_rows_that_the_champion_has_trained_on_are_left_out(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old", constant)
    _record_as_trained(shop, "old", _test_texts(shop)[:10])
    registered = shop.register("new")
    assert registered.alias == "champion"
    assert "10 of 24 test rows are left out, since the champion has trained on them" in (
        registered.verdict
    )
    counts = [registered.gate[name] for name in ("rows", "compared_rows", "seen_rows")]
    assert counts == [24, 14, 10]
    assert sum(one["rows"] for one in registered.gate["slices"]) == 14


def test_too_few_rows_that_the_champion_has_not_seen_keep_a_version_back(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old", constant)
    _record_as_trained(shop, "old", _test_texts(shop))
    registered = shop.register("new")
    assert (registered.version, registered.alias) == (2, "challenger")
    assert "0 are left, 12 are needed" in registered.verdict


def test_a_champion_whose_rows_are_unknown_is_not_replaced(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old", constant)
    _artifact(shop, "old", row_hashes.TRAINING).unlink()
    registered = shop.register("new")
    assert (registered.version, registered.alias) == (2, "challenger")
    assert "on which rows the champion, version 1, has trained is unknown" in registered.verdict


def _test_texts(shop: Shop) -> list[str]:
    rows = MappedTable(shop.validated.stored.path / "test.arrow")
    texts: list[str] = rows.column("text").to_pylist()
    return texts


def _record_as_trained(shop: Shop, fingerprint: str, texts: list[str]) -> None:
    """Let a version's run say that it has trained on texts, whatever space is around them."""
    frame = pd.DataFrame({"text": [f" {text}\n" for text in texts]})
    known = pd.DataFrame({"input": hash_rows(frame, ["text"])})
    known.to_parquet(_artifact(shop, fingerprint, row_hashes.TRAINING))


def _artifact(shop: Shop, fingerprint: str, name: str) -> Path:
    address = shop.client.get_run(shop.run(fingerprint)).info.artifact_uri
    return Path(address.removeprefix("file://")) / name


def test_a_version_records_the_rows_that_it_has_trained_on(shop: Shop) -> None:
    shop.register("first")
    known = set(pd.read_parquet(_artifact(shop, "first", row_hashes.TRAINING))["input"])
    for split, seen in (("train", True), ("validation", True), ("test", False)):
        table = MappedTable(shop.validated.stored.path / f"{split}.arrow")
        assert {one in known for one in row_hashes.of(table, ["text"])} == {seen}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{}"), Path.unlink])
def test_champion_that_does_not_load_is_not_replaced(
    shop: Shop, constant: EvaluationResult, damage: Callable[[Path], object]
) -> None:
    shop.register("old", constant)
    damage(_package(shop, "old") / "model" / "config.json")
    registered = shop.register("new")
    assert (registered.version, registered.alias) == (2, "challenger")
    assert "the champion, version 1, cannot be run" in registered.verdict
    assert "config.json" in registered.verdict
    assert shop.aliases() == {"champion": 1, "challenger": 2}


def test_changed_holdout_keeps_a_version_back(shop: Shop, constant: EvaluationResult) -> None:
    shop.register("old", constant)
    registered = shop.register("new", replace(shop.evaluated, holdout="other rows"))
    assert (registered.version, registered.alias) == (2, "challenger")
    assert "no longer those that the new model was measured on" in registered.verdict


def test_champion_with_other_labels_is_of_another_problem(
    shop: Shop, constant: EvaluationResult, tmp_path: Path
) -> None:
    shop.register("old", constant)
    other = _relabelled(shop.evaluated, tmp_path / "other", ["bad", "good"])
    registered = shop.register("new", other)
    assert (registered.version, registered.alias) == (2, None)
    assert "other labels: it lacks bad, good and has besides negative, positive" in (
        registered.verdict
    )


def test_champion_with_labels_in_another_order_is_compared_by_name(
    shop: Shop, tmp_path: Path
) -> None:
    """A model that names its outputs the other way round is always wrong, by name."""
    turned = _relabelled(shop.evaluated, tmp_path / "turned", ["positive", "negative"])
    shop.register("old", turned)
    registered = shop.register("new")
    assert registered.alias == "champion"
    (accuracy,) = [one for one in registered.gate["metrics"] if one["metric"] == "accuracy"]
    assert accuracy["champion"] == pytest.approx(1 - accuracy["challenger"])


def _relabelled(evaluated: EvaluationResult, folder: Path, labels: list[str]) -> EvaluationResult:
    """The same model under other label names."""
    shutil.copytree(evaluated.stored.path, folder)
    package = folder / "package"
    for name in ("predictor.json", "manifest.json"):
        # Hard links, whose other names must keep their content.
        record = json.loads((package / name).read_text("utf-8"))
        (package / name).unlink()
        if name == "predictor.json":
            record["labels"] = labels
        else:
            record["predictor.json"] = sha256(package / "predictor.json")
        (package / name).write_text(json.dumps(record), encoding="utf-8")
    return replace(evaluated, stored=replace(evaluated.stored, path=folder))


def _package(shop: Shop, fingerprint: str) -> Path:
    run = shop.client.get_run(shop.run(fingerprint))
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return folder / "model" / "artifacts" / "package"


def test_approved_by_hand_only(shop: Shop, constant: EvaluationResult) -> None:
    gated = shop.with_gate(approval="manual")
    first = gated.register("first", constant)
    assert (first.alias, shop.aliases()) == ("challenger", {"challenger": 1})
    promoting.promote(shop.workspace, shop.client, shop.name, 1, "it is the first")
    assert shop.aliases() == {"champion": 1}
    second = gated.register("second")
    assert second.alias == "challenger"
    assert "waits for approval" in second.verdict
    assert second.decision == "Waiting for approval"
    assert shop.aliases() == {"champion": 1, "challenger": 2}
    promoting.promote(shop.workspace, shop.client, shop.name, 2, "looked at by hand")
    assert shop.aliases() == {"champion": 2, "previous": 1}
    again = gated.register("second")
    assert (again.alias, again.reused) == ("champion", True)


def test_rollback_brings_the_previous_champion_back(shop: Shop, constant: EvaluationResult) -> None:
    shop.register("old", constant)
    shop.register("new")
    promoting.roll_back(shop.workspace, shop.client, shop.name, "complaints")
    assert shop.aliases() == {"champion": 1, "previous": 2}
    (first, back) = registry.trail(shop.client.get_model_version(shop.name, "1"))
    assert (first["event"], back["event"]) == ("promoted", "rolled back")
    assert (back["why"], back["before"], back["by"]) == ("complaints", 2, getpass.getuser())
    settled = shop.register("new")
    assert (settled.alias, shop.aliases()["champion"]) == (None, 1)


def test_the_same_rollback_again_is_another_one(shop: Shop, constant: EvaluationResult) -> None:
    shop.register("old", constant)
    shop.register("new")
    for _ in range(3):
        promoting.roll_back(shop.workspace, shop.client, shop.name, "complaints")
    assert shop.aliases() == {"champion": 1, "previous": 2}
    trail = registry.trail(shop.client.get_model_version(shop.name, "1"))
    assert [entry["event"] for entry in trail] == ["promoted", "rolled back", "rolled back"]


def test_nothing_to_roll_back_to(shop: Shop) -> None:
    shop.register("only")
    with pytest.raises(ModelError, match="no previous champion"):
        promoting.roll_back(shop.workspace, shop.client, shop.name, "why not")
    assert shop.aliases() == {"champion": 1}


@pytest.mark.parametrize(("number", "words"), [(1, "is the champion already"), (7, "no such")])
def test_a_promotion_that_makes_no_sense_is_refused(shop: Shop, number: int, words: str) -> None:
    shop.register("only")
    with pytest.raises(ModelError, match=words):
        promoting.promote(shop.workspace, shop.client, shop.name, number, "why not")


def test_a_trial_registers_nothing_and_says_what_the_gate_would(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old", constant)
    judged = shop.register("trial", trial=True)
    assert (judged.version, judged.uri, judged.alias, judged.promoted) == (None, "", None, False)
    assert (judged.waits, judged.decision) == (False, "Trial")
    assert judged.verdict.startswith("a trial, not registered; the gate says: promoted: accuracy 1")
    assert judged.gate["reference"] == f"models:/{shop.name}/1"
    assert (shop.numbers(), shop.aliases()) == ([1], {"champion": 1})
    assert shop.register("trial").version == 2


def test_registering_twice_makes_one_version(shop: Shop) -> None:
    first = shop.register("same")
    again = shop.register("same")
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
    unchecked = replace(shop.evaluated, stored=stored)
    with pytest.raises(DataError, match="the data contract has not been checked"):
        shop.register("unchecked", unchecked)
    assert shop.aliases() == {}


def test_settled_verdict_is_not_decided_again(shop: Shop, constant: EvaluationResult) -> None:
    first = shop.register("old", constant)
    shop.register("new")
    again = shop.register("old", constant)
    assert (again.version, again.alias, again.reused) == (1, None, True)
    assert again.verdict == first.verdict
    assert shop.aliases() == {"champion": 2, "previous": 1}


def killed(shop: Shop, fingerprint: str, **tags: str) -> int:
    """A version that a killed run has made, but not settled."""
    run_id = shop.run(fingerprint)
    source = f"{shop.client.get_run(run_id).info.artifact_uri}/model"
    tags = {FINGERPRINT: fingerprint} | tags
    return int(registry.create(shop.client, shop.name, source, run_id, tags).version)


@pytest.mark.parametrize("better", [True, False])
@pytest.mark.parametrize("tags", [{}, {registry.VERDICT: f"{registry.WITHDRAWN}never finished"}])
def test_version_that_a_kill_left_without_alias_is_completed(
    shop: Shop, constant: EvaluationResult, better: bool, tags: dict[str, str]
) -> None:
    old, new = (constant, shop.evaluated) if better else (shop.evaluated, constant)
    shop.register("old", old)
    killed(shop, "killed", **tags)
    registered = shop.register("killed", new)
    alias = "champion" if better else "challenger"
    assert (registered.version, registered.alias, registered.reused) == (2, alias, False)
    assert shop.numbers() == [2, 1]
    assert shop.aliases()[alias] == 2


@pytest.mark.parametrize("moved", [[], ["champion"], ["champion", "previous"]])
def test_promotion_that_a_kill_left_half_done_is_completed(
    shop: Shop, constant: EvaluationResult, moved: list[str]
) -> None:
    """The decision is known: it is carried out, and not made again."""
    shop.register("old", constant)
    verdict = "promoted: as decided before the kill"
    record = {"alias": "champion", "verdict": verdict, "reference": f"models:/{shop.name}/1"}
    decision = json.dumps({"alias": "champion", "before": 1})
    number = killed(shop, "killed", **{"onestep.decision": decision})
    shop.client.log_dict(shop.run("killed"), record, "gate.json")
    for alias in moved:
        registry.set_alias(shop.client, shop.name, alias, 1 if alias == "previous" else number)
    registered = shop.register("killed")
    assert (registered.version, registered.alias) == (2, "champion")
    assert registered.verdict == verdict
    assert shop.aliases() == {"champion": 2, "previous": 1}
    assert shop.client.get_model_version(shop.name, "2").tags[registry.VERDICT] == verdict


def test_a_decision_about_a_former_champion_is_made_again(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old", constant)
    record = {"alias": "champion", "verdict": "promoted: against version 1"}
    decision = json.dumps({"alias": "champion", "before": 1})
    killed(shop, "killed", **{"onestep.decision": decision})
    shop.client.log_dict(shop.run("killed"), record, "gate.json")
    assert shop.register("other").alias == "champion"
    registered = shop.register("killed", constant)
    assert (registered.version, registered.alias) == (2, "challenger")
    assert registered.gate["reference"] == f"models:/{shop.name}/3"
    assert shop.aliases() == {"champion": 3, "previous": 1, "challenger": 2}


def test_a_decision_whose_record_is_lost_is_made_again(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old")
    killed(shop, "killed", **{"onestep.decision": json.dumps({"alias": "champion", "before": 1})})
    registered = shop.register("killed", constant)
    assert (registered.version, registered.alias) == (2, "challenger")
    assert registered.gate["reference"] == f"models:/{shop.name}/1"


def test_a_killed_version_serves_the_model_that_was_judged(
    shop: Shop, constant: EvaluationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that completes it may have trained anew."""
    shop.register("old", constant)
    with monkeypatch.context() as patch:
        patch.setattr(gate, "decide", _die)
        with pytest.raises(KeyboardInterrupt):
            shop.register("killed", constant)
    registered = shop.register("killed")
    assert (registered.version, registered.alias) == (2, "champion")
    served = json.loads((_package(shop, "killed") / "manifest.json").read_text("utf-8"))
    assert served == json.loads((shop.evaluated.package / "manifest.json").read_text("utf-8"))
    model = mlflow.pyfunc.load_model(f"models:/{shop.name}@champion")
    assert set(model.predict(TEXTS)["label"]) == {"negative", "positive"}


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_version_that_a_person_has_made_champion_stays_it(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old")
    number = killed(shop, "killed")
    promoting.promote(shop.workspace, shop.client, shop.name, number, "it has to be")
    registered = shop.register("killed", constant)
    assert (registered.version, registered.alias) == (2, "champion")
    assert "by hand" in registered.verdict
    assert shop.aliases() == {"champion": 2, "previous": 1}


def test_a_rollback_of_a_half_made_promotion_is_not_undone(
    shop: Shop, constant: EvaluationResult
) -> None:
    shop.register("old", constant)
    decision = {"alias": "champion", "before": 1}
    number = killed(shop, "killed", **{"onestep.decision": json.dumps(decision)})
    registry.set_alias(shop.client, shop.name, "previous", 1)
    registry.set_alias(shop.client, shop.name, "champion", number)
    promoting.roll_back(shop.workspace, shop.client, shop.name, "complaints")
    registered = shop.register("killed")
    assert (registered.version, registered.alias) == (2, None)
    assert shop.aliases() == {"champion": 1, "previous": 2}


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_rollback_that_is_cut_short_is_finished_by_its_retry(
    shop: Shop, constant: EvaluationResult, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Whichever call to the registry fails, the previous champion is back in the end."""
    shop.register("old", constant)
    shop.register("new")
    calls = iter(range(1, 100))

    def flaky(self: MlflowClient, *arguments: str) -> object:
        if next(calls) == at:
            raise RequestsConnectionError("Connection broken")
        return plain(self, *arguments)

    plain = MlflowClient.set_registered_model_alias
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", flaky)
    promoting.roll_back(shop.workspace, shop.client, shop.name, "complaints")
    assert shop.aliases() == {"champion": 1, "previous": 2}
    trail = registry.trail(shop.client.get_model_version(shop.name, "1"))
    assert [event["event"] for event in trail] == ["promoted", "rolled back"]


def test_of_two_versions_of_one_fingerprint_the_oldest_stays(shop: Shop) -> None:
    """A request that was answered too late is repeated, and both may arrive."""
    shop.register("first")
    run_id = shop.run("twice")
    shop.client.create_model_version(
        shop.name, "somewhere", run_id=run_id, tags={FINGERPRINT: "twice"}
    )
    assert killed(shop, "twice") == 2
    assert shop.numbers() == [2, 1]


def register_at_once(shop: Shop, ready: Path) -> RegistrationResult:
    """Register in a process of its own."""
    ready.touch()
    return shop.register("same")


def test_two_processes_at_once_make_one_version(shop: Shop, tmp_path: Path) -> None:
    run_id = shop.run("same")
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
    assert shop.run("same") == run_id


def test_a_champion_that_comes_while_the_last_one_is_asked_is_asked_too(
    shop: Shop, constant: EvaluationResult
) -> None:
    """The better of two models wins, whichever asks first."""
    shop.register("old", constant)
    with ThreadPoolExecutor(2) as pool:
        with registry.lease(shop.workspace, shop.name):
            futures = [pool.submit(shop.register, name) for name in ("one", "two")]
            wait_until(lambda: len(list(_comparisons(shop))) > 0)
        first, second = sorted((f.result() for f in futures), key=lambda r: r.version)
    assert (first.version, first.alias) == (2, "champion")
    assert (second.version, second.alias) == (3, "challenger")
    assert second.gate["reference"] == f"models:/{shop.name}/2"


def _comparisons(shop: Shop) -> Iterator[Path]:
    """Finished comparisons with a model of this shop."""
    for path in shop.workspace.store.stages.glob("comparison/*/comparison.json"):
        if f"/{shop.name}/" in path.read_text("utf-8"):
            yield path


def test_registered_model_answers_as_the_evaluated_one(shop: Shop) -> None:
    shop.register("first")
    model = mlflow.pyfunc.load_model(f"models:/{shop.name}@champion")
    expected = Predictor().open(shop.evaluated.package).predict(None, TEXTS)
    pd.testing.assert_frame_equal(model.predict(TEXTS), expected)
    assert model.metadata.metadata == {"application": "sentiment"}
    assert model.metadata.get_input_schema().input_names() == ["text"]
    assert model.metadata.get_output_schema().input_names() == ["label", "score", "probabilities"]


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{}"), Path.unlink])
def test_damaged_artifact_does_not_load(shop: Shop, damage: Callable[[Path], object]) -> None:
    registered = shop.register("first")
    damage(_package(shop, "first") / "model" / "config.json")
    with pytest.raises(ValueError, match=r"model/config\.json"):
        mlflow.pyfunc.load_model(registered.uri)
