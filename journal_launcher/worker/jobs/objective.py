"""The user's own objective as a job."""

from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import is_full_disk, limit_met
from journal_launcher.base.messages import Preparation
from journal_launcher.base.paths import StudyPaths
from journal_launcher.settings.inputs import objective_name
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.attributes import ARGUMENTS, arguments_mark
from journal_launcher.worker import trial_folders
from journal_launcher.worker.cuda_errors import words
from journal_launcher.worker.jobs.base import Job, Progress, SaveFailedError
from journal_launcher.worker.user_code import Reporter, UserObjective, load_objective
from journal_launcher.worker.user_errors import importing, missing_module

__all__ = ["ObjectiveJob"]

_NAMED = 10  # trials that a message names


class ObjectiveJob(Job):
    """The user's own objective: nothing is added to it but the protocol.

    given: a descriptor of what has no file, see `worker/given_code.py`.
    """

    def __init__(
        self, settings: LaunchSettings, paths: StudyPaths, given: int | None = None
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._given = given
        self._loaded: UserObjective | None = None

    def _load(self) -> UserObjective:
        if self._loaded is None:
            settings = self._settings
            assert settings.objective is not None
            given = None
            if self._given is not None:
                from journal_launcher.worker.given_code import unpacked

                given = unpacked(self._given)
            with importing(f"--objective: {settings.objective}"):
                self._loaded = load_objective(settings.objective, settings.arguments, given)
        return self._loaded

    def prepare(self, seed: int, begun: Identity | None = None) -> Preparation:
        objective = self._load()
        identity = Identity(
            schema_version=1,
            kind="objective",
            objective=objective_name(self._settings.objective or "", self._paths.folder),
            directions=list(self._settings.direction or ("minimize",)),
            seed=seed,
        )
        hashed = f"objective {objective.hashed}"
        mark = arguments_mark(self._settings.arguments)
        return Preparation(identity, noted={hashed: objective.source_sha256, ARGUMENTS: mark})

    def warm_up(self) -> None:
        self._load()

    def open(self, prepared: Preparation, seed: int, progress: Progress) -> None:
        self._progress = progress
        self._load()

    def __call__(self, trial: optuna.Trial) -> Any:
        vars(trial)["report"] = Reporter(trial, self._progress)
        with trial_folders.given(self._paths, trial):
            return self._load().function(trial)

    def recorded(self, study: optuna.Study) -> None:
        trial_folders.remove_losers(self._paths, study)

    def refit(self, study: optuna.Study, best: FrozenTrial | None, staging: Path) -> Sidecar:
        save_best = self._load().save_best
        several = len(study.directions) > 1
        if save_best is not None:
            directory = staging / "best_model"
            directory.mkdir()
            if several:
                trial_folders.stage(self._paths, study, staging, copied=True)
            try:
                with trial_folders.given_to_save_best(self._paths, study):
                    save_best(study, directory)
            except (Exception, SystemExit) as error:
                if is_full_disk(error):
                    raise
                raise SaveFailedError(self._unsaved(study, error)) from error
        if not (several and save_best is not None):
            # Afterwards: a file that `save_best` writes anew must not be the trial's own.
            trial_folders.stage(self._paths, study, staging)
        return Sidecar.from_json({"kind": "objective", "objective": self._settings.objective})

    def _unsaved(self, study: optuna.Study, error: BaseException) -> str:
        """What was not saved, and what to do about it."""
        why = limit_met(error) or missing_module(error)
        why = why or f"{type(error).__name__}: {words(error)}".removesuffix(": ")
        imported = trial_folders.lacking(self._paths, study)
        why = why if imported is None else f"{why}; {imported}"
        numbers = [str(trial.number) for trial in trial_folders.winners(study)]
        more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
        which = f"trial{'s' * (len(numbers) > 1)} {', '.join(numbers[:_NAMED])}{more}"
        return (
            f"save_best raised for {which}: {why}; every trial is kept: mend that and "
            f"{self._settings.again}, which repeats the save alone"
        )
