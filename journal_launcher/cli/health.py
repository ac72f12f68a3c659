"""`journal-launcher health`: is the best model of a study healthy?"""

import json

import click

from journal_launcher.base.errors import ExitCode
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.verdict import CRITICAL
from journal_launcher.base.visible import one_line
from journal_launcher.cli.click_options import config_option, studies_dir_option
from journal_launcher.cli.completion import complete_study
from journal_launcher.settings.limits import Limits

__all__ = ["command"]


def _health(study: str, studies_dir: str, as_json: bool) -> int:
    from journal_launcher.health.assessment import assess_health
    from journal_launcher.views.health import verdict_lines

    file = click.get_current_context().default_map or {}
    limits = Limits.of(file.get("health"))
    verdict = assess_health(StudiesFolder.at(studies_dir).study(study), limits.health)
    if as_json:
        click.echo(json.dumps(verdict.to_json()))
    else:
        for line in verdict_lines(verdict):
            click.echo(one_line(line))
    return ExitCode.FAILED if verdict.level == CRITICAL else ExitCode.DONE


command = click.Command(
    "health",
    callback=_health,
    params=[
        click.Argument(["study"], shell_complete=complete_study),
        config_option(),
        click.Option(["as_json", "--json"], is_flag=True, help="Print one JSON object."),
        studies_dir_option(),
    ],
    help="Say how the training of STUDY's best model went, a line for each finding.\n\n"
    "Exits 0 when it is healthy or gives warnings, or was not judged, 1 when a finding is "
    "critical, 2 when there is no such study or no model.",
)
