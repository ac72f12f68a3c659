"""What the Tab key finds: click's own completion, with studies, files, and the `run` left out."""

import os
import shlex
from typing import TYPE_CHECKING

import click

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["COMPLETE", "complete_path", "complete_study", "name_run"]

COMPLETE = "_JOURNAL_LAUNCHER_COMPLETE"
"""The variable by which a shell asks, however this program is called."""


def complete_study(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The studies of the folder that the line, or the environment, names."""
    from journal_launcher.settings.launch_settings import LaunchSettings

    folder = ctx.params.get("studies_dir") or LaunchSettings.studies_dir
    try:
        names = StudiesFolder.at(folder).names()
    except UsageError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_path(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Left to the shell."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def name_run() -> None:
    """Put into the line that is completed the command that options first mean."""
    from click.shell_completion import split_arg_string

    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    if len(words) < 2 or not words[1].startswith("-"):
        return
    os.environ["COMP_WORDS"] = shlex.join([words[0], "run", *words[1:]])
    place = os.environ.get("COMP_CWORD", "")
    if place.isdecimal():  # fish has the word itself there
        os.environ["COMP_CWORD"] = str(int(place) + 1)
