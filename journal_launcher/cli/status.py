"""`journal-launcher status`: all studies, or one of them."""

import json

import click

from journal_launcher.base.errors import ExitCode, UsageError
from journal_launcher.base.paths import StudiesFolder, unknown_study
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", required=False, shell_complete=complete_study)
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def command(study: str | None, as_json: bool, studies_dir: str) -> int:
    """Show how all studies stand, or everything about STUDY. Changes nothing.

    STUDY may be the name of a comparison of model types.
    """
    from journal_launcher.views.status import Status, comparison_lines, status_json, winner_lines

    studies = StudiesFolder.at(studies_dir)
    names = studies.names()
    compared: list[str] = []
    if study is not None and studies.study(study).name not in names:
        compared = list(comparison_lines(studies, study))
        if not compared:
            raise unknown_study(studies.study(study))
    if not names:
        raise UsageError(f"no study in {studies.root}; start one, or check --studies-dir")
    if as_json:
        content, damaged = status_json(studies, study)
        click.echo(json.dumps(content))
        return ExitCode.JOURNAL if damaged else ExitCode.DONE
    if compared:
        click.echo("\n".join(map(one_line, compared)))
        return ExitCode.DONE
    found = [Status(studies.study(name)) for name in ([study] if study else names)]
    for status in found:
        for line in status.lines() if study else [status.line()]:
            click.echo(one_line(line))
    if not study:
        for line in winner_lines(studies):
            click.echo(one_line(line))
    return ExitCode.JOURNAL if any(status.damage for status in found) else ExitCode.DONE
