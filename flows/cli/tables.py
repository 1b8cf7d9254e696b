"""Tables in a terminal, such as those of registered models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from configs.language import _, translated, words
from tasks.report.page import duration, visible

if TYPE_CHECKING:
    from flows.models.diff import Difference, Examples
    from flows.models.reproduction import Reproduction

SHORT = 12
MARK = "*"


class PlainConsole(Console):
    """A console that prints text as it is: data may contain `[red]`, `:smile:` or control codes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    left: Collection[int] = (),
) -> Table:
    """A table of numbers; the first column and those at ``left`` begin at the left."""
    drawn = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        drawn.add_column(
            column, justify="left" if index == 0 or index in left else "right", no_wrap=index == 0
        )
    for row in rows:
        drawn.add_row(*(f"{v:.4f}" if isinstance(v, float) else visible(str(v)) for v in row))
    return drawn


def models(records: Sequence[Mapping[str, Any]], now: float) -> RenderableType:
    """Registered versions; metrics of other test rows than the champion's are marked."""
    rows = []
    for record in records:
        aliases = " ".join(f"@{alias}" for alias in record["aliases"])
        value = "" if record["value"] is None else f"{record['headline']} {record['value']:.4f}"
        value += "" if record["comparable"] else MARK
        age = duration(now - record["created"])
        row = [record["name"], str(record["version"]), aliases, value, record["data"][:SHORT]]
        rows.append([*row, record["base_model"], age])
    drawn = table(words("model", "version", "aliases", "metric", "data", "base model", "age"), rows)
    if all(record["comparable"] for record in records):
        return drawn
    return Group(
        drawn, Text(_("{mark} on other test rows than the champion's: not comparable", mark=MARK))
    )


def history(events: Sequence[Mapping[str, Any]]) -> Table:
    """The verdicts and champion changes of a model, oldest first."""
    keys = ("name", "version", "event", "before", "by", "why")
    rows = []
    for event in events:
        moment = event["time"].replace("T", " ").removesuffix("+00:00")
        name, version, kind, before, by, why = (event[key] or "" for key in keys)
        rows.append([moment, name, version, translated(kind), before, by, translated(why)])
    return table(
        words("UTC", "model", "version", "event", "instead of", "by", "why"), rows, left={6}
    )


def lineage(record: Mapping[str, Any]) -> RenderableType:
    """The lineage of a version."""
    created = datetime.fromtimestamp(record["created"], UTC).isoformat(timespec="seconds")
    data, base, code = record["data"], record["base_model"], record["code"]
    counts = ", ".join(f"{count:,} {split}" for split, count in data["rows"].items())
    files = [f"{split}: {', '.join(names)}" for split, names in data["sources"].items()]
    facts = [
        [_("version"), record["uri"]],
        [_("aliases"), " ".join(f"@{alias}" for alias in record["aliases"]) or _("none")],
        [_("registered"), created],
        [_("verdict"), translated(record["verdict"])],
        [_("predecessor"), record["predecessor"] or _("none")],
        [
            _("rows"),
            f"{counts}; {_('{count:,} quarantined', count=data['quarantined'])}",
        ],
        [_("files"), "; ".join(files)],
        [_("data digest"), data["digest"]],
        [_("base model"), f"{base['name']} ({base['digest'][:SHORT]})"],
        [_("code"), f"onestep {code['onestep']} {code['revision'][:SHORT]}".rstrip()],
        [_("libraries"), ", ".join(f"{k} {v}" for k, v in record["libraries"].items())],
        [
            _("pipeline"),
            _("{name}, in {folder}", name=record["config"]["name"], folder=record["folder"]),
        ],
        [_("fingerprint"), record["fingerprint"]],
        [_("MLflow run"), record["run_id"]],
    ]
    metrics = [[name, value] for name, value in record["metrics"].items()]
    parts: list[RenderableType] = [table(words("lineage", ""), facts, left={1})]
    parts += ["", table(words("test metric", "value"), metrics)]
    return Group(*parts, "", Text(_("settings: onestep lineage --json")))


def reproduced(found: Reproduction) -> RenderableType:
    """A version and its reproduction, side by side."""
    rows = [
        [name, then, now, _("same") if then == now else now - then]
        for name, (then, now) in found.metrics.items()
    ]
    same_rows = _("the same rows") if found.same_rows else _("other rows")
    weights = _("the same weights, bit by bit") if found.same_weights else _("other weights")
    style = "green" if found.identical else "yellow"
    parts: list[RenderableType] = [table(words("metric", "then", "now", "difference"), rows), ""]
    parts += [
        Text(_("changed since: {change}", change=translated(change))) for change in found.changed
    ]
    return Group(
        *parts,
        Text(
            _(
                "{uri}: {same_rows} and {weights}",
                uri=found.uri,
                same_rows=same_rows,
                weights=weights,
            ),
            style=style,
        ),
    )


def difference(found: Difference) -> RenderableType:
    """Two versions side by side."""
    heads = list(found.versions)
    parts: list[RenderableType] = []
    sections = (
        (_("setting"), found.config),
        (_("data"), found.data),
        (_("test metric"), found.metrics),
        (_("slice"), found.slices),
    )
    for name, pairs in sections:
        rows = [[key, *(_shown(key, value) for value in pair)] for key, pair in pairs.items()]
        parts += [table([name, *heads], rows) if rows else _("{name}: no difference", name=name)]
        parts += [""]
    if found.examples is None:
        return Group(*parts, _("examples: no test row that both have, measured by one metric"))
    return Group(*parts, *_examples(found.examples))


def _shown(name: str, value: Any) -> Any:
    """A value in a cell; MLflow has the number of test rows as a float."""
    if value is None:
        return ""
    if name == "rows_digest" or name.startswith("files."):
        return ", ".join(digest[:SHORT] for digest in str(value).split(", "))
    return int(value) if name == "rows" else value


def _place(one: Mapping[str, Any]) -> str:
    """A test row by its file, row, line and id."""
    line = _(", line {line}", line=one["line"]) if "line" in one else ""
    name = f" ({one['id']})" if "id" in one else ""
    return _("{file} row {row}{line}{name}", file=one["file"], row=one["row"], line=line, name=name)


def _examples(found: Examples) -> list[RenderableType]:
    line = _(
        "{found.shared:,} test rows in both; the second answers {found.better:,} better and "
        "{found.worse:,} worse",
        found=found,
    )
    if found.rows != (found.shared, found.shared):
        first, second = found.rows
        line += _(
            "\nthe test metrics are of other rows too: {first:,} and {second:,}",
            first=first,
            second=second,
        )
    rows = [[_place(one), one["before"], one["after"]] for one in (*found.worst, *found.best)]
    return [line, table(words("row", "before", "after"), rows)] if rows else [line]
