"""`journal-launcher enqueue`: parameters to try next."""

import click

from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", shell_complete=complete_study)
@click.argument("parameters", nargs=-1, required=True, metavar="NAME=VALUE…")
def command(study: str, parameters: tuple[str, ...], studies_dir: str) -> None:
    """Queue a trial of STUDY with these parameters; it is the next one to start.

    A launch under way takes it, else the next one does. What is left out, the sampler chooses. It
    is one of the trials of --n-trials.
    """
    from journal_launcher.study.lease import holder_of
    from journal_launcher.study.queueing import parse_parameters, queue
    from journal_launcher.study.reading import open_study

    paths = StudiesFolder.at(studies_dir).study(study)
    params = parse_parameters(parameters)
    found = open_study(paths, read_only=False)
    number = queue(found, params)
    finished, _ = found.count()
    if holder_of(paths.lease) is not None:
        when = "the launch under way takes it next, if --n-trials leaves room"
    else:
        when = f"the study's command takes it first, with --n-trials above {finished}"
    click.echo(one_line(f"trial {number} of study {paths.name} is queued; {when}"))
