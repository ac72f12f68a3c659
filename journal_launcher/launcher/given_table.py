"""A table that Python gives to a launch is a file in the study's folder: workers are processes."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from journal_launcher.base.errors import AGAIN, ResumableStop, UsageError, is_full_disk
from journal_launcher.base.files import write_bytes
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.launcher.trouble import nothing_left_of_bad_input
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.folder import check_folder
from journal_launcher.study.lease import holder_of

__all__ = ["kept_table"]


@contextlib.contextmanager
def kept_table(settings: LaunchSettings, content: bytes) -> Iterator[LaunchSettings]:
    """The settings with the table's file as their data. It stays, as the data of the study.

    The name follows from the content: the same table finds its file, and another one, which the
    study refuses, replaces nothing.

    Raises:
        UsageError: it cannot be written, or the folder is not the study's own.
        ResumableStop: the disk is full.
    """
    paths = StudiesFolder.at(settings.studies_dir).study(settings.name)
    check_folder(paths)
    with nothing_left_of_bad_input(paths):
        file = paths.frame(hashlib.sha256(content).hexdigest())
        new = _write(file, content)
        try:
            yield replace(settings, study_name=paths.name, data=str(file))
        except UsageError:
            if new and holder_of(paths.lease) is None:
                file.unlink(missing_ok=True)
            raise


def _write(file: Path, content: bytes) -> bool:
    """Whether it was not there yet; what somebody changed in one that was is put right."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = not file.exists()
        if new or file.read_bytes() != content:
            write_bytes(file, content)
    except OSError as error:
        if is_full_disk(error):
            raise ResumableStop.of_full_disk(error, AGAIN) from None
        raise UsageError(
            f"cannot write to {file.parent}: {error.strerror}; choose another --studies-dir"
        ) from None
    return new
