"""One trial in the foreground: stdin, stdout and the terminal are the user's, so pdb works."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import optuna

from journal_launcher.base.errors import ExitCode, JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.settings import LaunchSettings
from journal_launcher.worker.device_check import verify_device
from journal_launcher.worker.jobs import make_job
from journal_launcher.worker.sampling import make_pruner, make_sampler

__all__ = ["debug"]


def debug(task: dict[str, Any]) -> int:
    """Prepare and run trial 0 in memory. An exception of the objective passes through whole."""
    settings = LaunchSettings.from_json(task["settings"])
    seed = settings.seed or 0
    try:
        verify_device(task["device_uuid"])
        with tempfile.TemporaryDirectory(prefix="journal_launcher-") as folder:
            return _run(settings, seed, task, StudyPaths(Path(folder), settings.name))
    except JournalLauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)


def _run(settings: LaunchSettings, seed: int, task: dict[str, Any], paths: StudyPaths) -> int:
    job = make_job(settings, paths, task["device_uuid"] is not None, task["threads"])
    prepared = job.prepare(seed)
    job.warm_up()
    job.open(prepared, seed, lambda unit, step, total, value: None)
    study = optuna.create_study(
        study_name=settings.name,
        directions=prepared["identity"]["directions"],
        sampler=make_sampler(settings.sampler, seed, 0),
        pruner=make_pruner(settings.pruner),
    )
    defaults = job.defaults()
    if defaults is not None:
        study.enqueue_trial(defaults)
    trial = study.ask()
    print(f"debug: one trial on {task['device']}, nothing is kept", file=sys.stderr)
    try:
        value = job(trial)
    except optuna.TrialPruned:
        value = "pruned"
    print(f"params: {trial.params}\nvalue: {value}")
    return ExitCode.DONE
