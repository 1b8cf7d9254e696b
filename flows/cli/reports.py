"""Reports in a terminal: of a run, a preflight, a data contract, a schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from configs.language import _, english, translated, words
from flows.cli.tables import table
from tasks.report.page import duration, size, watt_hours

if TYPE_CHECKING:
    from flows.cli.progress import Display
    from flows.run.drift import DriftReport
    from flows.run.run import Outcome
    from flows.schedule.files import ScheduledPipeline
    from flows.schedule.server import ScheduleEvent

MOST_ROWS = 20
MOMENT = "%Y-%m-%d %H:%M:%S"


def report(outcome: Outcome, display: Display, seconds: float) -> RenderableType:
    """The report at the end of a run."""
    evaluated, registered = outcome.evaluated, outcome.registered
    intervals = {evaluated.primary_metric: "[{:.4f}, {:.4f}]".format(*evaluated.interval)}
    rows = [
        [name, value, intervals.get(name, ""), evaluated.baseline.get(name, "")]
        for name, value in evaluated.metrics.items()
        if name != "rows"
    ]
    title = _("Test split, {rows:,} rows", rows=int(evaluated.metrics.get("rows", 0)))
    heads = [*words("metric", "value", "95% interval"), translated(evaluated.baseline_name)]
    parts: list[RenderableType] = ["", table(heads, rows, title)]
    if evaluated.details:
        names = list(evaluated.details[0])
        parts += ["", table(names, [[row[n] for n in names] for row in evaluated.details])]
    parts += ["", *_costs(outcome, display, seconds), "", *_links(outcome), ""]
    parts += [Text(outcome.changes.note)] if outcome.changes else []
    parts += [Text(translated(hint), style="yellow") for hint in outcome.hints]
    style = "green" if registered.alias == "champion" else "yellow"
    parts.append(Text(translated(registered.verdict), style=style))
    return Group(*parts, *([Text(registered.uri, style="bold")] if registered.uri else []))


def _costs(outcome: Outcome, display: Display, seconds: float) -> list[RenderableType]:
    from tasks.finetuning import FinetuningResult

    tuned = outcome.results[FinetuningResult]
    outside = seconds - sum(stage.seconds for stage in display.stages)
    total = Text(
        _(
            "{seconds} in all, {outside} of it outside the stages",
            seconds=duration(seconds),
            outside=duration(outside),
        )
    )
    if tuned.reused or not tuned.summary.get("forecast"):
        return [total]
    shown = {"seconds": duration, "bytes": size}
    rows = [
        [
            translated(cost.name).lower(),
            *(shown[cost.unit](n or 0) for n in (cost.forecast, cost.measured)),
        ]
        for cost in outcome.costs
    ]
    if used := tuned.summary.get("energy"):
        methods = set(used["how"].values())
        method = methods.pop() if len(methods) == 1 else english("partly estimated")
        rows.append([_("energy, {method}", method=translated(method)), "", watt_hours(used["wh"])])
    if display.predicted is not None:
        rows.append([_("whole run"), duration(display.predicted), duration(seconds)])
    return [table(words("cost", "predicted", "measured"), rows), total]


def _links(outcome: Outcome) -> list[RenderableType]:
    registered = outcome.registered
    version = f"@{registered.alias}" if registered.alias else f"/{registered.version}"
    predict = [
        Text(
            _(
                "predict:  onestep predict {name}{version} FILE.csv",
                name=registered.name,
                version=version,
            )
        )
    ]
    return [
        *(predict if registered.version is not None else []),
        Text(_("look:     onestep ui")),
        Text(_("report:   {report}", report=_near(outcome.report))),
        Text(_("MLflow:   {run_url}", run_url=outcome.run_url)),
    ]


def preflight(report: Mapping[str, Any]) -> RenderableType:
    """The measurements of one optimizer step, and the forecast for a run."""
    forecast = report["forecast"]
    loss, guess = report["loss"], report["expected_loss"]
    step = [
        [_("loss"), f"{loss:.4f}", _("{guess:.4f} for a model that guesses", guess=guess)],
        [_("gradient norm"), f"{report['grad_norm']:.4f}", ""],
        [
            _("longest batch"),
            _("{rows:d} rows", rows=report["rows"]),
            _("{longest:d} tokens", longest=report["longest"]),
        ],
        [_("one step"), duration(report["seconds"]), f"{report['device']}, {report['precision']}"],
        [_("peak memory"), size(report["peak_memory"]), ""],
        [_("dead parameters"), str(len(report["dead"])), ", ".join(report["dead"][:4])],
        [_("frozen parameters"), str(len(report["frozen"])), ", ".join(report["frozen"][:4])],
    ]
    run = [
        [_("optimizer steps"), str(forecast["steps"])],
        [_("training"), duration(forecast["training_seconds"])],
        [_("evaluation"), duration(forecast["test_seconds"])],
        [_("whole run"), duration(report["run_seconds"])],
        [_("peak memory"), size(forecast["peak_memory"])],
    ]
    norms = table(words("layer group", "gradient norm"), list(report["grad_norm_by_group"].items()))
    measured = table(words("one optimizer step", "found", ""), step)
    return Group("", measured, "", norms, "", table(words("predicted for the run", ""), run))


def contract(report: Mapping[str, Any], root: Path) -> RenderableType:
    """Every rule of the data contract with its findings, and where the reports are."""
    from tasks.contract.report import record
    from tasks.contract.rows.quarantine import file_of
    from tasks.contract.sources import splits

    rules = [
        [rule["name"], rule["severity"], f"{rule['found']:,}", f"{rule['looked_at']:,}", _at(rule)]
        for rule in sorted(report["rules"], key=lambda rule: -rule["found"])
    ]
    heads = {"in": _("rows in"), "kept": _("kept"), "quarantined": _("quarantined")}
    if report["rows"].get("dropped"):
        heads["dropped"] = _("dropped as copies")
    if report["rows"].get("superseded"):
        heads["superseded"] = _("superseded by a later row")
    if report["rows"].get("empty"):
        heads["empty"] = _("empty rows left out")
    if report["rows"].get("outside"):
        heads["outside"] = _("outside the window")
    rows = [[split["split"], *(f"{split[key]:,}" for key in heads)] for split in report["splits"]]
    parts: list[RenderableType] = [
        table(words("rule", "severity", "rows found", "looked at", "first"), rules, left={1, 4}),
        "",
        table([_("split"), *heads.values()], rows),
        "",
    ]
    if report.get("drift"):
        parts += [_measures(report["drift"], report["drift_reference"]), ""]
    if quality := report.get("label_quality"):
        parts += [Text(_label_quality(quality)), ""]
    parts += [Text(translated(line)) for line in splits.describe(report.get("reading", []))]
    name = report["pipeline"]
    parts.append(Text(_("report:     {html}", html=_near(record.paths(root, name).html))))
    if report["rows"]["quarantined"]:
        parts.append(Text(_("quarantine: {name}", name=_near(file_of(root, name)))))
    return Group(*parts)


def _near(path: Path) -> Path:
    """A path, relative if it is below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _at(rule: Mapping[str, Any]) -> str:
    if not rule["examples"]:
        return ""
    first = rule["examples"][0]
    return _("{name} row {row}", name=Path(first["file"]).name, row=first["row"])


def _label_quality(quality: Mapping[str, Any]) -> str:
    return _(
        "label quality: {quality[found]:,} of {quality[looked_at]:,} training labels look "
        "wrong to a model that is right about {quality[accuracy]:.0%} of them",
        quality=quality,
    )


def _measures(measures: Sequence[Mapping[str, Any]], reference: str) -> Table:
    keys = ("value", "low", "threshold", "note")
    rows = []
    for measure in measures:
        drifted = _("yes") if measure["drifted"] else _("no")
        *numbers, note = (measure[key] for key in keys)
        rows.append([translated(measure["name"]), drifted, *numbers, translated(note or "")])
    heads = words("effect size", "drifted", "value", "surely above", "threshold", "")
    return table(heads, rows, _("Compared with {reference}", reference=reference), left={5})


def served(pipelines: Sequence[ScheduledPipeline], now: datetime, runs: int) -> Table:
    """The pipelines of a schedule, and when each runs next."""
    from flows.schedule.files import next_runs

    rows = [
        [one.name, str(one.file), when(one), time.strftime(MOMENT + " %Z")]
        for one in pipelines
        for time in next_runs(one, now, runs)
    ]
    return table(words("pipeline", "file", "schedule", "next run"), rows, left={1, 2, 3})


def when(one: ScheduledPipeline) -> str:
    """A schedule in words."""
    schedule = one.config.schedule
    times = str(schedule.cron)
    if schedule.interval:
        times = _("every {interval}", interval=schedule.interval)
    if schedule.retrain_when == "always":
        return times
    return _("{times}, if {when}", times=times, when=schedule.retrain_when)


def event_line(event: ScheduleEvent) -> str:
    """One line about a scheduled run."""
    due = _(", due {due:%H:%M:%S}", due=event.due) if event.due else ""
    note = f": {translated(event.note)}" if event.note else ""
    return _(
        "{at} UTC  {event.pipeline} {kind}{due}{note}",
        at=event.at.strftime(MOMENT),
        kind=translated(event.kind),
        due=due,
        note=note,
        event=event,
    )


def drift(drifted: DriftReport) -> RenderableType:
    """The drift of the data from the champion's."""
    measures = [measure.record() for measure in drifted.measures]
    style = "yellow" if drifted.found else "green"
    return Group(
        _measures(measures, drifted.reference), "", Text(translated(drifted.note), style=style)
    )


def quarantine(rows: Sequence[Mapping[str, Any]], root: Path, name: str) -> RenderableType:
    """Quarantined rows: how many each rule found, and the first of them."""
    from tasks.contract.rows.quarantine import file_of

    if not rows:
        return Text(_("the quarantine is empty"))
    counts = Counter(rule for row in rows for rule in row["rules"])
    shown = [
        [
            _("{name} row {row}", name=Path(row["file"]).name, row=row["row"]),
            row["split"],
            "; ".join(map(translated, row["reasons"])),
        ]
        for row in rows[:MOST_ROWS]
    ]
    more = _("and {rows:,} more", rows=len(rows) - MOST_ROWS) if len(rows) > MOST_ROWS else ""
    return Group(
        table(words("rule", "rows"), [[rule, f"{n:,}"] for rule, n in counts.most_common()]),
        "",
        table(words("row", "split", "why"), shown, left={1, 2}),
        *([Text(more)] if more else []),
        "",
        Text(_("text:  {name}", name=_near(file_of(root, name)))),
        Text(_("fixed: onestep quarantine CONFIG --fixed FILE takes repaired rows back")),
    )
