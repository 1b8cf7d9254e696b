"""The page about every command, generated from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

HEAD: Final = """# Command line

Every command, as its `--help` describes it. Files are written below `mlruns`, or below the folder
that the environment variable `ONESTEP_HOME` names.

## Exit codes

| Code | Meaning |
|---|---|
| 0 | The command did what it was asked. |
| 1 | A failure that the input did not cause, such as a full disk or a server out of reach. |
| 2 | A mistake in the input: the command line, the pipeline file, the data or the model's name. |
| 130 | Ended by Ctrl-C. The same command goes on from there. |
| 143 | Ended by a termination signal. The same command goes on from there. |

Errors go to standard error, one line each, and begin with `error:`. A training that is finished but
that the gate does not promote exits with 0; the answer is in the output and in its JSON.
"""


def page(group: Any) -> str:
    """The page in Markdown, from the command group of typer."""
    return "\n".join([HEAD, *(_section(name, group.commands[name]) for name in group.commands)])


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(["onestep", name, *command.collect_usage_pieces(context)])
    lines = [f"## onestep {name}", "", command.help, "", "```text", usage, "```", ""]
    return "\n".join([*lines, *_tables(command, context)])


def _tables(command: Any, context: Any) -> Iterator[str]:
    for kind in ("argument", "option"):
        shown = [one for one in command.params if not getattr(one, "hidden", False)]
        found = [one for one in shown if one.param_type_name == kind]
        if found:
            yield f"| {kind.capitalize()} | Default | Meaning |\n|---|---|---|"
            yield from (_row(one, context) for one in found)
            yield ""


def _row(parameter: Any, context: Any) -> str:
    shown = parameter.get_help_record(context)[0]
    return f"| `{shown}` | {_default(parameter)} | {parameter.help} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    # Flags and options without a default show nothing.
    return f"`{parameter.default}`" if parameter.default else ""
