"""What is wrong with a launch's data or script, as far as it shows without opening them."""

import dataclasses
import os
from pathlib import Path

from journal_launcher.base.data_source import check_location
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import absolute
from journal_launcher.base.unknown_names import did_you_mean_file
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import check_installed
from journal_launcher.settings.options import REFERENCES, flag, option_of

__all__ = [
    "Reference",
    "check_inputs",
    "find_reference",
    "objective_name",
    "parse_reference",
]


@dataclass(frozen=True)
class Reference:
    """What an option names of the user's code: an attribute of a Python file, or of a module."""

    source: str
    attribute: str
    is_file: bool


def check_inputs(settings: LaunchSettings) -> None:
    """Look for the data or the code of a launch, and for the library of its model type.

    Raises:
        UsageError: it is not there, or nothing that this program reads.
    """
    for field in dataclasses.fields(settings):
        if option_of(field).reference:
            given = getattr(settings, field.name) or ()
            for item in (given,) if isinstance(given, str) else given:
                if item not in option_of(field).choices:
                    find_reference(flag(field.name), item)
    if settings.job_kind.has_model_type:
        check_location(settings.data)
        if not settings.compare_models:  # which compares what is installed
            check_installed(settings.model_type)


def find_reference(option: str, reference: str) -> Reference:
    """Take apart a reference to the user's code.

    Raises:
        UsageError: malformed, or no such file; a module is looked for when it is imported.
    """
    found = parse_reference(option, reference)
    if found.is_file and not os.path.isfile(found.source):
        hint = did_you_mean_file(found.source)
        raise UsageError(f"{option}: no such file: {absolute(found.source)}{hint}")
    if found.is_file and not found.source.endswith(".py"):
        raise UsageError(f"{option}: expected a Python file, found {found.source}")
    return found


def parse_reference(option: str, reference: str) -> Reference:
    """The same without a look at the file.

    Raises:
        UsageError: malformed.
    """
    source, _, attribute = reference.rpartition(":")
    is_file = source.endswith(".py") or "/" in source
    if not source or not attribute or (source.startswith(".") and not is_file):
        raise UsageError(f"{option}: expected {' or '.join(REFERENCES)}, found {reference!r}")
    return Reference(source, attribute, is_file)


def objective_name(reference: str, studies: Path) -> str:
    """An objective in a study's identity: a module's name, or a file's place seen from the studies
    folder, for both may move together. Links are followed on both sides, so that the same file has
    one name.
    """
    found = parse_reference("--objective", reference)
    source = found.source
    if found.is_file:
        source = os.path.relpath(os.path.realpath(source), os.path.realpath(studies))
    return f"{source}:{found.attribute}"
