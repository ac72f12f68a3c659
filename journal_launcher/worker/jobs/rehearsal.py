"""What a comparison does before its first trial: every model type is tried on the table.

One process tries them all, so that a type which cannot run is known in seconds, and not after the
trials of the others. Nothing of it is kept but the parsed table, which the launches find again.
"""

import traceback
from typing import Any

from journal_launcher.base.artifacts.identity import IDENTITY_ATTRIBUTE, Identity
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import JournalLauncherError, UsageError
from journal_launcher.base.messages import Preparation
from journal_launcher.base.paths import StudyPaths
from journal_launcher.settings.comparison import parts_of
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle
from journal_launcher.worker.jobs.base import Job, Progress
from journal_launcher.worker.jobs.table import TableJob

__all__ = ["Rehearsal"]


class Rehearsal(Job):
    """No trials: what it prepares is {model type: what is wrong with it}, of those that fail."""

    def __init__(self, settings: LaunchSettings, paths: StudyPaths, gpu: bool, threads: int):
        self._parts = parts_of(settings)
        self._paths = paths
        self._gpu = gpu
        self._threads = threads

    def prepare(self, seed: int, begun: Identity | None = None) -> Preparation:
        """Raises what the first two types raise alike: it is the table's fault, or the user's."""
        problems: dict[str, str] = {}
        cuts: dict[str, Any] = {}
        for name in self._parts:
            try:
                cuts[name] = self._rehearse(name, seed, cuts)
            except Exception as error:
                traceback.print_exc()  # into the log
                ours = isinstance(error, JournalLauncherError)
                problem = str(error) if ours else f"{type(error).__name__}: {error}"
                if ours and not cuts and problem in problems.values():
                    raise
                problems[name] = problem.partition("\n")[0]
        return Preparation(Identity(), content=problems)

    def _rehearse(self, name: str, seed: int, cuts: dict[str, Any]) -> Any:
        """Try one type and return what it learns from: it must be the same as of those before."""
        settings = self._parts[name]
        gpu = self._gpu and MODEL_TYPES[name].uses_gpu
        job = TableJob(settings, StudyPaths(self._paths.folder, settings.name), gpu, self._threads)
        study = None if settings.overwrite else self._study(settings)
        if settings.seed is None and study is not None:
            seed = study.seed
        prepared = job.prepare(seed, None if study is None else study.identity)
        if study is not None and study.attribute(IDENTITY_ATTRIBUTE) is not None:
            study.check_identity(prepared.identity.to_json(), prepared.content["data"])
        cut = prepared.identity.seed, prepared.identity.split
        reading = prepared.identity.reading
        for other, (their_cut, their_reading) in cuts.items():
            if their_cut != cut:
                raise UsageError(
                    f"study {settings.name} has another seed or rule to divide the rows than "
                    f"{self._parts[other].name}, and so other folds; begin them anew with "
                    "--overwrite"
                )
            if their_reading != reading:  # one of them began when text was left out
                raise UsageError(
                    f"study {settings.name} has other features than {self._parts[other].name}; "
                    "begin them anew with --overwrite"
                )
        job.warm_up()
        if study is None:  # what has begun has shown it already
            job.rehearse(prepared, seed)
        return cut, reading

    def _study(self, settings: LaunchSettings) -> StudyHandle | None:
        journal = StudyPaths(self._paths.folder, settings.name).journal
        if not journal.exists():
            return None
        storage = open_storage(journal, read_only=True, allow_network_fs=True)
        return StudyHandle.find(storage, settings.name)

    def open(self, prepared: Preparation, seed: int, progress: Progress) -> None:
        raise NotImplementedError("nothing follows a rehearsal")

    def __call__(self, trial: Any) -> Any:
        raise NotImplementedError("a rehearsal has no trials")

    def refit(self, study: Any, best: Any, staging: Any) -> Sidecar:
        raise NotImplementedError("a rehearsal has no model")
