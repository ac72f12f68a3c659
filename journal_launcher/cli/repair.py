"""`journal-launcher repair`: mend a damaged journal."""

import click

from journal_launcher.base.errors import ExitCode, UsageError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", shell_complete=complete_study)
@click.option("--dry-run", is_flag=True, help="Only say what is wrong and what would be done.")
def command(study: str, dry_run: bool, studies_dir: str) -> int:
    """Recover what can be recovered of STUDY's journal; the original is kept beside it.

    Exits 0 when the journal is sound or was repaired, 3 when it cannot be (nothing is changed) or
    when --dry-run finds damage.
    """
    from journal_launcher.study.lease import Lease
    from journal_launcher.study.repair import diagnose, repair

    paths = StudiesFolder.at(studies_dir).study(study)
    if not paths.journal.exists():
        raise UsageError(f"no journal {paths.journal}; check --studies-dir")
    if dry_run:
        report = diagnose(paths.journal)
    else:
        with Lease(paths.lease, study, "repair"):
            report = repair(paths.journal)
    for line in report.lines():
        click.echo(one_line(line))
    return ExitCode.DONE if report.verdict in ("sound", "repaired") else ExitCode.JOURNAL
