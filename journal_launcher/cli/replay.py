"""`journal-launcher replay`: one trial again, alone."""

import click

from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", shell_complete=complete_study)
@click.argument("trial", type=int)
@click.argument("arguments", nargs=-1, metavar="[-- ARGUMENTS]")
def command(study: str, trial: int, arguments: tuple[str, ...], studies_dir: str) -> None:
    """Run TRIAL of STUDY again, alone, and say whether the score is the same.

    ARGUMENTS are the objective's, as after `run … --`: no journal has them.

    Exits 0 if it is, 1 if it is not, 2 if there is nothing to compare. Writes no journal.
    """
    from journal_launcher.launcher.foreground import replay_in_foreground

    replay_in_foreground(studies_dir, study, trial, arguments)
