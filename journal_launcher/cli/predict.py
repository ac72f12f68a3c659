"""`journal-launcher predict`: the best model on new rows."""

from pathlib import Path

import click

from journal_launcher.base.data_source import check_location
from journal_launcher.base.paths import StudiesFolder, absolute, unknown_study
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import studies_dir_option
from journal_launcher.cli.completion import complete_study

__all__ = ["command"]


@click.command(params=[studies_dir_option()])
@click.argument("study", shell_complete=complete_study)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Rows to predict: a file of any kind that run reads, with the columns of the training "
    "data.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="CSV to write: a line per input row, column `prediction`, and for classification "
    "`probability_<label>`.",
)
def command(study: str, data: Path, out: Path, studies_dir: str) -> None:
    """Predict with the best model of STUDY."""
    paths = StudiesFolder.at(studies_dir).study(study)
    if not paths.directory.is_dir():
        raise unknown_study(paths)
    check_location(str(data))  # before the libraries of a model are loaded
    from journal_launcher.tabular.predict import predict_file

    for note in predict_file(paths.directory, absolute(data), absolute(out)):
        click.echo(one_line(note), err=True)
    click.echo(f"wrote {out}", err=True)
