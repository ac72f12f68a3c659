"""`journal-launcher import`: an old study from an Optuna database, or from another journal."""

import shlex
from pathlib import Path

import click

from journal_launcher.base.paths import typed
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option

__all__ = ["command"]


@click.command("import", params=[studies_dir_option()])
@click.argument("source", metavar="sqlite:///old.db|FILE.log|STUDY")
@click.option("--study-name", metavar="NAME", help="Which study (default: the only one there).")
@click.option("--from-study", metavar="NAME", help="Which study, if --study-name is a new name.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Only the trials that fit the search space in this file.",
)
def command(
    source: str,
    study_name: str | None,
    from_study: str | None,
    config: Path | None,
    studies_dir: str,
) -> None:
    """Bring an old study's trials into a journal, to go on with them.

    From an Optuna database, from a journal that any Optuna script wrote, or from a STUDY of this
    program, for one of a changed search space. Finished trials come with values, parameters and
    attributes, queued ones stay queued; the source is left as it is.
    """
    import optuna

    from journal_launcher.settings.config_file import read_config
    from journal_launcher.study.importing import import_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tables = None if config is None else read_config(config, ("json", "quiet", "verbose"))
    found = import_study(source, study_name, studies_dir, from_study, tables)
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.counts.items()))
    click.echo(f"imported {states or 'no trials'} into {found.journal}")
    if found.left_out:
        click.echo(f"left out {found.left_out} RUNNING", err=True)
    if found.torn:
        what = f"the last line of {source}, {found.torn} bytes that no writer finished"
        click.echo(one_line(f"left out {what}"), err=True)
    if found.misfits:
        reasons = ", ".join(f"{n} x {reason}" for reason, n in found.misfits.items())
        n = sum(found.misfits.values())
        click.echo(one_line(f"left out {n} that do not fit the new space: {reasons}"), err=True)
    if study_name is not None and found.name != study_name:
        click.echo(f"its name here is {found.name}: {study_name!r} is no file name", err=True)
    if found.ours:
        again = f"the study's command with --study-name {found.name}"
        click.echo(f"go on: {again}; --n-trials counts what was imported", err=True)
        return
    finished = sum(found.counts.get(state, 0) for state in ("COMPLETE", "PRUNED"))
    more = [f"--direction {direction}" for direction in found.directions]
    more = [] if more == ["--direction minimize"] else more
    more += [] if studies_dir == "optuna_studies" else [f"--studies-dir {shlex.quote(studies_dir)}"]
    click.echo(
        f"go on: {typed()} --objective FILE.py:FUNCTION --study-name {found.name} "
        f"{' '.join([*more, f'--n-trials {finished + 20}'])}",
        err=True,
    )
