"""`journal-launcher import`: an old study from an Optuna database."""

import shlex

import click

from journal_launcher.base.paths import typed
from journal_launcher.cli.click_options import studies_dir_option

__all__ = ["command"]


@click.command("import", params=[studies_dir_option()])
@click.argument("database", metavar="sqlite:///old.db")
@click.option("--study-name", metavar="NAME", help="Which study (default: the only one there).")
def command(database: str, study_name: str | None, studies_dir: str) -> None:
    """Bring an old study's trials into a journal, to go on with them.

    Finished trials come with values, parameters and attributes, queued ones stay queued; the
    database is left as it is.
    """
    import optuna

    from journal_launcher.study.importing import import_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = import_study(database, study_name, studies_dir)
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.counts.items()))
    click.echo(f"imported {states or 'no trials'} into {found.journal}")
    if found.left_out:
        click.echo(f"left out {found.left_out} RUNNING", err=True)
    if study_name is not None and found.name != study_name:
        click.echo(f"its name here is {found.name}: {study_name!r} is no file name", err=True)
    finished = sum(found.counts.get(state, 0) for state in ("COMPLETE", "PRUNED"))
    more = [f"--direction {direction}" for direction in found.directions]
    more = [] if more == ["--direction minimize"] else more
    more += [] if studies_dir == "optuna_studies" else [f"--studies-dir {shlex.quote(studies_dir)}"]
    click.echo(
        f"go on: {typed()} --objective FILE.py:FUNCTION --study-name {found.name} "
        f"{' '.join([*more, f'--n-trials {finished + 20}'])}",
        err=True,
    )
