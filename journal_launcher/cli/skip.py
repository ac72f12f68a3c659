"""`journal-launcher skip`: the model types that a launch passes over."""

import os

import click

from journal_launcher.base.paths import StudiesFolder, absolute
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.settings.model_types import MODEL_TYPES

__all__ = ["command"]


@click.group()
def command() -> None:
    """List or clear the model types that are skipped because they keep failing."""


@command.command("list", params=[studies_dir_option()])
def _list(studies_dir: str) -> None:
    """A line for every model type whose latest result on a table was critical."""
    from journal_launcher.health.skip_registry import SkipRegistry

    registry = SkipRegistry(StudiesFolder.at(studies_dir).skip_registry)
    found = [entry for entry in registry.entries() if entry.critical_in_a_row]
    for entry in found:
        click.echo(one_line(str(entry)))
    if not found:
        click.echo("no model type is critical", err=True)


@command.command("clear", params=[studies_dir_option()])
@click.option("--model-type", type=click.Choice(tuple(MODEL_TYPES)), help="Only this model type.")
@click.option("--data", metavar="PATH|sklearn:NAME", help="Only on this data.")
def _clear(model_type: str | None, data: str | None, studies_dir: str) -> None:
    """Forget critical results: everything runs again."""
    from journal_launcher.health.skip_registry import SkipRegistry

    if data is not None and not data.startswith("sklearn:"):
        data = os.path.abspath(absolute(data))
    registry = SkipRegistry(StudiesFolder.at(studies_dir).skip_registry)
    forgotten = registry.clear(model_type, data)
    for entry in forgotten:
        click.echo(one_line(f"forgotten: {entry}"))
    if not forgotten:
        click.echo("nothing to forget: see skip list", err=True)
