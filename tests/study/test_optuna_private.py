"""What Optuna does not document still means what we take it for, and one file alone names it."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)
from optuna.storages import InMemoryStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import (
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, TrialState

import journal_launcher
from journal_launcher.study import optuna_private as private

PACKAGE = Path(journal_launcher.__file__).parent
FLOAT = FloatDistribution(0.0, 1.0)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


def opened(journal: Path) -> private.HookedJournalStorage:
    return private.HookedJournalStorage(JournalFileBackend(str(journal)))


def created(storage: optuna.storages.BaseStorage) -> optuna.Study:
    """The second study of its storage: an id that is not 0."""
    for name in ("first", "second"):
        study = optuna.create_study(storage=storage, study_name=name)
    return study


# --- ids and where a trial records


def test_ids_are_those_of_the_storage() -> None:
    storage = InMemoryStorage()
    study = created(storage)
    optuna.load_study(study_name="first", storage=storage).ask()
    assert private.study_id(study) == storage.get_study_id_from_name("second") == 1
    trial = study.ask()
    expected = storage.get_trial_id_from_study_id_trial_number(1, trial.number)
    assert private.trial_id(trial) == private.trial_id(study.trials[0]) == expected == 1


def test_a_renumbered_copy_is_what_a_storage_shows_and_the_original_stays() -> None:
    storage = InMemoryStorage()
    study = created(storage)
    study.set_user_attr("a", 1)
    study.ask().set_user_attr("b", 2)
    found = next(one for one in storage.get_all_studies() if one.study_name == "second")
    shown = private.renumbered(found, 7, {"c": 3})
    assert (private.study_id(shown), shown.study_name, shown.user_attrs) == (7, "second", {"c": 3})
    assert (private.study_id(found), found.user_attrs) == (1, {"a": 1})
    (trial,) = study.get_trials(deepcopy=False)
    copy = private.renumbered(trial, None, {"c": 3})
    assert (copy.number, copy.user_attrs, trial.user_attrs) == (0, {"c": 3}, {"b": 2})
    assert private.trial_id(copy) == private.trial_id(trial)


def test_a_trial_says_where_it_records() -> None:
    storage = InMemoryStorage()
    assert private.storage_of(created(storage).ask()) is storage
    assert private.storage_of(FixedTrial({"x": 1.0})) is None


# --- attributes


def test_what_was_queued_is_a_system_attribute_and_known_to_its_trial() -> None:
    study = created(InMemoryStorage())
    study.enqueue_trial({"x": 0.25})
    assert study.trials[0].system_attrs[private.FIXED_PARAMS] == {"x": 0.25}
    assert private.fixed_params(study.ask()) == {"x": 0.25}
    assert not private.fixed_params(study.ask())


def test_a_trial_knows_the_system_attributes_that_it_began_with() -> None:
    study = created(InMemoryStorage())
    waiting = optuna.create_trial(state=TrialState.WAITING, system_attrs={"copy": 3})
    study.add_trial(waiting)
    assert private.system_attributes(study.ask()) == {"copy": 3}
    assert private.system_attributes(study.ask()) == {}


def test_metric_names_are_a_system_attribute() -> None:
    study = created(storage := InMemoryStorage())
    storage.set_study_system_attr(private.study_id(study), private.METRIC_NAMES, ["r2"])
    assert study.metric_names == ["r2"]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_retry_names_what_it_repeats() -> None:
    study = created(InMemoryStorage())
    study.ask()
    retry = RetryHeartbeatStaleTrialCallback()
    retry(study, study.trials[0])
    retry(study, study.trials[1])
    last = study.trials[2]
    assert last.system_attrs[private.FAILED_TRIAL] == 0 == retry.retried_trial_number(last)
    assert last.system_attrs[private.RETRY_HISTORY] == [0, 1] == retry.retry_history(last)


def test_constraints_are_system_attributes() -> None:
    trial = optuna.create_trial(value=1.0, system_attrs={private.CONSTRAINTS: [0.5]})
    assert list(trial.constraints.values()) == [0.5]
    trial = optuna.create_trial(value=1.0)
    trial.set_constraint("size", 0.5)
    assert trial.system_attrs == {f"{private.CONSTRAINT}size": 0.5}


# --- locks and records


@pytest.mark.parametrize("kind", [JournalFileSymlinkLock, JournalFileOpenLock])
def test_a_stock_lock_is_the_file_that_it_names(kind: Any, journal: Path) -> None:
    journal.touch()
    lock = kind(str(journal))
    assert isinstance(lock, private.BaseJournalFileLock)
    place = private.lock_file(lock)
    assert place == f"{journal}.lock"
    lock.acquire()
    assert os.path.lexists(place)
    lock.release()
    assert not os.path.lexists(place)


def test_operations_are_the_numbers_in_a_journal(journal: Path) -> None:
    storage = opened(journal)
    study = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    storage.set_study_user_attr(study, "a", 1)
    storage.set_study_system_attr(study, "a", 1)
    trial = storage.create_new_trial(study)
    storage.set_trial_param(trial, "x", 0.5, FLOAT)
    storage.set_trial_intermediate_value(trial, 1, 0.5)
    storage.set_trial_user_attr(trial, "a", 1)
    storage.set_trial_system_attr(trial, "a", 1)
    storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    storage.delete_study(study)
    operation = private.JournalOperation
    written = [record["op_code"] for record in JournalFileBackend(str(journal)).read_logs(0)]
    assert written == [
        operation.CREATE_STUDY,
        operation.SET_STUDY_USER_ATTR,
        operation.SET_STUDY_SYSTEM_ATTR,
        operation.CREATE_TRIAL,
        operation.SET_TRIAL_PARAM,
        operation.SET_TRIAL_INTERMEDIATE_VALUE,
        operation.SET_TRIAL_USER_ATTR,
        operation.SET_TRIAL_SYSTEM_ATTR,
        operation.SET_TRIAL_STATE_VALUES,
        operation.DELETE_STUDY,
    ]


# --- a trial's suggestions


class Drawing(private.HookedTrial):
    """Notes what it was asked for."""

    def draw(self, name: str, distribution: BaseDistribution) -> Any:
        asked.append((name, distribution))
        return super().draw(name, distribution)


asked: list[tuple[str, BaseDistribution]] = []


def test_every_suggestion_passes_through_draw() -> None:
    asked.clear()
    study = created(InMemoryStorage())
    trial = Drawing(study, private.trial_id(study.ask()))
    found = {
        "x": trial.suggest_float("x", 0, 1),
        "n": trial.suggest_int("n", 1, 3),
        "c": trial.suggest_categorical("c", ["a", "b"]),
    }
    assert [name for name, _ in asked] == ["x", "n", "c"]
    assert asked[0][1] == FLOAT and asked[2][1] == CategoricalDistribution(["a", "b"])
    assert study.trials[0].params == found


# --- the journal's storage


class Noting(private.HookedJournalStorage):
    """Notes what it is asked for, and whether it is alone."""

    def write(self, record: dict[str, Any]) -> None:
        self.notes.append(record["op_code"])
        assert not self.free()
        super().write(record)

    def read(self) -> None:
        self.__dict__.setdefault("notes", []).append("read")
        assert not self.free()
        super().read()

    def free(self) -> bool:
        lock: Any = self.one_at_a_time
        return not lock.locked()

    notes: list[Any]


def test_one_method_writes_and_one_reads(journal: Path) -> None:
    storage = Noting(JournalFileBackend(str(journal)))
    assert storage.notes == ["read"]
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    assert storage.notes[1:] == [private.JournalOperation.CREATE_STUDY, "read"]
    storage.get_study_name_from_id(0)
    assert storage.notes[3:] == ["read"]
    with storage.one_at_a_time:
        assert not storage.free()
    assert storage.free()


def test_records_read_are_counted_and_name_their_writer(journal: Path) -> None:
    storage, other = opened(journal), opened(journal)
    study = created(storage)
    assert (storage.records_read, other.records_read) == (2, 0)
    assert other.get_study_name_from_id(private.study_id(study)) == "second"
    assert other.records_read == 2
    writers = {record["worker_id"] for record in JournalFileBackend(str(journal)).read_logs(0)}
    assert writers == {storage.writer} != {other.writer}


def test_applied_records_change_the_studies_that_were_read(journal: Path) -> None:
    storage = opened(journal)
    created(storage)
    new = {"op_code": 0, "worker_id": "w", "study_name": "third", "directions": [1]}
    attribute = {"op_code": 2, "worker_id": "w", "study_id": 2, "user_attr": {"a": 1}}
    storage.apply([new, attribute])
    studies = storage.studies_read()
    assert {key: study.study_name for key, study in studies.items()} == {
        0: "first",
        1: "second",
        2: "third",
    }
    assert studies[2].user_attrs == {"a": 1}
    assert storage.records_read == 4


def test_trials_read_are_those_of_one_study_from_a_number_on(journal: Path) -> None:
    storage = opened(journal)
    other, study = (optuna.create_study(storage=storage, study_name=name) for name in ("o", "s"))
    for asked in (study, other, study, study):
        asked.ask()
    found = storage.trials_read(private.study_id(study), 1)
    assert found == study.get_trials()[1:] and [trial.number for trial in found] == [1, 2]
    assert storage.trial_read(private.study_id(study), 1) is found[0]


def test_a_sampler_sees_the_trials_that_are_shown() -> None:
    study = created(InMemoryStorage())
    for state in (TrialState.COMPLETE, TrialState.FAIL):
        study.tell(study.ask(), 1.0 if state == TrialState.COMPLETE else None, state=state)
    part = private.PartOfStudy("second", storage=study._storage)
    part.shown = study.trials
    assert [trial.number for trial in part.get_trials()] == [0, 1]
    assert [trial.number for trial in part.get_trials(states=(TrialState.FAIL,))] == [1]
    sampler = optuna.samplers.TPESampler(n_startup_trials=1)
    study.ask()
    running = study.trials[2]
    assert sampler.sample_relative(part, running, {"x": FLOAT}).keys() == {"x"}
    part.shown = part.shown[1:]  # where nothing is finished it draws at random
    assert sampler.sample_relative(part, running, {"x": FLOAT}) == {}


def test_a_creation_that_is_not_read_back_gives_the_forgotten_id(journal: Path) -> None:
    class Silent(private.HookedJournalStorage):
        silent = False

        def read(self) -> None:
            if not self.silent:
                super().read()

    storage = Silent(JournalFileBackend(str(journal)))
    study = private.study_id(created(storage))
    assert storage.create_new_trial(study) == 0
    storage.forget_created()
    storage.silent = True
    assert storage.create_new_trial(study) == -1
    storage.silent = False
    assert storage.create_new_trial(study) == 2


def test_loading_is_what_the_storage_has_in_memory(journal: Path) -> None:
    storage = opened(journal)
    study = private.study_id(created(storage))
    trial = storage.create_new_trial(study)
    loading, read = storage.loading(), storage.records_read
    assert loading.trials[trial] is storage.get_trial(trial)
    assert loading.studies == {trial: study}
    before = loading.trials[trial]
    of_trial = {"worker_id": "w", "trial_id": trial}
    value = {"param_value_internal": 0.5, "distribution": distribution_to_json(FLOAT)}
    loading.set_param({"op_code": 5, "param_name": "x", **value, **of_trial})
    assert (before.params, loading.trials[trial].params) == ({}, {"x": 0.5})

    ours = {"op_code": 8, "user_attr": {"ours": 1}, **of_trial}
    optunas = {"op_code": 8, "user_attr": {"optunas": 1}, **of_trial}
    loading.run([ours, optunas], lambda record: record is ours)
    assert loading.trials[trial].user_attrs == {"optunas": 1}
    assert storage.records_read == read + 2


def test_what_a_frozen_trial_shows_is_what_it_has(journal: Path) -> None:
    """A load changes it in place."""
    trial = optuna.create_trial(value=1.0)
    trial.params["x"] = 0.5
    trial.distributions["x"] = FLOAT
    trial.user_attrs["a"] = 1
    trial.system_attrs["b"] = 2
    trial.intermediate_values[1] = 0.25
    expected = optuna.create_trial(
        value=1.0,
        params={"x": 0.5},
        distributions={"x": FLOAT},
        user_attrs={"a": 1},
        system_attrs={"b": 2},
        intermediate_values={1: 0.25},
    )
    expected.datetime_start, expected.datetime_complete = (
        trial.datetime_start,
        trial.datetime_complete,
    )
    assert trial == expected


# --- one file names it all

NAMES = {
    *("_backend", "_replay_result", "_sync_with_backend", "_thread_lock", "_write_log"),
    *("_apply_set_trial_param", "_last_created_trial_id_by_this_process", "_studies", "_trials"),
    *(
        "_study_id_to_trial_ids",
        "_trial_id_to_study_id",
        "apply_logs",
        "log_number_read",
        "worker_id",
    ),
    *("_distributions", "_params", "_system_attrs", "_user_attrs"),
    *(
        "_cached_frozen_trial",
        "_fixed_params",
        "_lock_file",
        "_storage",
        "_study_id",
        "_suggest",
        "_trial_id",
    ),
}
TEXTS = {
    *(private.METRIC_NAMES, private.FAILED_TRIAL, private.RETRY_HISTORY),
    *(private.CONSTRAINTS, private.CONSTRAINT, private.FIXED_PARAMS),
}


def undocumented(tree: ast.AST, ours: bool = False) -> Iterator[tuple[int, str]]:
    """Line and name of what only `optuna_private` may name.

    A class without bases is `ours`: what its `self` has is its own, whatever the name.
    """
    for node in ast.iter_child_nodes(tree):
        inside = ours
        match node:
            case ast.ClassDef(bases=bases, body=body):
                inside = not bases
                methods = {item.name for item in body if isinstance(item, ast.FunctionDef)}
                if bases and (found := methods & NAMES):
                    yield node.lineno, f"{node.name} overrides {found}"
            case ast.ImportFrom(module=str(module), names=names):
                parts = [*module.split("."), *(alias.name for alias in names)]
                if parts[0] == "optuna" and any(part.startswith("_") for part in parts):
                    yield node.lineno, module
            case ast.Import(names=names):
                modules = [alias.name for alias in names if alias.name.startswith("optuna.")]
                yield from ((node.lineno, module) for module in modules if "._" in module)
            case ast.Attribute(value=value, attr=attr):
                own = ours and isinstance(value, ast.Name) and value.id in ("self", "cls")
                of_module = attr.startswith("_") and ast.unparse(value).startswith("optuna")
                if (attr in NAMES and not own) or of_module:
                    yield node.lineno, ast.unparse(node)
            case ast.Constant(value=str(text)) if text in TEXTS:
                yield node.lineno, text
        yield from undocumented(node, inside)


@pytest.mark.parametrize(
    "code",
    [
        "from optuna.storages.journal._storage import JournalOperation",
        "from optuna.study import _optimize",
        "import optuna.storages.journal._file",
        "import optuna\nprint(optuna.storages.journal._file.BaseJournalFileLock)",
        "print(trial._trial_id)",
        "class A(JournalTrial):\n    def a(self):\n        return self._study_id",
        "class A(JournalTrial):\n    def _suggest(self): ...",
        "trial.system_attrs['failed_trial']",
    ],
)
def test_what_is_undocumented_is_found(code: str) -> None:
    assert list(undocumented(ast.parse(code)))


def test_no_other_file_names_what_optuna_does_not_document() -> None:
    own = "class A:\n    def a(self):\n        return self._trials"
    assert not list(undocumented(ast.parse(own)))
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in sorted(PACKAGE.rglob("*.py"))
        if (names := list(undocumented(ast.parse(path.read_text()))))
    }
    assert list(found) == ["study/optuna_private.py"], found
