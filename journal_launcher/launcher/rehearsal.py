"""Before a comparison's first trial: one worker tries every model type on the table."""

import os
from dataclasses import replace

from journal_launcher.base import events
from journal_launcher.base.messages import Prepared
from journal_launcher.base.paths import StudyPaths
from journal_launcher.devices.cpus import available_cores
from journal_launcher.launcher.launch import Launch
from journal_launcher.launcher.plan import devices_for, plan_workers
from journal_launcher.launcher.signals import SignalInbox
from journal_launcher.settings.comparison import parts_of
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.study.lease import Lease

__all__ = ["rehearse"]


def rehearse(
    settings: LaunchSettings, paths: StudyPaths, lease: Lease, emit: events.Listener
) -> dict[str, str]:
    """What is wrong with the model types of a comparison, by name, of those that cannot run.

    paths, lease: of the comparison.

    Raises:
        JournalLauncherError: what would be wrong with every type, such as the table; or a signal.
    """
    settings = _here(settings)
    parts = list(parts_of(settings).values())
    part = next((one for one in parts if MODEL_TYPES[one.model_type].uses_gpu), parts[0])
    choice = devices_for(part, os.environ)
    specs = plan_workers(part, choice, available_cores(), os.environ)[:1]
    launch = Launch(settings, paths, specs, emit, part_of=None, on_published=None)
    launch.lease = lease
    with SignalInbox() as inbox, launch.workers(inbox, None) as supervisor:
        slot = supervisor.pool.slots[0]
        answer = supervisor.prepare(slot, settings.seed or 0, None)
        if isinstance(answer, Prepared):
            supervisor.dismiss()
            return answer.content.content
        if supervisor.stop is not None:
            raise supervisor.stop.as_error()
    # The launch of the type at fault says the same, and may have more devices and attempts.
    why = slot.unusable or "the worker that tried the model types died"
    emit(events.Note(f"{why}; going on, each type is tried in its turn", "warning"))
    return {}


def _here(settings: LaunchSettings) -> LaunchSettings:
    """Where workers run elsewhere, types are tried on the CPU of this machine, which has the data;
    what the others have, each launch finds out."""
    if settings.elsewhere is None:
        return settings
    return replace(
        settings, hosts=None, engine="local", remote_dir=None, ray_address="auto", gpus="none"
    )
