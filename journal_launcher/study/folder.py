"""Whose is the folder NAME/? What no launch made is neither removed nor replaced in it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import AGAIN, JournalLauncherError, UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths, cached, is_frame_name
from journal_launcher.base.plain_files import found_at, parse_object, read_object, read_plain
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["check_folder", "has_strange_entries"]

_WORKER_LOG = re.compile(r"\d+\.log")
_NAMED = 3  # how many strange entries a message names


def check_folder(paths: StudyPaths) -> None:
    """Refuse to write into a folder that is not the study's own, or through a link.

    It is the study's own if it says so, or holds nothing but what a launch that died at once left.
    The studies folder itself may be a link.

    Raises:
        UsageError: names what is in the way.
    """
    try:
        _check_kinds(paths)
        strange = sorted(path.name for path in _strange(paths))
    except OSError as error:
        raise UsageError(
            f"cannot look into {error.filename}: {error.strerror}; choose another --studies-dir"
        ) from None
    if strange and not any(_evidence(paths)):
        more = ", …" if len(strange) > _NAMED else ""
        raise UsageError(
            f"{paths.directory}: expected the folder of study {paths.name}, found what no launch "
            f"of it made ({', '.join(strange[:_NAMED])}{more}); choose another --study-name, or "
            "move that folder away"
        )
    for path in paths.staged()[1]:
        raise _wrong(path, "nothing but a model that is being saved", found_at(path))


def has_strange_entries(paths: StudyPaths) -> bool:
    """Whether NAME/ holds something that a launch which has just begun does not make."""
    return any(True for _ in _strange(paths))


def _check_kinds(paths: StudyPaths) -> None:
    """What we write to is a file or a folder of its own: no link, and no FIFO to wait for."""
    studies = StudiesFolder(paths.folder)
    folders = (
        *(paths.directory, paths.workers, paths.trials, paths.staging),
        *(studies.cache, *cached(studies.cache)),
    )
    for folder in folders:
        if (found := found_at(folder)) not in (None, "a folder"):
            raise _wrong(folder, "a folder", found)
    logs = paths.workers.glob("*.log")
    beside = (f"{paths.journal}.torn", f"{paths.journal}.flock", f"{studies.skip_registry}.flock")
    files = (
        *(paths.lease, paths.launch_record, paths.sidecar, paths.diagnostics, paths.decisions),
        *(studies.skip_registry, *map(Path, beside), *logs),
    )
    for file in files:
        if (found := found_at(file)) not in (None, "a file"):
            raise _wrong(file, "a plain file", found)


def _wrong(path: Path, expected: str, found: str | None) -> UsageError:
    return UsageError(f"{path}: expected {expected}, found {found}; move it away and {AGAIN}")


def _strange(paths: StudyPaths) -> Iterator[Path]:
    """What a launch that ended before there was a study does not leave."""
    for path in paths.directory.iterdir() if paths.directory.exists() else ():
        if path == paths.workers:
            yield from (p for p in path.iterdir() if not _WORKER_LOG.fullmatch(p.name))
        elif path != paths.lease and not is_frame_name(path.name):
            yield path


def _evidence(paths: StudyPaths) -> Iterator[bool]:
    """Whether the folder is the study's, by all that may say so; the cheap ones first.

    Any of them may be gone: a deleted journal, for one, begins anew in the same folder.
    """
    yield read_object(paths.lease).get("study") == paths.name  # not of earlier versions
    record = read_object(paths.launch_record)
    yield record.get("study", _name_by(record.get("settings"))) == paths.name
    sidecar = Sidecar.from_json(read_object(paths.sidecar))
    yield paths.name in (sidecar.best.study, sidecar.won[0])
    with suppress(OSError, UsageError):
        decisions = map(parse_object, read_plain(paths.decisions).splitlines())
        yield any(decision.get("study") == paths.name for decision in decisions)


def _name_by(settings: Any) -> str | None:
    """The study's name by the settings in the launch.json of an earlier version."""
    if not isinstance(settings, dict):
        return None
    known = {field.name for field in fields(LaunchSettings)}
    given = {key: value for key, value in settings.items() if key in known}
    with suppress(JournalLauncherError, TypeError, ValueError, AttributeError):
        return LaunchSettings.from_json({**LaunchSettings().to_json(), **given}).earlier_name
    return given.get("study_name")
