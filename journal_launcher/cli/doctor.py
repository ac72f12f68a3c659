"""`journal-launcher doctor`: could a launch run on this machine?"""

import json
import os

import click

from journal_launcher.base.errors import ExitCode
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def command(studies_dir: str, as_json: bool) -> int:
    """Look at Python, packages, GPUs, limits and the studies folder.

    A line for each: ok, a note, or a problem with what to do. Changes nothing. Exits 0 if a launch
    could run here, 1 if a problem would stop it.
    """
    from journal_launcher.views.doctor import doctor_json, doctor_lines, examine

    found = doctor_json(findings := examine(StudiesFolder.at(studies_dir), os.environ))
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("\n".join(map(one_line, doctor_lines(findings))))
    return ExitCode.DONE if found["can_launch"] else ExitCode.FAILED
