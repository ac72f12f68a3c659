"""Whether a launch could run on this machine, and what to do if not. Changes nothing."""

from collections.abc import Mapping
from functools import partial

from journal_launcher.base.paths import StudiesFolder, install_command
from journal_launcher.views.doctor.devices import check_devices
from journal_launcher.views.doctor.finding import Finding, doctor_json, doctor_lines
from journal_launcher.views.doctor.resource_limits import check_limits
from journal_launcher.views.doctor.software import check_software
from journal_launcher.views.doctor.studies import check_studies

__all__ = ["doctor_json", "doctor_lines", "examine"]


def examine(studies: StudiesFolder, environment: Mapping[str, str]) -> list[Finding]:
    """Look at this Python, the devices, the limits of this process and the studies folder."""
    found: list[Finding] = []
    for check in (
        check_software,
        partial(check_devices, environment),
        check_limits,
        partial(check_studies, studies.root),
    ):
        try:
            found.extend(check())
        except ImportError as error:  # of a package that is missing, which may be the very question
            text = f"not everything could be looked at: {error}"
            remedy = f"type {install_command((error.name or '').partition('.')[0])}"
            found.append(Finding("problem", "packages", text, remedy))
    return found
