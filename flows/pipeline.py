"""The pipeline: five stages from labelled text to a registered model."""

from __future__ import annotations

from prefect import flow

from flows.run.conclusion import conclude
from flows.run.names import first_name, rename
from flows.run.run import Outcome, opened
from flows.run.states import Explained
from flows.stages import evaluation, finetuning, registration, tokenization, validation


@flow(name="onestep", flow_run_name=first_name, persist_result=False)
def pipeline(file: str, overrides: list[str], fresh: bool = False) -> Outcome:
    """Run every stage of a pipeline file, reusing what is already computed.

    Args:
        file: path of the YAML file.
        overrides: ``dotted.key=value`` strings.
        fresh: compute every stage even if a verified output exists.
    """
    with Explained(file) as failed, opened(file, overrides, fresh) as run:
        failed.run = run
        rename(run.config, run.sources.digest)
        validated = validation(run).result()
        tokenized = tokenization(run, validated).result()
        tuned = finetuning(run, validated, tokenized).result()
        evaluated = evaluation(run, validated, tokenized, tuned).result()
        registered = registration(run, validated, evaluated).result()
        results = validated, tokenized, tuned, evaluated, registered
        return conclude(run, Outcome(*results, run.tracker.url(), run.report))
    return failed.outcome
