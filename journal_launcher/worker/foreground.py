"""One trial in the foreground, in the worker that the parent became.

`debug` runs a first one: stdin, stdout and the terminal are the user's, so pdb works. `replay` runs
a recorded one again, and says whether its score is the same.
"""

import math
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.trial_attributes import without_ours
from journal_launcher.base.errors import ExitCode, JournalLauncherError, UsageError
from journal_launcher.base.messages import ForegroundTask, Preparation
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.visible import one_line, visible
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.attributes import ARGUMENTS, changed_notes
from journal_launcher.study.choices import JournalTrial
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.optuna_private import trial_id
from journal_launcher.study.study import NOTED_ATTRIBUTE, StudyHandle
from journal_launcher.worker.device_check import verify_device
from journal_launcher.worker.jobs import Job, make_job
from journal_launcher.worker.jobs.base import TrialFailedError
from journal_launcher.worker.sampling import Search
from journal_launcher.worker.trials import WorkerStudy, evaluate, outcome_of
from journal_launcher.worker.user_errors import (
    BrokenCodeError,
    missing_module,
    told_of,
    traceback_of,
)

__all__ = ["compare_scores", "debug", "replay"]

TOLERANCE = 0.01  # relative, where the arithmetic itself may differ


def debug(task: ForegroundTask) -> int:
    """Prepare and run trial 0 in memory. An exception of the objective is shown and ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwind: no orphan
    settings = LaunchSettings.from_json(task.settings)
    seed = settings.seed or 0
    try:
        verify_device(task.device_uuid)
        with tempfile.TemporaryDirectory(prefix="journal_launcher-") as folder:
            return _debug(settings, seed, task, StudyPaths(Path(folder), settings.name))
    except JournalLauncherError as error:
        return _refused(error)
    except Exception as error:  # the user's
        missing = missing_module(error)
        said = f"error: {missing}\n" if missing else traceback_of(error)
        print(visible(said), end="", file=sys.stderr)
        return int(ExitCode.FAILED)


def _refused(error: JournalLauncherError, what: str = "") -> int:
    print(visible(f"{told_of(error) or ''}error: {what}{error}"), file=sys.stderr)
    return int(error.exit_code)


def _debug(settings: LaunchSettings, seed: int, task: ForegroundTask, paths: StudyPaths) -> int:
    job = make_job(settings, paths, task.device_uuid is not None, task.threads)
    prepared = job.prepare(seed)
    job.warm_up()
    search = Search(settings)
    job.open(prepared, seed, lambda *_: None)
    said = prepared.identity.directions or ()
    directions = [optuna.study.StudyDirection[name.upper()] for name in said]
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name=settings.name, directions=directions)
    study = WorkerStudy(settings.name, storage, search.sampler(seed, 0, None), search.pruner)
    defaults = job.defaults()
    if defaults is not None:
        study.enqueue_trial(defaults)
    trial = JournalTrial(study, trial_id(study.ask()))  # as in a launch
    for line in (f"debug: one trial on {task.device}, nothing is kept", *prepared.notes):
        print(visible(line), file=sys.stderr)
    try:
        value = job(trial)
    except optuna.TrialPruned:
        value = "pruned"
    except TrialFailedError as error:  # its output was just seen
        print(f"params: {trial.params}", file=sys.stderr)
        said = visible(str(error).splitlines()[0].removesuffix(":"))
        print(f"error: {said}", file=sys.stderr)
        return error.exit_code
    print(f"params: {trial.params}\nvalue: {value}")
    outcome = None if value == "pruned" else outcome_of(value, len(directions))
    if outcome is not None and outcome.reason is not None:
        print(f"error: in a launch this trial fails: {visible(outcome.reason)}", file=sys.stderr)
        return ExitCode.FAILED
    pruned = optuna.trial.TrialState.PRUNED if value == "pruned" else None
    study.tell(trial, None if pruned else value, state=pruned)
    for callback in search.callbacks:
        callback(study, study.trials[0])
    return ExitCode.DONE


# --- a recorded trial, again


def replay(task: ForegroundTask) -> int:
    """0: the same score; 1: another one; 2: nothing can be compared. Writes no journal."""
    try:
        verify_device(task.device_uuid)
        return _replay(task)
    except JournalLauncherError as error:
        broken = isinstance(error, BrokenCodeError)
        return _refused(error, "nothing could be compared: " if broken else "")
    except Exception as error:  # of the prepared data, or a full disk
        missing = missing_module(error)
        problem = missing or f"{type(error).__name__}: {error}"
        whole = "" if missing else traceback_of(error)
        print(visible(f"{whole}error: nothing could be compared: {problem}"), file=sys.stderr)
        return int(ExitCode.USAGE)


def _replay(task: ForegroundTask) -> int:
    settings = LaunchSettings.from_json(task.settings)
    paths = StudyPaths(Path(task.folder), task.study)
    storage = open_storage(paths.journal, read_only=True, allow_network_fs=True)
    study = StudyHandle(storage, paths.name)
    seed = study.seed
    job = make_job(settings, paths, task.device_uuid is not None, task.threads)
    prepared = job.prepare(seed, study.identity)
    _check(study, prepared, settings)
    recorded = study.trial(task.number)
    history = _history(study, recorded)
    with tempfile.TemporaryDirectory(prefix="journal_launcher-") as folder:
        if settings.job_kind.has_folders:  # the folder of this trial may hold the best model
            job = make_job(settings, StudyPaths(Path(folder), study.name), False, task.threads)
        job.warm_up()
        job.open(prepared, seed, lambda *_: None)
        return _compare(task, job, JournalTrial(history, trial_id(history.ask())), recorded)


def _check(study: StudyHandle, prepared: Preparation, settings: LaunchSettings) -> None:
    """Refuse another data set; note another source."""
    recorded = study.identity.to_json() if study.identity else {}
    now = prepared.identity.to_json().items()
    differences = [key for key, value in now if recorded.get(key) != value]
    if differences:
        raise UsageError(
            f"study {study.name}: {', '.join(differences)} changed since its trials ran, so none "
            "of them can be replayed"
        )
    for key in changed_notes(study.attribute(NOTED_ATTRIBUTE), prepared.noted):
        if key != ARGUMENTS or settings.arguments:  # without any, the parent has said it
            print(f"{key} changed since the last launch", file=sys.stderr)


def _history(study: StudyHandle, recorded: FrozenTrial) -> optuna.Study:
    """The study in memory, as it was before the trial, which is queued with its parameters."""
    history = optuna.create_study(
        study_name=study.name,
        directions=[optuna.study.StudyDirection[d.upper()] for d in study.directions],
        sampler=optuna.samplers.RandomSampler(seed=recorded.number),
        pruner=optuna.pruners.NopPruner(),
    )
    unfinished = optuna.create_trial(state=TrialState.FAIL)
    earlier = study.trials()[: recorded.number]
    history.add_trials([trial if trial.state.is_finished() else unfinished for trial in earlier])
    history.enqueue_trial(recorded.params, user_attrs=without_ours(recorded.user_attrs))
    return history


def _compare(
    task: ForegroundTask, job: Job, trial: optuna.Trial, recorded: FrozenTrial
) -> ExitCode:
    threads = f"{task.threads} CPU thread{'s' if task.threads > 1 else ''}"
    print(f"trial {trial.number} of {task.study} again, on {task.device} with {threads}")
    outcome = evaluate(job, trial, len(recorded.values))
    print(f"recorded  {_shown(recorded.values)}")
    if outcome.values is None:
        reason = visible(outcome.reason or "no value")
        print(f"now       {outcome.state.name}: {reason}")
        print(_not_comparable(task.unlike) if task.unlike else "different")
        return ExitCode.USAGE if task.unlike else ExitCode.FAILED
    print(f"now       {_shown(outcome.values)}")
    asked = sorted({*trial.params} ^ {*recorded.params})
    if asked:
        names = one_line(", ".join(asked))
        print(f"the parameters asked for are others now: {names}", file=sys.stderr)
    same, verdict = compare_scores(recorded.values, outcome.values, task.exact, task.unlike)
    print(verdict)
    if same is None:
        return ExitCode.USAGE
    return ExitCode.DONE if same else ExitCode.FAILED


def compare_scores(
    recorded: Sequence[float], now: Sequence[float], exact: bool, unlike: str = ""
) -> tuple[bool | None, str]:
    """(the same?, in words); None: nobody can tell.

    `exact`: nothing but equal bits will do. `unlike`: where it ran, which this device is not like.
    """
    if list(recorded) == list(now):
        return True, "the same, bit by bit"
    if unlike:
        return None, _not_comparable(unlike)
    if exact:
        return False, "different: on a CPU with as many threads every bit should be the same"
    near = all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(recorded, now, strict=True))
    where = f"{TOLERANCE:.0%}, for a GPU or another number of threads"
    return near, f"the same within {where}" if near else f"different by more than {where}"


def _not_comparable(unlike: str) -> str:
    return (
        f"not comparable: it ran on {unlike}; another model of GPU, or a CPU, draws other random "
        "numbers"
    )


def _shown(values: Sequence[float]) -> str:
    return ", ".join(map(repr, values))
