"""One trial in the foreground: this process becomes the pinned worker that runs it, alone.

`--debug` runs a first trial in this terminal; `replay` runs a recorded one again and compares the
score. Neither writes a journal.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.errors import UsageError
from journal_launcher.base.messages import ForegroundTask
from journal_launcher.base.paths import StudiesFolder, typed
from journal_launcher.devices.choose import (
    CPU,
    Device,
    choose_devices,
    model_of,
    pin_environment,
)
from journal_launcher.devices.cpus import available_cores
from journal_launcher.launcher.engines.local import WORKER_PROGRAM
from journal_launcher.launcher.plan import devices_for, plan_workers
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings

if TYPE_CHECKING:  # the worker imports Optuna; --debug need not wait for it twice
    from optuna.trial import FrozenTrial

    from journal_launcher.study.study import StudyHandle

__all__ = ["debug_in_foreground", "replay_in_foreground"]


def debug_in_foreground(settings: LaunchSettings) -> NoReturn:
    """Replace this process by a pinned worker in debug mode; nothing reaches a journal."""
    check_inputs(settings)
    choice = devices_for(settings, os.environ)
    spec = plan_workers(settings, choice, available_cores(), os.environ)[0]
    for note in choice.notes:
        print(note, file=sys.stderr)
    device = spec.device
    task = ForegroundTask(settings.to_json(), device.label, device.uuid, spec.threads)
    _become_worker("--debug", task, spec.environment)


def replay_in_foreground(
    studies_dir: Path | str, name: str, number: int, arguments: tuple[str, ...] = ()
) -> NoReturn:
    """Replace this process by a worker on the trial's kind of device; no journal is written.

    Raises:
        UsageError: no such study or trial, or nothing to compare with.
    """
    from journal_launcher.study.reading import had_arguments, open_study, recorded_settings

    paths = StudiesFolder.at(studies_dir).study(name)
    study = open_study(paths)
    trial = _recorded(study, number)
    settings = recorded_settings(study, paths.folder)
    placed = TrialAttributes.from_json(trial.user_attrs).placed
    uuid = placed.device_uuid
    threads = placed.threads
    if not arguments and had_arguments(study):
        again = f"{typed()} replay {name} {number} --studies-dir {shlex.quote(str(studies_dir))}"
        told = "the objective had arguments, which no file keeps"
        print(f"{told}; to give them again: {again} -- ARGUMENTS", file=sys.stderr)
    had = placed.device or "a GPU that it did not name"
    device = _device(uuid, had)
    task = ForegroundTask(
        settings={**settings.to_json(), "arguments": arguments},
        device=device.label,
        device_uuid=device.uuid,
        threads=threads or available_cores(),
        folder=str(paths.folder),
        study=study.name,
        number=number,
        exact=uuid is None and device.uuid is None and threads is not None,
        unlike="" if device.uuid == uuid or model_of(device.label) == model_of(had) else had,
    )
    environment = pin_environment(device, threads or available_cores(), os.environ)
    _become_worker("--replay", task, environment)


def _become_worker(mode: str, task: ForegroundTask, environment: Mapping[str, str]) -> NoReturn:
    command = [sys.executable, "-P", str(WORKER_PROGRAM), mode, json.dumps(vars(task))]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, dict(environment))


def _recorded(study: "StudyHandle", number: int) -> "FrozenTrial":
    trials = study.trials()
    if not 0 <= number < len(trials):
        known = f"its trials are 0 to {len(trials) - 1}" if trials else "it has no trial yet"
        raise UsageError(f"study {study.name} has no trial {number}; {known}")
    trial = trials[number]
    state = trials[number].state.name
    if state != "COMPLETE":
        raise UsageError(f"trial {number} is {state}; only a COMPLETE one has a score to compare")
    return trial


def _device(uuid: str | None, label: str) -> Device:
    """Where the trial ran; else a GPU of the same model, else any other, else the CPU."""
    if uuid is None:
        return CPU
    gpus = uuid.count(",") + 1
    try:
        found = choose_devices(uuid, os.environ, together=gpus)
    except UsageError:
        found = choose_devices("auto", os.environ, together=gpus)
    alike = [device for device in found.devices if model_of(device.label) == model_of(label)]
    return [*alike, *found.devices, CPU][0]
