"""What a launch leaves behind, and says, when its input is bad or the disk is full."""

import contextlib
from collections.abc import Callable, Iterator

from journal_launcher.base.errors import ResumableStop, UsageError, is_full_disk
from journal_launcher.base.paths import StudyPaths
from journal_launcher.study.lease import holder_of

__all__ = ["full_disk_is_resumable", "nothing_left_of_bad_input"]


@contextlib.contextmanager
def nothing_left_of_bad_input(paths: StudyPaths) -> Iterator[None]:
    """Remove the study's new folder if the launch failed before there was a journal."""
    folder = paths.folder.exists()
    existed = paths.directory.exists()
    try:
        yield
    except UsageError:
        free = holder_of(paths.lease) is None  # who waited for it may have it by now
        if free and not existed and not paths.journal.exists():
            for file in (*paths.workers.glob("*.log"), paths.lease):
                file.unlink(missing_ok=True)
            made = (paths.workers, paths.directory, *(() if folder else (paths.folder,)))
            for empty in made:
                with contextlib.suppress(OSError):  # something else is in it by now
                    empty.rmdir()
        raise


@contextlib.contextmanager
def full_disk_is_resumable(again: Callable[[], str]) -> Iterator[None]:
    """The parent's own small files meet a full disk like the journal does: exit 75."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise ResumableStop.of_full_disk(error, again()) from None
