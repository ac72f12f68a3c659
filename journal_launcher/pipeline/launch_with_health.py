"""A launch with what goes around it: the skip registry before, a verdict on the model after."""

import shlex
from collections.abc import Callable
from functools import partial

from journal_launcher.base import events
from journal_launcher.base.errors import ExitCode, UsageError
from journal_launcher.base.paths import StudiesFolder, typed
from journal_launcher.base.verdict import Verdict
from journal_launcher.health.assessment import assess_health
from journal_launcher.health.skip_registry import SkipRegistry, Subject
from journal_launcher.launcher import launch
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.limits import Limits

__all__ = ["RunLaunch", "WrappedLaunch", "launch_with_health", "not_begun"]

RunLaunch = Callable[..., events.LaunchEnded]
"""(settings, emit, and more by name): `run_launch`, or what stands in for it."""
WrappedLaunch = Callable[[LaunchSettings, events.Listener, RunLaunch | None], events.LaunchEnded]
"""A `RunLaunch` with what goes around it: `launch_with_health`, `watched_launch`."""


def launch_with_health(
    settings: LaunchSettings,
    emit: events.Listener = lambda event: None,
    run: RunLaunch | None = None,
    limit: float | None = None,
) -> events.LaunchEnded:
    """Run one launch, unless its model type is skipped, and judge the model that it published.

    The registry is read before a study is opened; the verdict is part of the end. What the user's
    own code trains is launched and nothing else. limit: seconds, see `run_launch`.

    Raises:
        JournalLauncherError: as `run_launch`, or the skip registry cannot be read.
    """
    run = run or launch.run_launch
    if limit is not None:
        run = partial(run, limit=limit)
    if not settings.job_kind.has_health:
        return run(settings, emit)
    limits = Limits.of(settings.health, settings.skip)
    studies = StudiesFolder.at(settings.studies_dir)
    paths = studies.study(settings.name)
    subject = Subject.of(settings)
    registry = SkipRegistry(studies.skip_registry, limits.skip)
    if not settings.ignore_skip and (entry := registry.skipped(subject)):
        clear = f"{typed()} skip clear --studies-dir {shlex.quote(str(studies.root))}"
        why = f"{entry}; nothing was started: --ignore-skip runs it, `{clear}` forgets it"
        return not_begun(settings, "skipped", ExitCode.DONE, why)

    def assess() -> Verdict:
        verdict = assess_health(paths, limits.health)
        _count(registry, subject, verdict, emit)
        return verdict

    return run(settings, emit, on_published=assess)


def _count(
    registry: SkipRegistry, subject: Subject, verdict: Verdict, emit: events.Listener
) -> None:
    """A published model is never lost over the registry: what is wrong with it is a warning."""
    try:
        entry = registry.record(subject, verdict)
    except (UsageError, OSError) as problem:
        emit(events.Note(f"this result was not counted: {problem}", "warning"))
        return
    if entry is not None and entry.skip_until is not None:
        emit(events.Note(str(entry), "warning"))


def not_begun(
    settings: LaunchSettings, exit_reason: str, exit_code: int, message: str
) -> events.LaunchEnded:
    """The end of a launch that opened no study."""
    paths = StudiesFolder.at(settings.studies_dir).study(settings.name)
    return events.LaunchEnded(
        study=paths.name,
        exit_reason=exit_reason,
        exit_code=exit_code,
        n_trials=settings.n_trials,
        journal=paths.journal,
        message=message,
    )
