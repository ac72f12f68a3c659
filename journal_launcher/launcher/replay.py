"""`replay`: become one worker that runs one recorded trial again, alone, and compares the score."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import NoReturn

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths, typed, unknown_study
from journal_launcher.devices.choose import CPU, Device, choose_devices, pin_environment
from journal_launcher.devices.cpus import available_cores
from journal_launcher.launcher.engines.local import WORKER_PROGRAM
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.attributes import ARGUMENTS, arguments_mark, changed_notes, text, whole
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import NOTED_ATTRIBUTE, SETTINGS_ATTRIBUTE, StudyRecord, shortened

__all__ = ["replay_in_foreground"]


def replay_in_foreground(
    studies_dir: Path | str, study: str, number: int, arguments: tuple[str, ...] = ()
) -> NoReturn:
    """Replace this process by a worker on the trial's kind of device; no journal is written.

    Raises:
        UsageError: no such study or trial, or nothing to compare with.
    """
    paths = StudiesFolder.at(studies_dir).study(study)
    record = _open(paths)
    trial = _recorded(record, number)
    settings = _settings(record, paths.folder)
    uuid = text(trial.user_attrs.get("jl_device_uuid"))
    threads = whole(trial.user_attrs.get("jl_threads"), 1, 4096)
    noted = record.attribute(NOTED_ATTRIBUTE)
    if not arguments and changed_notes(noted, {ARGUMENTS: arguments_mark(())}):
        again = f"{typed()} replay {study} {number} --studies-dir {shlex.quote(str(studies_dir))}"
        told = "the objective had arguments, which no file keeps"
        print(f"{told}; to give them again: {again} -- ARGUMENTS", file=sys.stderr)
    device = _device(uuid)
    task = {
        "settings": {**settings.to_json(), "arguments": arguments},
        "folder": str(paths.folder),
        "study": record.name,
        "number": number,
        "device": device.label,
        "device_uuid": device.uuid,
        "threads": threads or available_cores(),
        "exact": uuid is None and device.uuid is None and threads is not None,
    }
    command = [sys.executable, "-P", str(WORKER_PROGRAM), "--replay", json.dumps(task)]
    sys.stdout.flush()
    sys.stderr.flush()
    environment = pin_environment(device, threads or available_cores(), os.environ)
    os.execve(sys.executable, command, environment)


def _open(paths: StudyPaths) -> StudyRecord:
    found = None
    if paths.journal.exists():
        storage = open_storage(paths.journal, read_only=True, allow_network_fs=True)
        found = StudyRecord.find(storage, paths.name)
    if found is None:
        raise unknown_study(paths)
    return found


def _recorded(record: StudyRecord, number: int) -> FrozenTrial:
    trials = record.trials()
    if not 0 <= number < len(trials):
        known = f"its trials are 0 to {len(trials) - 1}" if trials else "it has no trial yet"
        raise UsageError(f"study {record.name} has no trial {number}; {known}")
    trial = trials[number]
    if trial.state != TrialState.COMPLETE:
        state = trial.state.name
        raise UsageError(f"trial {number} is {state}; only a COMPLETE one has a score to compare")
    return trial


def _settings(record: StudyRecord, folder: Path) -> LaunchSettings:
    """Of the last launch; an objective's file is where it lies seen from the studies."""
    found, identity = record.settings, record.identity
    if identity is None or not found:
        raise UsageError(
            f"study {record.name} does not say how its trials ran; repeat its command once, which "
            "records it and trains nothing that is finished"
        )
    content = LaunchSettings().to_json()
    content |= {key: found[key] for key in found if key in content}
    if isinstance(identity.get("objective"), str):
        source, _, attribute = identity["objective"].rpartition(":")
        if source.endswith(".py") or "/" in source:
            source = os.path.normpath(folder / source)
        content["objective"] = f"{source}:{attribute}"
    try:
        return LaunchSettings.from_json(content)
    except (UsageError, TypeError, ValueError, AttributeError, LookupError) as problem:
        raise UsageError(
            f"study {record.name}: expected its attribute {SETTINGS_ATTRIBUTE} to say how its "
            f"trials ran, found {shortened(found)} ({shortened(str(problem))}); repeat the study's "
            "command once, which records it"
        ) from None


def _device(uuid: str | None) -> Device:
    """Where the trial ran; another GPU, or the CPU, where that one is not."""
    if uuid is None:
        return CPU
    try:
        found = choose_devices(uuid, os.environ)
    except UsageError:
        found = choose_devices("auto", os.environ)
    return found.devices[0] if found.devices else CPU
