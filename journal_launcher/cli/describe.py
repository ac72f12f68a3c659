"""`journal-launcher describe`: how a table is read, before anything is trained."""

import json
from typing import Any

import click

from journal_launcher.base.errors import UsageError
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import config_option, some_options
from journal_launcher.cli.completion import complete_path
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["command", "described"]


def described(settings: LaunchSettings) -> tuple[dict[str, Any], str]:
    """(how a table is read, as JSON and as lines that are safe to show)."""
    from journal_launcher.tabular.data.describe import describe, description_lines
    from journal_launcher.tabular.data.source import TableSource

    found = describe(TableSource.of(settings, 0))
    return found, "\n".join(map(one_line, description_lines(found)))


def _describe(file: str | None, as_json: bool, **options: Any) -> None:
    said = click.get_current_context().get_parameter_source("data")
    if file is not None and said is click.core.ParameterSource.COMMANDLINE:
        raise UsageError(f"expected one table, found {file} and --data {options['data']}")
    for column, split in (("group_column", "group"), ("time_column", "time")):
        if options[column] is not None:
            options["split"] = split
    found, lines = described(LaunchSettings(**{**options, "data": file or options["data"]}))
    click.echo(json.dumps(found) if as_json else lines)


command = click.Command(
    "describe",
    callback=_describe,
    params=[
        click.Argument(["file"], required=False, shell_complete=complete_path),
        *some_options("data", "target", "task", "group_column", "time_column"),
        *some_options("weight_column", "date_order"),
        config_option(),
        click.Option(["as_json", "--json"], is_flag=True, help="Print one JSON object."),
    ],
    help="Say how the table FILE (or --data) is read: a line that a launch says too, then each "
    "column's kind, format, an example and the share that is missing, then what is doubtful.\n\n"
    "Nothing is trained or written. Exits 0, or 2 for a table that a launch would refuse to read.",
)
