"""What a worker runs trials of, one file each: a table, the user's own objective, a script."""

from journal_launcher.base.paths import StudyPaths
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.worker.jobs.base import Job

__all__ = ["Job", "make_job"]


def make_job(
    settings: LaunchSettings, paths: StudyPaths, gpu: bool, threads: int, given: int | None = None
) -> Job:
    """given: a descriptor of functions that have no file."""
    if settings.command is not None:
        from journal_launcher.worker.jobs.command import CommandJob

        return CommandJob(settings, paths)
    if settings.objective is not None:
        from journal_launcher.worker.jobs.objective import ObjectiveJob

        return ObjectiveJob(settings, paths, given)
    if settings.compare_models:
        from journal_launcher.worker.jobs.rehearsal import Rehearsal

        return Rehearsal(settings, paths, gpu, threads)
    from journal_launcher.worker.jobs.table import TableJob

    return TableJob(settings, paths, gpu, threads)
