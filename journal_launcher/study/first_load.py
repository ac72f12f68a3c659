"""The first load of a journal, several times as fast as Optuna's own and with the same result.

Optuna replaces a trial by a copy with each record, because readers may hold the one before. While
a journal is opened nobody has seen a trial, so the five operations that make up nearly all of a
journal change it in place. Everything else is left to Optuna: other operations, trials that are
missing or finished, the first use of a distribution, and whatever does not make sense.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.study.optuna_private import JournalOperation, Loading

__all__ = ["load_in_place"]

_FINISHED = {int(state): state for state in TrialState if state.is_finished()}


def load_in_place(loading: Loading, records: Iterable[dict[str, Any]]) -> None:
    """Apply the first `records` of a journal; raises what Optuna raises."""
    loading.run(records, _InPlace(loading).apply)


class _InPlace:
    """Changes trials that nobody holds; each method returns whether it did what Optuna would do."""

    def __init__(self, loading: Loading) -> None:
        self._loading = loading
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
            trial = self._loading.trials[record["trial_id"]]
            unfinished = trial.state is TrialState.RUNNING or trial.state is TrialState.WAITING
            return unfinished and operation(trial, record)
        except Exception:  # nothing has changed yet: Optuna raises its own
            return False

    def _set_param(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        """Optuna compares a distribution with the first one that the study has of that name.

        Compatible ones are interchangeable for that, so what it accepted once it always accepts.
        """
        name = record["param_name"]
        text = record["distribution"]
        trial_id = record["trial_id"]
        key = (self._loading.studies[trial_id], name, text)
        distribution = self._accepted.get(key)
        if distribution is None:
            self._loading.set_param(record)
            replaced = self._loading.trials[trial_id]
            if replaced is not trial:
                self._accepted[key] = replaced.distributions[name]
            return True
        trial.params[name] = distribution.to_external_repr(record["param_value_internal"])
        trial.distributions[name] = distribution
        return True

    def _finish(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        state = _FINISHED.get(record["state"])
        values = record["values"]
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
        return _set_attr(trial.user_attrs, record["user_attr"])

    def _set_system_attr(self, trial: FrozenTrial, record: dict[str, Any]) -> bool:
        return _set_attr(trial.system_attrs, record["system_attr"])


def _set_attr(attributes: dict[str, Any], added: dict[str, Any]) -> bool:
    if type(added) is not dict or len(added) != 1:
        return False
    attributes.update(added)
    return True
