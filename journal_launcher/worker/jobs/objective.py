"""The user's own objective as a job."""

import os
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.messages import Preparation
from journal_launcher.base.paths import StudyPaths
from journal_launcher.settings.inputs import find_reference
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.attributes import ARGUMENTS, arguments_mark
from journal_launcher.worker import trial_folders
from journal_launcher.worker.jobs.base import Job, Progress
from journal_launcher.worker.user_code import Reporter, UserObjective, load_objective

__all__ = ["ObjectiveJob"]


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
            self._loaded = load_objective(settings.objective, settings.arguments, given)
        return self._loaded

    def prepare(self, seed: int, begun: Identity | None = None) -> Preparation:
        objective = self._load()
        identity = Identity(
            schema_version=1,
            kind="objective",
            objective=self._reference(),
            directions=list(self._settings.direction or ("minimize",)),
            seed=seed,
        )
        source = objective.source_sha256
        mark = arguments_mark(self._settings.arguments)
        return Preparation(identity, noted={"objective source": source, ARGUMENTS: mark})

    def _reference(self) -> str:
        """A module's name, or a file's place seen from the studies: both may move together.

        Links are followed on both sides, so that the same file has one name.
        """
        found = find_reference("--objective", self._settings.objective or "")
        source = found.source
        if found.is_file:
            source = os.path.relpath(os.path.realpath(source), os.path.realpath(self._paths.folder))
        return f"{source}:{found.attribute}"

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
        if save_best is not None:
            directory = staging / "best_model"
            directory.mkdir()
            with trial_folders.given_to_save_best(self._paths, study):
                save_best(study, directory)
        # Afterwards: a file that `save_best` writes anew must not be the trial's own.
        trial_folders.stage(self._paths, study, staging)
        return Sidecar.from_json({"kind": "objective", "objective": self._settings.objective})
