"""The command line: parse, call, print, exit code. No logic.

Commands are imported when they are used, so that `--help` and `--version` stay quick.
"""

from importlib import import_module

import click

from journal_launcher import __version__
from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean_or_all

__all__ = ["commands"]

# name -> (module, one line for --help)
_COMMANDS = {
    "run": ("journal_launcher.cli.run", "Run a study on all devices and save the best model."),
    "watch": ("journal_launcher.cli.watch", "Run, judge the model, and try again if it is bad."),
    "status": ("journal_launcher.cli.status", "Show how all studies stand, or one of them."),
    "trials": ("journal_launcher.cli.trials", "List the trials of a study, also while it runs."),
    "best": ("journal_launcher.cli.best", "Show a study's best trial and how to train it again."),
    "enqueue": ("journal_launcher.cli.enqueue", "Queue parameters to try next."),
    "report": ("journal_launcher.cli.report", "Write a page about a study: charts and tables."),
    "dashboard": ("journal_launcher.cli.dashboard", "Show studies in the browser."),
    "health": ("journal_launcher.cli.health", "Say whether a study's best model is healthy."),
    "skip": ("journal_launcher.cli.skip", "List or clear the model types that are skipped."),
    "describe": ("journal_launcher.cli.describe", "Say how a table is read; trains nothing."),
    "predict": ("journal_launcher.cli.predict", "Predict with a study's best model."),
    "replay": ("journal_launcher.cli.replay", "Run one trial again and compare its score."),
    "doctor": ("journal_launcher.cli.doctor", "Say whether a launch could run on this machine."),
    "init": ("journal_launcher.cli.init", "Write a config file and an example objective here."),
    "import": (
        "journal_launcher.cli.import_study",
        "Bring an old study along, or trials that fit.",
    ),
    "repair": ("journal_launcher.cli.repair", "Mend a damaged journal; the original is kept."),
}


class _Commands(click.Group):
    """Subcommands by name; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = import_module(_COMMANDS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not ctx.resilient_parsing:
            from journal_launcher.cli.given_file import command_for  # what is right needs none

            otherwise = did_you_mean_or_all(args[0], tuple(_COMMANDS))
            raise UsageError(f"no command {args[0]!r}{command_for(args[0]) or otherwise}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="journal-launcher")
def commands() -> None:
    """Run an Optuna study on every GPU of this machine.

    Without a command, `run` is meant: `journal-launcher --gpus auto`. A study goes on after any
    stop or crash when the same command is typed again.
    """
