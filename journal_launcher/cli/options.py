"""Command-line options from the fields of LaunchSettings: each is declared once, there."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from journal_launcher.base.config import read_config
from journal_launcher.base.errors import UsageError
from journal_launcher.base.options import Option, nearest, option_of, parse_duration, type_of
from journal_launcher.base.settings import LaunchSettings

__all__ = ["GroupedCommand", "config_option", "settings_options", "unknown_variables"]

_VARIABLE = "JOURNAL_LAUNCHER_"
_TABLES = [field.name for field in dataclasses.fields(LaunchSettings) if option_of(field).key]


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            return parse_duration(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


class _GroupedOption(click.Option):
    """An option that knows its section in `--help`."""

    group = "Output"


class GroupedCommand(click.Command):
    """A command whose `--help` shows options in sections, in the order of their declaration."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "group", "Output"), []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


def settings_options() -> list[click.Parameter]:
    """One click option per field of LaunchSettings that has a flag."""
    fields = dataclasses.fields(LaunchSettings)
    return [_click_option(field) for field in fields if option_of(field).key is None]


def _click_option(field: dataclasses.Field[Any]) -> click.Option:
    option = option_of(field)
    made = _GroupedOption(
        _flags(field.name, option),
        default=field.default,
        help=option.help,
        metavar=option.metavar,
        type=_type_of(field, option),
        is_flag=option.switch,
        multiple=option.many,
        show_default=bool(field.default) and not option.switch,
        envvar=_VARIABLE + field.name.upper(),
    )
    made.group = option.group
    return made


def _flags(name: str, option: Option) -> list[str]:
    flag = name.replace("_", "-")
    main = f"--{flag}/--no-{flag}" if option.twin else f"--{flag}"
    return [name, main, *(f"--{other}" for other in option.flags)]


def _type_of(field: dataclasses.Field[Any], option: Option) -> Any:
    if option.choices:
        return click.Choice(option.choices)
    if option.duration:
        return _Duration()
    return type_of(field)[0]


def unknown_variables(environment: Iterable[str]) -> Iterator[str]:
    """A line for each variable that looks like an option and is none."""
    known = [field.name.upper() for field in dataclasses.fields(LaunchSettings)]
    for variable in sorted(environment):
        name = variable.removeprefix(_VARIABLE)
        # The last two are launch.sh's own.
        if name != variable and name not in (*known, "TYPED", "PYTHON"):
            yield f"{variable} is ignored: no such option{nearest(name, known, _VARIABLE)}"


def _load_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> dict[str, Any]:
    """Make the file's values the defaults, below environment and flags; return its tables."""
    if path is None:
        return {}
    output = {"json": "as_json", "quiet": "quiet", "verbose": "verbose"}
    values = read_config(path, output)
    tables = {name: values.pop(name) for name in _TABLES if name in values}
    ctx.default_map = {output.get(name, name): value for name, value in values.items()}
    return tables


def config_option() -> click.Option:
    return click.Option(
        ["tables", "--config"],
        type=click.Path(path_type=Path),
        is_eager=True,
        callback=_load_config,
        metavar="FILE.toml",
        help="Read options from a TOML file; environment and flags come before it.",
    )
