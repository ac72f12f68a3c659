"""`journal-launcher init`: a config file and an example objective, here."""

import os
from pathlib import Path

import click

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import absolute, typed
from journal_launcher.settings.config_file import explained

__all__ = ["command"]

_CONFIG = Path("study.toml")
_SCRIPT = Path("example.py")
_HEADER = f"""\
# Every option of `journal-launcher run --config {_CONFIG}` with its default; take the # away to
# set one. Flags and environment variables (JOURNAL_LAUNCHER_N_TRIALS) come before this file.

"""


@click.command()
def command() -> None:
    """Write study.toml, which explains every option, and example.py.

    Both go into the current directory; nothing is ever overwritten.
    """
    for path in (_CONFIG, _SCRIPT):
        if os.path.lexists(path):
            raise UsageError(f"{absolute(path)} exists; move it away, or type this elsewhere")
    config = _HEADER + explained({"objective": f"{_SCRIPT}:objective"})
    example = Path(__file__).with_name("example.py").read_text()
    for path, content in ((_SCRIPT, example), (_CONFIG, config)):
        try:
            with path.open("x") as file:
                file.write(content)
        except OSError as error:
            raise UsageError(f"{absolute(path)}: cannot be written: {error.strerror}") from None
        click.echo(f"wrote {path}")
    click.echo(f"try: {typed()} run --config {_CONFIG}", err=True)
