"""One trial in the foreground: stdin, stdout and the terminal are the user's, so pdb works."""

import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import optuna

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.errors import ExitCode, JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.visible import visible
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.worker.device_check import verify_device
from journal_launcher.worker.jobs import make_job
from journal_launcher.worker.sampling import Search
from journal_launcher.worker.script import ScriptFailedError
from journal_launcher.worker.trials import WorkerStudy, judge

__all__ = ["debug"]


def debug(task: dict[str, Any]) -> int:
    """Prepare and run trial 0 in memory. An exception of the objective passes through whole."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwind: no orphan
    settings = LaunchSettings.from_json(task["settings"])
    seed = settings.seed or 0
    try:
        verify_device(task["device_uuid"])
        with tempfile.TemporaryDirectory(prefix="journal_launcher-") as folder:
            return _run(settings, seed, task, StudyPaths(Path(folder), settings.name))
    except JournalLauncherError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return int(error.exit_code)


def _run(settings: LaunchSettings, seed: int, task: dict[str, Any], paths: StudyPaths) -> int:
    job = make_job(settings, paths, task["device_uuid"] is not None, task["threads"])
    prepared = job.prepare(seed)
    job.warm_up()
    search = Search(settings)
    job.open(prepared, seed, lambda unit, step, total, value: None)
    said = Identity.from_json(prepared["identity"]).directions or ()
    directions = [optuna.study.StudyDirection[name.upper()] for name in said]
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name=settings.name, directions=directions)
    study = WorkerStudy(settings.name, storage, search.sampler(seed, 0), search.pruner)
    defaults = job.defaults()
    if defaults is not None:
        study.enqueue_trial(defaults)
    trial = study.ask()
    print(f"debug: one trial on {task['device']}, nothing is kept", file=sys.stderr)
    try:
        value = job(trial)
    except optuna.TrialPruned:
        value = "pruned"
    except ScriptFailedError as error:  # its output was just seen
        print(f"params: {trial.params}", file=sys.stderr)
        said = visible(str(error).splitlines()[0].removesuffix(":"))
        print(f"error: {said}", file=sys.stderr)
        return error.exit_code
    print(f"params: {trial.params}\nvalue: {value}")
    judged = None if value == "pruned" else judge(value, len(directions))
    if judged is not None and judged.reason is not None:
        print(f"error: in a launch this trial fails: {visible(judged.reason)}", file=sys.stderr)
        return ExitCode.FAILED
    pruned = optuna.trial.TrialState.PRUNED if value == "pruned" else None
    study.tell(trial, None if pruned else value, state=pruned)
    for callback in search.callbacks:
        callback(study, study.trials[0])
    return ExitCode.DONE
