"""`journal-launcher trials`: what was tried, a line for each trial."""

import json
import shutil
import sys
from pathlib import Path

import click

from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import write_result
from journal_launcher.base.paths import StudiesFolder, absolute
from journal_launcher.base.streams import while_read
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_path, complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", shell_complete=complete_study)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    shell_complete=complete_path,
    help="Write a CSV file, a line per trial, all digits; - is stdout.",
)
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--sort",
    type=click.Choice(["number", "value"]),
    default="number",
    show_default=True,
    help="Order: value is best first, the trials that cannot be the best last.",
)
def command(study: str, csv_file: str | None, as_json: bool, sort: str, studies_dir: str) -> None:
    """List the trials of STUDY: state, value, parameters, device, time, folds, why it failed.

    Also while it runs; changes nothing. In a terminal the columns that do not fit are left out and
    named; a pipe gets all of them.
    """
    if csv_file is not None and as_json:
        raise UsageError("--csv and --json exclude each other")
    from journal_launcher.views.trials import TrialList

    found = TrialList(StudiesFolder.at(studies_dir).study(study), best_first=sort == "value")
    if csv_file not in (None, "-"):
        out = absolute(csv_file)
        write_result("--csv", out, found.to_csv().encode(errors="backslashreplace"))
        click.echo(f"wrote {Path(csv_file)}", err=True)
        return
    with while_read(sys.stdout):
        if csv_file is not None:
            click.echo(found.to_csv(), nl=False)
        elif as_json:
            click.echo(json.dumps(found.to_json()))
        else:
            lines, note = found.lines(terminal_width())
            for line in lines:
                click.echo(line)
            if note:
                click.echo(f"({note})", err=True)


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
