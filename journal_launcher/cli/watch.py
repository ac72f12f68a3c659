"""`journal-launcher watch`: a launch that is judged, and tried again where it is critical."""

import os
from functools import partial
from typing import Any

import click

from journal_launcher.cli.click_options import (
    Duration,
    GroupedCommand,
    config_option,
    make_settings,
    settings_options,
    unknown_variables,
)
from journal_launcher.cli.run import output_options, perform

__all__ = ["command"]


def _watch(
    verbose: int,
    quiet: bool,
    as_json: bool,
    max_watch_retries: int,
    step_timeout: float | None,
    **options: Any,
) -> int:
    for line in unknown_variables(os.environ):
        click.echo(f"warning: {line}", err=True)
    settings = make_settings(options)
    from journal_launcher.pipeline.watch import watched_launch

    launch = partial(
        watched_launch,
        retries=max_watch_retries,
        other_types=not settings.compare_models,
        step_timeout=step_timeout,
    )
    return perform(settings, launch, verbose, quiet, as_json, watched=True)


command = GroupedCommand(
    "watch",
    callback=_watch,
    params=[
        *settings_options(),
        config_option(),
        click.Option(
            ["--max-watch-retries"],
            type=click.IntRange(0),
            default=2,
            show_default=True,
            metavar="N",
            help="Attempts after the first one, each with something changed.",
        ),
        click.Option(
            ["--step-timeout"],
            type=Duration(),
            metavar="30s|10m|2h",
            help="Stop an attempt that takes longer, whatever hangs in it: it has failed.",
        ),
        *output_options(),
    ],
    help="Run a study, judge its model, and try again with something changed if it is critical.\n\n"
    "Takes the options of run; --timeout holds for each attempt. With --compare-models every "
    "model type is watched. Exits 0 when a model is good enough (PROCEED, PROCEED_WITH_NOTE), 1 "
    "when none is (SKIP_MODEL). Killed, the same command goes on.",
    options_metavar="[OPTIONS]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
