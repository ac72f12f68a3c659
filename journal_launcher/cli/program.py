"""One run of the program, from its arguments to its exit code."""

import json
import os
import re
import sys
import warnings

import click

from journal_launcher.base.errors import (
    ExitCode,
    JournalLauncherError,
    ResumableStop,
    is_full_disk,
    limit_met,
)
from journal_launcher.base.paths import typed
from journal_launcher.base.streams import (
    open_closed_streams,
    send_to_nowhere,
    show_controls,
    while_read,
)
from journal_launcher.base.unknown_names import did_you_mean
from journal_launcher.cli import commands
from journal_launcher.cli.completion import COMPLETE, name_run

__all__ = ["run"]

_ALONE = (["--help"], ["-h"], ["--version"])


def run(arguments: list[str]) -> int:
    """Parse, run, return the exit code. No arguments, or options first, mean `run`."""
    try:
        open_closed_streams()
        if COMPLETE in os.environ:
            name_run()
        else:  # click writes bytes to a shell
            show_controls()
        # Of choices that the journal keeps as lists: a worker's log has it once, at the place.
        warnings.filterwarnings(
            "ignore", message="Choices for a categorical distribution should be"
        )
        if not arguments or (arguments[0].startswith("-") and arguments not in _ALONE):
            arguments = ["run", *arguments]
        result = commands.main(
            arguments, prog_name=typed(), complete_var=COMPLETE, standalone_mode=False
        )
    except JournalLauncherError as error:
        with while_read(sys.stderr):
            click.echo(f"error: {error}", err=True)
        return _failed(arguments, error.exit_code, str(error))
    except click.ClickException as error:
        with while_read(sys.stderr):
            _show(error)
        return _failed(arguments, error.exit_code, _said(error))
    except (click.Abort, KeyboardInterrupt):  # the first is a RuntimeError
        return _failed(arguments, ExitCode.INTERRUPTED, "stopped by Ctrl-C")
    except (OSError, RuntimeError, MemoryError) as error:
        limit = limit_met(error)
        if limit is None and not isinstance(error, OSError):
            raise
        # Of our own output, say: a study's files have their own words.
        full = is_full_disk(error)
        plain = JournalLauncherError(limit or str(error))
        problem = ResumableStop.of_full_disk(error) if full else plain
        click.echo(f"error: {problem}", err=True)
        try:
            _failed(arguments, problem.exit_code, str(problem))
            sys.stdout.flush()
        except OSError:
            send_to_nowhere(sys.stdout)
        return problem.exit_code
    return result if isinstance(result, int) else ExitCode.DONE


def _said(error: click.ClickException) -> str:
    """click's words; of a mistyped choice, of which it lists all, with the nearest."""
    text = error.format_message()
    if isinstance(error, click.BadParameter) and error.param is not None:
        found = re.match(r"'(.*)' is not one of ", error.message)
        if found is not None and isinstance(error.param.type, click.Choice):
            hint = did_you_mean(found[1], map(str, error.param.type.choices))
            return text.removesuffix(".") + hint
    return text


def _show(error: click.ClickException) -> None:
    """As click does, but for its line "Try '…' for help.": what is quoted there may have quotes."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
        click.echo(f"{error.ctx.get_usage()}\nFor help type: {path} --help\n", err=True)
    click.echo(f"Error: {_said(error)}", err=True)


def _failed(arguments: list[str], code: int, message: str) -> int:
    """The exit code; with `--json` a script gets its one object even so."""
    if arguments[0] in ("run", "watch") and "--json" in arguments:
        from journal_launcher.views.summary import failure_json

        with while_read(sys.stdout):
            click.echo(json.dumps(failure_json(code, message)))
    return int(code)
