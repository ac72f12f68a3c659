"""`journal-launcher doctor`: could a launch run on this machine?"""

import json
import os

import click

from journal_launcher.base.errors import ExitCode, UsageError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.describe import described
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.option(
    "--data", metavar="FILE", help="Also a table: how it is read, as `describe --target` says it."
)
@click.option("--target", metavar="COLUMN", help="The column of --data to predict.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def command(studies_dir: str, data: str | None, target: str | None, as_json: bool) -> int:
    """Look at Python, packages, GPUs, limits and the studies folder.

    A line for each: ok, a note, or a problem with what to do. Changes nothing. Exits 0 if a launch
    could run here, 1 if a problem would stop it, 2 for a table that a launch would refuse to read.
    """
    if target is not None and data is None:
        raise UsageError("--target COLUMN belongs to --data FILE, found none")
    from journal_launcher.views.doctor import doctor_json, doctor_lines, examine

    found = doctor_json(findings := examine(StudiesFolder.at(studies_dir), os.environ))
    if not as_json:
        click.echo("\n".join(map(one_line, doctor_lines(findings))))
    if data is not None:
        found["data"], lines = described(LaunchSettings(data=data, target=target))
        if not as_json:
            click.echo(f"\n{lines}")
    if as_json:
        click.echo(json.dumps(found))
    return ExitCode.DONE if found["can_launch"] else ExitCode.FAILED
