"""Keep an old study whole, out of the way of the one that takes its name."""

from pathlib import Path

from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.times import utc

__all__ = ["move_aside"]


def move_aside(paths: StudyPaths) -> Path:
    """Move a study, or a comparison's model, to NAME.<UTC time>/; the lease and the logs stay."""
    time_of_day = utc(precision="milliseconds").replace(":", "")
    aside = paths.directory.with_name(f"{paths.name}.{time_of_day}")
    aside.mkdir()
    for path in sorted(paths.directory.iterdir()):
        if path not in (paths.lease, paths.workers):
            path.rename(aside / path.name)
    torn = Path(f"{paths.journal}.torn")
    for path in (torn, paths.journal):
        if path.exists():
            path.rename(aside / path.name)
    return aside
