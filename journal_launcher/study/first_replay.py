"""The first replay of a journal, several times as fast as Optuna's own and with the same result.

Optuna replaces a trial by a copy with each record, because readers may hold the one before. While
a journal is opened nobody has seen a trial, so the five operations that make up nearly all of a
journal change it in place. Everything else is left to Optuna: other operations, trials that are
missing or finished, the first use of a distribution, and whatever does not make sense.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages.journal._storage import JournalOperation, JournalStorageReplayResult
from optuna.trial import FrozenTrial, TrialState

__all__ = ["replay_in_place"]

_FINISHED = {int(state): state for state in TrialState if state.is_finished()}


def replay_in_place(result: JournalStorageReplayResult, records: Iterable[dict[str, Any]]) -> None:
    """Apply `records` to a `result` whose trials nobody holds; raises what Optuna raises."""
    apply = _InPlace(result).apply
    for record in records:
        if apply(record):
            result.log_number_read += 1
        else:
            result.apply_logs([record])


class _InPlace:
    """Changes the trials of a replay; each method returns whether it did what Optuna would do."""

    def __init__(self, result: JournalStorageReplayResult) -> None:
        self._result = result
        self._accepted: dict[tuple[int, str, str], BaseDistribution] = {}
        self._operations = {
            int(JournalOperation.SET_TRIAL_PARAM): self._set_param,
            int(JournalOperation.SET_TRIAL_STATE_VALUES): self._finish,
            int(JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE): self._set_intermediate_value,
            int(JournalOperation.SET_TRIAL_USER_ATTR): self._set_user_attr,
            int(JournalOperation.SET_TRIAL_SYSTEM_ATTR): self._set_system_attr,
        }

    def apply(self, record: dict[str, Any]) -> bool:
        operation = self._operations.get(record["op_code"])
        if operation is None:
            return False
        try:
            trial = self._result._trials[record["trial_id"]]
            unfinished = trial.state is TrialState.RUNNING or trial.state is TrialState.WAITING
            return unfinished and operation(trial, record)
        except Exception:  # nothing has changed yet: Optuna raises its own
            return False

    def _set_param(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        """Optuna compares a distribution with the first one that the study has of that name.

        Compatible ones are interchangeable for that, so what it accepted once it always accepts.
        """
        name, text = record["param_name"], record["distribution"]
        key = (self._result._trial_id_to_study_id[trial._trial_id], name, text)
        distribution = self._accepted.get(key)
        if distribution is None:
            self._result._apply_set_trial_param(record)
            replaced = self._result._trials[trial._trial_id]
            if replaced is not trial:
                self._accepted[key] = replaced.distributions[name]
            return True
        trial._params[name] = distribution.to_external_repr(record["param_value_internal"])
        trial._distributions[name] = distribution
        return True

    def _finish(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        state, values = _FINISHED.get(record["state"]), record["values"]
        if state is None:
            return False
        moment = datetime.fromisoformat(record["datetime_complete"])
        completed = moment.astimezone().replace(tzinfo=None)
        if values is not None:
            trial.values = values
        trial.datetime_complete = completed
        trial.state = state
        return True

    def _set_intermediate_value(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        trial.intermediate_values[record["step"]] = record["intermediate_value"]
        return True

    def _set_user_attr(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        return _set_attr(trial._user_attrs, record["user_attr"])

    def _set_system_attr(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        return _set_attr(trial._system_attrs, record["system_attr"])


def _set_attr(attributes: dict[str, Any], added: dict[str, Any]) -> bool:
    if type(added) is not dict or len(added) != 1:
        return False
    attributes.update(added)
    return True
