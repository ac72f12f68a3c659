"""`journal-launcher dashboard`: optuna-dashboard over the studies here."""

import contextlib

import click

from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", required=False, shell_complete=complete_study)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Where to listen (default: 8080, or any that is free).",
)
@click.option(
    "--allow-writes", is_flag=True, help="Let the page edit STUDY: notes, names, trials, deletion."
)
def command(study: str | None, port: int | None, allow_writes: bool, studies_dir: str) -> None:
    """Show all studies, or STUDY, in the browser with optuna-dashboard, also while they run.

    On this machine's own address; the page can edit nothing, unless that is asked for. Ctrl-C ends
    it.
    """
    from journal_launcher.views.dashboard.server import make_dashboard

    def say(line: str) -> None:
        click.echo(f"not shown: {one_line(line)}", err=True)

    studies = StudiesFolder.at(studies_dir)
    server, url = make_dashboard(studies, study, port, allow_writes=allow_writes, say=say)
    click.echo(f"open {url} in a browser; Ctrl-C ends it", err=True)
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
