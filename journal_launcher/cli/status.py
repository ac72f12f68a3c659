"""`journal-launcher status`: all studies, or one of them."""

import click

from journal_launcher.base.errors import ExitCode, UsageError
from journal_launcher.base.paths import StudiesFolder

__all__ = ["command"]


@click.command()
@click.argument("study", required=False)
@click.option("--studies-dir", default="optuna_studies", show_default=True, metavar="DIR")
def command(study: str | None, studies_dir: str) -> int:
    """Show how all studies stand, or everything about STUDY. Changes nothing.

    STUDY may be the name of a comparison of model types.
    """
    from journal_launcher.views.status import Status, comparison_lines, study_names

    studies = StudiesFolder.at(studies_dir)
    names = study_names(studies)
    if study is not None and studies.study(study).name not in names:
        compared = list(comparison_lines(studies, study))
        if compared:
            click.echo("\n".join(compared))
            return ExitCode.DONE
        known = f"; studies there: {', '.join(names[:10])}" if names else ""
        raise UsageError(f"no study {study} in {studies.root}{known}; check --studies-dir")
    if not names:
        raise UsageError(f"no study in {studies.root}; start one, or check --studies-dir")
    found = [Status(studies.study(name)) for name in ([study] if study else names)]
    for status in found:
        for line in status.lines() if study else [status.line()]:
            click.echo(line)
    return ExitCode.JOURNAL if any(status.damage for status in found) else ExitCode.DONE
