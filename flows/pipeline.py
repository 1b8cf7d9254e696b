"""The pipeline: five stages from labelled text to a registered model."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows import artifacts
from flows.run import Outcome, opened, read
from flows.stages import evaluation, finetuning, registration, tokenization, validation


def run_name() -> str:
    """Name a Prefect run after its pipeline."""
    parameters = flow_run.get_parameters()
    return read(Path(parameters["file"]), parameters["overrides"]).name


@flow(name="onestep", flow_run_name=run_name, persist_result=False)
def pipeline(file: str, overrides: list[str], fresh: bool = False) -> Outcome:
    """Run every stage of a pipeline file, reusing what is already computed.

    Args:
        file: path of the YAML file.
        overrides: ``dotted.key=value`` strings.
        fresh: compute every stage even if a verified output exists.
    """
    with opened(file, overrides, fresh) as run:
        validated = validation(run).result()
        tokenized = tokenization(run, validated).result()
        tuned = finetuning(run, validated, tokenized).result()
        evaluated = evaluation(run, validated, tokenized, tuned).result()
        registered = registration(run, validated, evaluated).result()
        outcome = Outcome(validated, tokenized, tuned, evaluated, registered, run.tracker.url())
        run.tracker.link(artifacts.run_tags())
        artifacts.results(outcome)
        return outcome
