"""The user's code as it is on a machine: equal digests, or the nodes run different things."""

import dataclasses
import hashlib
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from journal_launcher.settings.command_template import parse_template
from journal_launcher.settings.inputs import find_reference
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import flag, option_of

__all__ = ["digests"]


def digests(settings: LaunchSettings) -> dict[str, str]:
    """SHA-256 of each file of the user's code that the options name, "" where there is none.

    Raises:
        UsageError: as from `find_reference`.
    """
    files: dict[str, str | None] = {}
    for field in dataclasses.fields(settings):
        if option_of(field).reference:
            given = getattr(settings, field.name) or ()
            for item in (given,) if isinstance(given, str) else given:
                if item not in option_of(field).choices:
                    found = find_reference(flag(field.name), item)
                    files[found.source] = found.source if found.is_file else _file_of(found.source)
    if settings.command is not None:
        script = parse_template(settings.command, settings.space or {}).script
        if script is not None:
            files[script] = script
    return {name: _digest(file) for name, file in files.items()}


def _file_of(module: str) -> str | None:
    """Where a module is, without importing the packages around it."""
    path: list[str] | None = [os.getcwd(), *sys.path]
    spec = None
    for end in range(1, module.count(".") + 2):
        spec = PathFinder.find_spec(".".join(module.split(".")[:end]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec.origin if spec is not None else None


def _digest(file: str | None) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        return ""
