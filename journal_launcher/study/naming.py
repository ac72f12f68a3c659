"""Which name a launch goes by, where an earlier version began its study under another one."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from journal_launcher.base.artifacts.identity import IDENTITY_ATTRIBUTE, Identity
from journal_launcher.base.artifacts.stored import table
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.base.plain_files import open_plain
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES

__all__ = ["named"]


def named(settings: LaunchSettings) -> LaunchSettings:
    """The same; of a study under its earlier name, that has the target asked for, with that name.

    The workers start before Optuna is imported, so the journals are read without it.
    """
    if settings.name == settings.earlier_name:
        return settings
    root = StudiesFolder.at(settings.studies_dir).root
    ends = [f"_{name}" for name in MODEL_TYPES] if settings.compare_models else [""]

    def journals(name: str) -> list[Path]:
        return [StudyPaths(root, f"{name}{end}").journal for end in ends]

    if any(journal.exists() for journal in journals(settings.name)):
        return settings
    if any(_target(journal) == settings.target for journal in journals(settings.earlier_name)):
        return replace(settings, study_name=settings.earlier_name)
    return settings


def _target(journal: Path) -> str | None:
    """What the study in a journal predicts; None if that is not said, or there is none."""
    mark = json.dumps(IDENTITY_ATTRIBUTE).encode()
    with suppress(OSError, UsageError, ValueError, RecursionError, AttributeError):
        with open(open_plain(journal, os.O_RDONLY), "rb") as file:
            line = next((line for line in file if mark in line), b"{}")
        identity = table(table(json.loads(line).get("user_attr")).get(IDENTITY_ATTRIBUTE))
        return Identity.from_json(identity).target
    return None
