"""`journal-launcher report`: a page about a study."""

import click

from journal_launcher.base.paths import StudiesFolder, absolute
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_path, complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", shell_complete=complete_study)
@click.option(
    "--out",
    metavar="FILE",
    help="The file to write (default: STUDY.html beside the journal).",
    shell_complete=complete_path,
)
@click.option("open_it", "--open", is_flag=True, help="Open it in a browser.")
def command(study: str, out: str | None, open_it: bool, studies_dir: str) -> None:
    """Write a page about STUDY: what was tuned, scores, charts, workers, model, every trial.

    One HTML file that needs no network, to read, send or print. Of a comparison, the study that
    won. Also while it runs; changes nothing else.
    """
    from journal_launcher.views.report.page import report_path, write_report

    paths = StudiesFolder.at(studies_dir).study(study)
    file = report_path(paths) if out is None else absolute(out)
    write_report(paths, file, "--out")
    click.echo(f"wrote {file}", err=True)
    if open_it:
        import webbrowser

        if not webbrowser.open(file.as_uri()):
            click.echo("no browser was found here: open the file in yours", err=True)
