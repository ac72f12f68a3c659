"""The quick first load leaves exactly what stock Optuna's replay leaves, errors included."""

import copy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import TrialState

from journal_launcher.study.first_load import load_in_place
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.optuna_private import Loading

Record = dict[str, Any]
Replay = Callable[[JournalStorageReplayResult, Iterator[Record]], None]

PREFIX = "own-"
OWN = JournalStorageReplayResult(PREFIX).worker_id
WHEN = ("2026-01-01T00:00:00.000000+00:00", "2026-07-01T12:30:00.000001+02:00")
DISTRIBUTIONS: tuple[BaseDistribution, ...] = (
    FloatDistribution(0.0, 1.0),
    FloatDistribution(0.5, 2.0),
    FloatDistribution(0.1, 1.0, log=True),
    CategoricalDistribution([1, float("nan")]),
    CategoricalDistribution([True, None]),
    IntDistribution(0, 3),
)
SOME = [distribution_to_json(distribution) for distribution in DISTRIBUTIONS]

ids = st.integers(0, 3)
names = st.sampled_from(["x", "y"])
numbers = st.floats(-2, 2) | st.just(float("nan")) | st.integers(0, 1)
attributes = st.dictionaries(names, st.none() | numbers | st.lists(numbers), max_size=2)
one_attribute = st.dictionaries(names, numbers | st.lists(numbers), min_size=1, max_size=1)
values = st.none() | st.lists(numbers, min_size=1, max_size=2)
states = st.sampled_from([int(state) for state in TrialState])
when = st.sampled_from(WHEN)
params = st.dictionaries(names, st.tuples(st.sampled_from(SOME), st.integers(0, 1)))


def of(operation: int, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Record]:
    worker = st.sampled_from(["w-1", "w-2", OWN])
    return st.fixed_dictionaries({"op_code": st.just(operation), "worker_id": worker, **fields})


def with_params(record: Record) -> Record:
    given = record.pop("given")
    record["distributions"] = {name: distribution for name, (distribution, _) in given.items()}
    record["params"] = {name: value for name, (_, value) in given.items()}
    return record


set_param = of(
    5,
    trial_id=ids,
    param_name=names,
    param_value_internal=st.integers(0, 1),
    distribution=st.sampled_from(SOME),
)
of_a_trial = st.one_of(
    of(6, trial_id=ids, state=states, values=values, datetime_start=when, datetime_complete=when),
    of(7, trial_id=ids, step=st.integers(0, 3), intermediate_value=numbers),
    of(8, trial_id=ids, user_attr=one_attribute),
    of(9, trial_id=ids, system_attr=one_attribute),
)
trials = st.one_of(
    of(4, study_id=ids, datetime_start=when),
    of(
        4,
        study_id=ids,
        datetime_start=st.none() | when,
        state=states,
        value=st.none(),
        values=values,
        given=params,
        user_attrs=attributes,
        system_attrs=attributes,
        intermediate_values=st.dictionaries(st.sampled_from(["0", "1"]), numbers),
    ).map(with_params),
)
studies = st.one_of(
    of(0, study_name=names, directions=st.just([1])),
    of(1, study_id=ids),
    of(2, study_id=ids, user_attr=one_attribute),
    of(3, study_id=ids, system_attr=one_attribute),
    of(10),
)
senseless = st.one_of(
    of(5, trial_id=ids),
    of(5, trial_id=ids, param_name=names, param_value_internal=numbers, distribution=st.just("{}")),
    of(6, trial_id=ids, state=st.sampled_from([1, 9, []]), values=st.just(3)),
    of(6, trial_id=ids, state=st.just(1), values=st.just(3), datetime_complete=when),
    of(7, trial_id=ids, step=st.just([]), intermediate_value=numbers),
    of(8, trial_id=st.just([]), user_attr=one_attribute),
    of(8, trial_id=ids, user_attr=attributes | st.just([["a", 1]]) | st.just("a")),
    of(9, trial_id=ids, system_attr=st.none()),
)


def param(trial: int, name: str, distribution: int) -> Record:
    value = {"param_value_internal": 1, "distribution": SOME[distribution]}
    return {"op_code": 5, "worker_id": "w-1", "trial_id": trial, "param_name": name, **value}


# What one study accepts for a name, the other refuses, and so does the same study for another name.
START: list[Record] = [
    {"op_code": 0, "worker_id": "w-1", "study_name": "first", "directions": [1, 2]},
    {"op_code": 0, "worker_id": "w-1", "study_name": "second", "directions": [2]},
    {"op_code": 4, "worker_id": "w-2", "study_id": 0, "datetime_start": WHEN[0]},
    {"op_code": 4, "worker_id": OWN, "study_id": 1, "datetime_start": WHEN[1]},
    {"op_code": 4, "worker_id": "w-1", "study_id": 0, "datetime_start": WHEN[1], "values": [1.0]},
    *(param(0, "x", 0), param(0, "y", 3), param(1, "x", 3), param(1, "y", 0)),
]
some_record = st.one_of(set_param, set_param, of_a_trial, of_a_trial, trials, studies, senseless)
some_records = st.lists(some_record, min_size=5, max_size=40)


def stock(result: JournalStorageReplayResult, records: Iterator[Record]) -> None:
    result.apply_logs(records)


def quick(result: JournalStorageReplayResult, records: Iterator[Record]) -> None:
    load_in_place(Loading(result), records)


def outcome(replay: Replay, records: Iterable[Record]) -> tuple[str, list[str]]:
    """Everything that a replay leaves, and the errors on the way; each resumes after the last."""
    result, errors = JournalStorageReplayResult(PREFIX), []
    left = iter(copy.deepcopy(list(records)))
    while True:
        try:
            replay(result, left)
            break
        except Exception as error:
            errors.append(repr(error))
    return repr({name: _shown(value) for name, value in vars(result).items()}), errors


def _shown(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: vars(item) if hasattr(item, "__dict__") else item for key, item in value.items()}


@settings(max_examples=600)
@given(some_records)
def test_it_leaves_what_stock_leaves(records: list[Record]) -> None:
    assert outcome(quick, START + records) == outcome(stock, START + records)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two studies by stock Optuna: trials in every state, a retry of one and a queued one."""
    path = tmp_path / "study.log"
    storage = JournalStorage(JournalFileBackend(str(path)))
    for name in ("first", "second"):
        study = optuna.create_study(storage=storage, study_name=name)
        study.enqueue_trial({"x": 0.5})
        for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            trial.suggest_categorical("kind", ["a", "b"])
            trial.report(0.5, 1)
            trial.set_user_attr("of", name)
            study.tell(trial, 1.0 if state == TrialState.COMPLETE else None, state)
        retry = {"failed_trial": 2, "retry_history": [2]}
        study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING,
                params=study.trials[2].params,
                distributions=study.trials[2].distributions,
                system_attrs=retry,
            )
        )
        study.ask().suggest_float("x", 0, 1)
        study.enqueue_trial({"x": 0.25})
    storage.delete_study(0)
    return path


def test_a_study_opens_as_in_stock_optuna(journal: Path) -> None:
    ours, by_stock = open_storage(journal), JournalStorage(JournalFileBackend(str(journal)))
    assert [vars(study) for study in ours.get_all_studies()] == [
        vars(study) for study in by_stock.get_all_studies()
    ]
    trials = ours.get_all_trials(1)
    assert trials == by_stock.get_all_trials(1)
    assert {trial.state for trial in trials} == set(TrialState)


def test_a_trial_that_was_read_never_changes(journal: Path) -> None:
    writer, reader = open_storage(journal), open_storage(journal)
    (running,) = reader.get_all_trials(1, deepcopy=False, states=[TrialState.RUNNING])
    before = copy.deepcopy(running)
    writer.set_trial_user_attr(running._trial_id, "new", 1)
    writer.set_trial_intermediate_value(running._trial_id, 1, 1.0)
    writer.set_trial_state_values(running._trial_id, TrialState.COMPLETE, [1.0])
    assert reader.get_trial(running._trial_id).state == TrialState.COMPLETE
    assert running == before
