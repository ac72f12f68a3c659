"""Keep an old study whole, out of the way of the one that takes its name."""

import contextlib
import os
from pathlib import Path

from journal_launcher.base.errors import UsageError, is_full_disk
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.times import utc

__all__ = ["move_aside"]


def move_aside(paths: StudyPaths, data: str = "") -> Path:
    """Move a study, or a comparison's model, to NAME.<UTC time>/; the lease and the logs stay.

    data: of the launch; a file of that path stays too, since the new study reads it.

    Raises:
        UsageError: something cannot be moved; everything is where it was.
    """
    time_of_day = utc(precision="milliseconds").replace(":", "")
    aside = paths.directory.with_name(f"{paths.name}.{time_of_day}")
    there = [*sorted(paths.directory.iterdir()), Path(f"{paths.journal}.torn"), paths.journal]
    moved: list[Path] = []
    aside.mkdir()
    try:
        for path in there:
            if path not in (paths.lease, paths.workers, Path(data)) and os.path.lexists(path):
                path.rename(aside / path.name)
                moved.append(path)
    except OSError as error:
        for path in moved:
            (aside / path.name).rename(path)
        with contextlib.suppress(OSError):
            aside.rmdir()
        if is_full_disk(error):
            raise
        raise UsageError(
            f"--overwrite: expected to move {error.filename} to {aside}, found: {error.strerror} "
            "(is a file system mounted there?); the old study is where it was: unmount that, or "
            "choose another --study-name"
        ) from None
    return aside
