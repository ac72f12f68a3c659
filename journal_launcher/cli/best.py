"""`journal-launcher best`: the best trial of a study, and how to train it again."""

import json
import sys

import click

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.streams import while_read
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_study
from journal_launcher.cli.trials import terminal_width

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", shell_complete=complete_study)
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@click.option(
    "as_toml",
    "--toml",
    is_flag=True,
    help="Print a file for --config that trains these parameters as a study of their own.",
)
@click.option("--trial", type=int, metavar="NUMBER", help="This trial, such as one of a front.")
def command(study: str, as_json: bool, as_toml: bool, trial: int | None, studies_dir: str) -> None:
    """Show the best trial of STUDY: scores, parameters, the command that trains it again.

    Of several objectives the Pareto front. Of a comparison, the study that won. Also while it runs;
    changes nothing.
    """
    if as_json and as_toml:
        raise UsageError("--json and --toml exclude each other")
    from journal_launcher.views.best import BestTrials

    found = BestTrials(StudiesFolder.at(studies_dir).study(study), trial)
    toml = found.to_toml() if as_toml else None
    with while_read(sys.stdout):
        if toml is not None:
            click.echo(toml, nl=False)
        elif as_json:
            click.echo(json.dumps(found.to_json()))
        else:
            for line in found.lines(terminal_width()):
                click.echo(one_line(line))
