"""The journals of a folder as one storage for optuna-dashboard, with the attributes people read."""

import threading
from collections.abc import Callable, Container, Iterable
from typing import Any, NoReturn

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.trial_attributes import without_ours
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.study.confirmation import best_trial
from journal_launcher.study.journal.storage import StudyStorage, open_storage
from journal_launcher.study.optuna_private import FrozenStudy, renumbered, study_id
from journal_launcher.study.study import BEST_ATTRIBUTE, StudyHandle

__all__ = ["ShownStudies"]

_OURS = "journal_launcher"
_READ = {
    "jl_device": "device",
    "jl_duration_s": "seconds",
    "jl_fold_scores": "fold scores",
    "jl_metrics": "metrics",
    "jl_fail_reason": "why it failed",
}
"""What is shown of a trial's attributes that are ours, and how it is called."""


def _refused(*_: Any, **__: Any) -> NoReturn:
    raise PermissionError("these studies are only looked at")


class ShownStudies(BaseStorage):
    """Every study of every journal, each under an id of its own as long as this lives.

    names: of the journals, asked at every look: a study that begins meanwhile is shown. say: told
    once of a journal that cannot be read, which is left out. The best trial is the one that a
    launch saves, which need not be the one with the best value.
    """

    def __init__(
        self,
        studies: StudiesFolder,
        names: Callable[[], Iterable[str]],
        say: Callable[[str], None],
    ) -> None:
        self._folder = studies
        self._names = names
        self._say = say
        self._storages: dict[str, StudyStorage] = {}
        self._places: list[tuple[str, int]] = []  # by our id: the journal, and its own id there
        self._said: set[str] = set()
        self._lock = threading.RLock()

    def get_all_studies(self) -> list[FrozenStudy]:
        with self._lock:
            return [study for name in self._names() for study in self._of(name)]

    def _of(self, name: str) -> Iterable[FrozenStudy]:
        try:
            found = self._opened(name).get_all_studies()
        except JournalLauncherError as problem:
            self._storages.pop(name, None)
            if name not in self._said:
                self._said.add(name)
                self._say(str(problem))
            return
        for study in found:
            place = (name, study_id(study))
            if place not in self._places:
                self._places.append(place)
            attributes = _of_study(study.user_attrs)
            yield renumbered(study, self._places.index(place), attributes)

    def _opened(self, name: str) -> StudyStorage:
        if name not in self._storages:
            journal = self._folder.study(name).journal
            self._storages[name] = open_storage(journal, read_only=True, allow_network_fs=True)
        return self._storages[name]

    def _find(self, study_id: int) -> tuple[StudyStorage, int]:
        with self._lock:
            if not 0 <= study_id < len(self._places):
                raise KeyError(study_id)
            name, inner = self._places[study_id]
            return self._opened(name), inner

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        storage, inner = self._find(study_id)
        return [_shown(trial) for trial in storage.get_all_trials(inner, False, states)]

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        storage, inner = self._find(study_id)
        best = best_trial(StudyHandle(storage, storage.get_study_name_from_id(inner)))
        return super().get_best_trial(study_id) if best is None else _shown(best)

    def get_study_id_from_name(self, study_name: str) -> int:
        found = (s for s in self.get_all_studies() if s.study_name == study_name)
        study = next(found, None)
        if study is None:
            raise KeyError(study_name)
        return study_id(study)

    def get_study_name_from_id(self, study_id: int) -> str:
        storage, inner = self._find(study_id)
        return storage.get_study_name_from_id(inner)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        storage, inner = self._find(study_id)
        return storage.get_study_directions(inner)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        storage, inner = self._find(study_id)
        return _of_study(storage.get_study_user_attrs(inner))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        storage, inner = self._find(study_id)
        return storage.get_study_system_attrs(inner)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        raise KeyError(trial_id)  # ids of trials are those of their journals: several have one

    create_new_study = delete_study = _refused
    set_study_user_attr = set_study_system_attr = _refused
    create_new_trial = set_trial_param = set_trial_state_values = _refused
    set_trial_intermediate_value = set_trial_user_attr = set_trial_system_attr = _refused


def _of_study(attributes: dict[str, Any]) -> dict[str, Any]:
    """Those of the user, and which trial was saved."""
    theirs = {name: value for name, value in attributes.items() if not name.startswith(_OURS)}
    saved = attributes.get(BEST_ATTRIBUTE)
    return theirs if saved is None else {"saved as the best: trial": saved} | theirs


def _shown(trial: FrozenTrial) -> FrozenTrial:
    said = trial.user_attrs
    ours = {shown: said[name] for name, shown in _READ.items() if said.get(name) is not None}
    return renumbered(trial, None, without_ours(said) | ours)
