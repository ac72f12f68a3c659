"""`journal-launcher run`: the main job."""

import json
import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from journal_launcher.base.errors import ExitCode
from journal_launcher.base.streams import while_read
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import (
    GroupedCommand,
    config_option,
    make_settings,
    naming_config,
    settings_options,
    unknown_variables,
)
from journal_launcher.settings.config_file import resolved
from journal_launcher.settings.launch_settings import LaunchSettings

if TYPE_CHECKING:
    from journal_launcher.base.events import Listener
    from journal_launcher.pipeline.launch_with_health import WrappedLaunch

__all__ = ["command", "output_options", "perform"]


def _run(
    verbose: int,
    quiet: bool,
    as_json: bool,
    print_config: bool,
    **options: Any,
) -> int:
    for line in unknown_variables(os.environ):
        click.echo(f"warning: {line}", err=True)
    settings = make_settings(options)
    if print_config:
        click.echo(resolved(settings), nl=False)
        return ExitCode.DONE
    if settings.debug:
        from journal_launcher.launcher.foreground import debug_in_foreground

        debug_in_foreground(settings)
    from journal_launcher.pipeline.launch_with_health import launch_with_health

    return perform(settings, launch_with_health, verbose, quiet, as_json)


def perform(
    settings: LaunchSettings,
    launch: "WrappedLaunch",
    verbose: int,
    quiet: bool,
    as_json: bool,
    watched: bool = False,
) -> int:
    """Launch, or compare model types by such launches; show it, print the result."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    from journal_launcher.study.naming import named

    settings = named(settings)
    if settings.compare_models:
        return _compare(settings, launch, verbose, quiet, as_json, watched)
    with _view(quiet, verbose) as view:
        with naming_config():
            ended = launch(settings, view, None)
        view(ended)
    from journal_launcher.views.summary import result_json, result_line

    with while_read(sys.stdout):
        if as_json:
            click.echo(json.dumps(result_json(ended)))
        elif quiet:
            click.echo(one_line(result_line(ended)))  # click would drop an escape sequence
    if quiet and not as_json and ended.message:
        with while_read(sys.stderr):
            prefix = "error: " if ended.exit_code else ""
            click.echo(f"{prefix}{ended.message}", err=True)
    return ended.exit_code


def _compare(
    settings: LaunchSettings,
    launch: "WrappedLaunch",
    verbose: int,
    quiet: bool,
    as_json: bool,
    watched: bool,
) -> int:
    from journal_launcher.pipeline.compare import compare_models
    from journal_launcher.views.comparison import (
        comparison_json,
        comparison_line,
        failures,
        print_comparison,
    )

    found = compare_models(settings, lambda: _view(quiet, verbose), launch, watched)
    if not quiet:
        from journal_launcher.views.view import stderr_console

        print_comparison(stderr_console(), found)
    with while_read(sys.stdout):
        if as_json:
            click.echo(json.dumps(comparison_json(found)))
        elif quiet and found.winner is not None:
            click.echo(comparison_line(found))
    if quiet and not as_json:
        with while_read(sys.stderr):
            for line in failures(found):
                click.echo(f"{'error' if found.exit_code else 'left out'}: {line}", err=True)
    return found.exit_code


def _view(quiet: bool, verbose: int) -> "AbstractContextManager[Listener]":
    from journal_launcher.views.listeners import from_first_event

    def opened() -> "AbstractContextManager[Listener]":
        from journal_launcher.views.view import make_view

        return make_view(sys.stderr.isatty(), quiet, verbose)

    return nullcontext(lambda event: None) if quiet else from_first_event(opened)


def output_options() -> list[click.Parameter]:
    return [
        click.Option(["-v", "--verbose"], count=True, help="Say more."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Only the result: value, model path."),
        click.Option(["as_json", "--json"], is_flag=True, help="Print one JSON object at the end."),
    ]


command = GroupedCommand(
    "run",
    callback=_run,
    params=[
        *settings_options(),
        config_option(),
        click.Option(
            ["--print-config"], is_flag=True, help="Print the settings as TOML, and do nothing."
        ),
        *output_options(),
    ],
    help="Run a study on all devices and save the best model.\n\n"
    "Without options: a real job on bundled data. A study resumes when the same command is typed "
    "again; --n-trials is its total.\n\n"
    "Every option that decides the launch is also an environment variable (--n-trials is "
    "JOURNAL_LAUNCHER_N_TRIALS) and a key of --config (n_trials).",
    options_metavar="[OPTIONS] [-- ARGUMENTS]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
