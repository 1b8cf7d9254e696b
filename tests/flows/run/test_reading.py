from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from flows.run.reading import read

TEXT = "name: parcels\napplication: {}\ndata:\n  train: train.csv\n{}"


def refusals(folder: Path, application: str, text: str) -> list[str]:
    file = folder / "parcels.yaml"
    file.write_text(TEXT.format(application, text), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read(file)
    return [str(problem).removeprefix(f"{file}:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("application", "metric", "value", "bounds"),
    [
        ("sentiment", "accuracy", 1.2, "from 0 to 1"),
        ("sentiment", "accuracy", -0.1, "from 0 to 1"),
        ("sentiment", "log_loss", -1.0, "from 0 to inf"),
        ("questions", "f1", 101.0, "from 0 to 100"),
        ("summarization", "rougeL", 100.5, "from 0 to 100"),
    ],
)
def test_a_threshold_that_no_model_can_reach_is_refused(
    application: str, metric: str, value: float, bounds: str, tmp_path: Path
) -> None:
    text = "model:\n  decoder: {base: starter}\n" * (application == "summarization")
    text += f"gate:\n  thresholds:\n    {metric}: {value}\n"
    line = 4 + text.count("\n")
    assert refusals(tmp_path, application, text) == [
        f"{line}: gate.thresholds.{metric}: expected a value {bounds}, the range of {metric}, "
        f"found {value:g}"
    ]


@pytest.mark.parametrize(
    ("application", "section", "gain", "bound"),
    [
        ("sentiment", "", 1.1, "1, the width of the range of accuracy"),
        (
            "questions",
            "evaluation: {primary_metric: exact_match}\n",
            101.0,
            "100, the width of the",
        ),
    ],
)
def test_a_gain_that_no_model_can_reach_is_refused(
    application: str, section: str, gain: float, bound: str, tmp_path: Path
) -> None:
    (found,) = refusals(tmp_path, application, f"{section}gate:\n  min_gain: {gain}\n")
    assert f"gate.min_gain: expected at most {bound}" in found
    assert found.endswith(f"found {gain:g}")


def test_a_gain_within_the_range_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "parcels.yaml"
    for application, metric, gain in (("questions", "f1", 50.0), ("topics", "log_loss", 3.0)):
        text = f"gate: {{min_gain: {gain}}}\nevaluation: {{primary_metric: {metric}}}\n"
        file.write_text(TEXT.format(application, text), encoding="utf-8")
        assert read(file).gate.min_gain == gain


def test_a_threshold_within_the_range_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "parcels.yaml"
    text = "gate:\n  thresholds: {accuracy: 1.0, calibration_error: 0.05}\n"
    file.write_text(TEXT.format("topics", text), encoding="utf-8")
    assert read(file).gate.thresholds == {"accuracy": 1.0, "calibration_error": 0.05}


@pytest.mark.parametrize(
    ("text", "key", "owners"),
    [
        ("generation: {num_beams: 2}\n", "generation", "summarization, translation"),
        ("language: {target: de}\n", "language.target", "translation"),
        ("contract:\n  rules: {numbers: warn}\n", "contract.rules.numbers", "translation"),
    ],
)
def test_a_key_of_another_application_is_refused_with_its_line(
    text: str, key: str, owners: str, tmp_path: Path
) -> None:
    line = 4 + text.count("\n")
    assert refusals(tmp_path, "topics", text) == [
        f"{line}: {key}: topics has no use for it; leave it out (it belongs to {owners})"
    ]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "training:\n  optimizer:\n    name: adamax\n",
            "7: training.optimizer.name: expected one of adafactor, adam, adamw, lion, muon, sgd, "
            "found 'adamax' (did you mean `adam`?)",
        ),
        (
            "compute:\n  launcher: lokal\n",
            "6: compute.launcher: expected one of local, found 'lokal' (did you mean `local`?)",
        ),
    ],
)
def test_what_is_not_installed_is_refused_with_its_line(
    section: str, message: str, tmp_path: Path
) -> None:
    assert refusals(tmp_path, "sentiment", section) == [message]
