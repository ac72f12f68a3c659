"""Command-line options from the fields of LaunchSettings: each is declared once, there."""

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean
from journal_launcher.cli.completion import complete_path
from journal_launcher.settings.config_file import read_config
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import (
    REFERENCES,
    Option,
    option_of,
    parse_duration,
    type_of,
)

__all__ = [
    "Duration",
    "GroupedCommand",
    "config_option",
    "make_settings",
    "naming_config",
    "settings_options",
    "some_options",
    "studies_dir_option",
    "unknown_variables",
]

_VARIABLE = "JOURNAL_LAUNCHER_"
_CONFIG = "journal_launcher.config"  # where a click context keeps the file's name


class Duration(click.ParamType[float]):
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


class _NumberOr(click.ParamType["int | str"]):
    """A whole number, or one word."""

    name = "number"

    def __init__(self, word: str) -> None:
        self._word = word

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == self._word:
            return self._word
        try:
            return int(value)
        except ValueError:
            self.fail(f"expected a whole number, or {self._word}, found {value!r}", param, ctx)


class _GroupedOption(click.Option):
    """An option that knows its section in `--help`."""

    group = "Output"


class GroupedCommand(click.Command):
    """A command whose `--help` shows options in sections, in the order of their declaration.

    It passes on what follows `--` as `arguments`, and what only --config can say.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args[:cut])
        if rest and not ctx.resilient_parsing:
            from journal_launcher.cli.given_file import command_for  # what is right needs none

            otherwise = ": options begin with --, and what an objective gets stands behind --"
            raise UsageError(f"unexpected {rest[0]!r}{command_for(rest[0]) or otherwise}")
        file = ctx.default_map or {}
        for field in dataclasses.fields(LaunchSettings):
            if option_of(field).key is not None:
                ctx.params[field.name] = file.get(field.name, field.default)
        given = args[cut + 1 :] or ctx.params["arguments"]
        ctx.params["arguments"] = tuple(given) if isinstance(given, list) else given
        return rest

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
    """One click option per field of LaunchSettings that is a flag."""
    fields = dataclasses.fields(LaunchSettings)
    return [_click_option(field) for field in fields if option_of(field).key is None]


def some_options(*names: str) -> list[click.Parameter]:
    """The options of these settings, for a command that takes no others of a launch."""
    fields = {field.name: field for field in dataclasses.fields(LaunchSettings)}
    return [_click_option(fields[name]) for name in names]


def studies_dir_option() -> click.Option:
    """`--studies-dir` for a command that takes no other setting of a launch."""
    fields = {field.name: field for field in dataclasses.fields(LaunchSettings)}
    return _click_option(fields["studies_dir"])


def _click_option(field: dataclasses.Field[Any]) -> click.Option:
    option = option_of(field)
    names_path = option.reference or field.name in ("data", "objective", "studies_dir")
    made = _GroupedOption(
        _flags(field.name, option),
        default=field.default,
        help=option.help,
        metavar=option.metavar or _reference_metavar(option),
        type=_type_of(field, option),
        is_flag=option.switch,
        multiple=option.many,
        show_default=bool(field.default) and not option.switch,
        envvar=_VARIABLE + field.name.upper(),
        shell_complete=complete_path if names_path else None,
    )
    made.group = option.group
    return made


def _flags(name: str, option: Option) -> list[str]:
    flag = name.replace("_", "-")
    main = f"--{flag}/--no-{flag}" if option.twin else f"--{flag}"
    return [name, main, *(f"--{other}" for other in option.spellings)]


def _reference_metavar(option: Option) -> str | None:
    return "|".join((*option.choices, *REFERENCES)) if option.reference else None


def _type_of(field: dataclasses.Field[Any], option: Option) -> Any:
    if option.reference:
        return str
    if option.choices:
        return click.Choice(option.choices)
    if option.duration:
        return Duration()
    if option.word is not None:
        return _NumberOr(option.word)
    return type_of(field)[0]


def unknown_variables(environment: Iterable[str]) -> Iterator[str]:
    """A line for each variable that looks like an option and is none."""
    known = [field.name.upper() for field in dataclasses.fields(LaunchSettings)]
    for variable in sorted(environment):
        name = variable.removeprefix(_VARIABLE)
        # The last two are launch.sh's own.
        if name != variable and name not in (*known, "TYPED", "PYTHON"):
            yield f"{variable} is ignored: no such option{did_you_mean(name, known, _VARIABLE)}"


def _load_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Make the file's values the defaults: below the environment, below flags."""
    if path is None or ctx.resilient_parsing:  # a line that is completed may name any file
        return
    output = {"json": "as_json", "quiet": "quiet", "verbose": "verbose"}
    values = read_config(path, output)
    ctx.default_map = {output.get(name, name): value for name, value in values.items()}
    ctx.meta[_CONFIG] = path


def make_settings(options: dict[str, Any]) -> LaunchSettings:
    """The settings of a parsed command line."""
    with naming_config():
        return LaunchSettings(**options)


@contextmanager
def naming_config() -> Iterator[None]:
    """Let an error that is in a table of the config file name that file."""
    try:
        yield
    except UsageError as error:
        file = click.get_current_context().meta.get(_CONFIG)
        if file is not None and str(error).startswith("["):
            raise UsageError(f"--config {file}: {error}") from None
        raise


def config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load_config,
        metavar="FILE.toml",
        help="Read options from a TOML file; environment and flags come before it.",
    )
