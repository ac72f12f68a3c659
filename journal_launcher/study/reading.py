"""A study for whoever looks at it, repeats a trial of it or queues one, beside its launch."""

import os
from pathlib import Path

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudyPaths, unknown_study
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.another import shortened
from journal_launcher.study.attributes import ARGUMENTS, arguments_mark, changed_notes
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import (
    NOTED_ATTRIBUTE,
    SETTINGS_ATTRIBUTE,
    StudyHandle,
)

__all__ = ["had_arguments", "open_study", "recorded_settings"]


def open_study(paths: StudyPaths, *, read_only: bool = True) -> StudyHandle:
    """The study as it is at this moment, whoever runs it.

    Raises:
        UsageError: there is no such study.
        JournalDamagedError: its journal cannot be read.
    """
    if not paths.journal.is_file():
        raise unknown_study(paths)
    storage = open_storage(paths.journal, read_only=read_only, allow_network_fs=True)
    study = StudyHandle.find(storage, paths.name)
    if study is None:
        raise UsageError(
            f"{paths.journal}: the journal holds no study (deleted, or not begun); start it first"
        )
    return study


def had_arguments(study: StudyHandle) -> bool:
    """Did something follow `--`, which no file keeps?"""
    return bool(changed_notes(study.attribute(NOTED_ATTRIBUTE), {ARGUMENTS: arguments_mark(())}))


def recorded_settings(study: StudyHandle, folder: Path) -> LaunchSettings:
    """Of the last launch; an objective's file is where it lies seen from the studies, `folder`.

    Raises:
        UsageError: the study does not say, or what it says is no settings; or it had a function
            that no file has.
    """
    found = study.settings
    identity = study.identity
    if identity is None or not found:
        raise UsageError(
            f"study {study.name} does not say how its trials ran; repeat its command once, which "
            "records it and trains nothing that is finished"
        )
    content = LaunchSettings().to_json()
    content |= {key: found[key] for key in found if key in content}
    if identity.objective is not None:
        source, _, attribute = identity.objective.rpartition(":")
        if source == "__main__":
            raise UsageError(
                f"study {study.name}: its objective was given by Python and is in no file; only a "
                "launch with that function can run its trials"
            )
        if source.endswith(".py") or "/" in source:
            source = os.path.normpath(folder / source)
        content["objective"] = f"{source}:{attribute}"
    try:
        return LaunchSettings.from_json(content)
    except (UsageError, TypeError, ValueError, AttributeError, LookupError) as problem:
        raise UsageError(
            f"study {study.name}: expected its attribute {SETTINGS_ATTRIBUTE} to say how its "
            f"trials ran, found {shortened(found)} ({shortened(str(problem))}); repeat the study's "
            "command once, which records it"
        ) from None
