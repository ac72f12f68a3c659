"""Attributes that any writer may set, to anything: no command and no launch ends in a traceback."""

import copy
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from journal_launcher.base import events
from journal_launcher.base.artifacts.sidecar import Best, Sidecar
from journal_launcher.base.errors import ExitCode, IdentityError, JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher import ledger as ledger_module
from journal_launcher.launcher import publish
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.pipeline.freshness import freshness
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study import attributes
from journal_launcher.study.confirmation import candidates, unconfirmed
from journal_launcher.study.journal.lock import JournalLock
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.owner import Owner, owner_of
from journal_launcher.study.reading import recorded_settings
from journal_launcher.study.study import StudyHandle
from journal_launcher.views.status import Status
from journal_launcher.views.summary import result_json, summary

ODD: tuple[Any, ...] = (
    *(None, True, -1, 1e308, math.nan, 10**30, 10**400, "x", "../etc", "x" * 100_000),
    *([], [1], ["x"], {}, {"a": 1}, {"a": [{"b": [None, {"c": "d"}]}]}),
)
IDENTITY = {
    **{"schema_version": 1, "kind": "table", "model_type": "linear", "flags": None},
    **{"data_sha256": "0", "target": "target", "task": "regression", "metric": "r2"},
    **{"directions": ["maximize"], "split": {"kind": "kfold"}, "seed": 0},
}
SCORES = {"score": 0.5, "fold_scores": [0.4, 0.6], "train_scores": [0.4], "overfit_ratio": 1.0}
BASELINE = {"score": 0.5, "fold_scores": [0.4, 0.6]}
STUDY: dict[str, Any] = {
    "journal_launcher": IDENTITY,
    "journal_launcher_n_trials": 20,
    "journal_launcher_noted": {"script": "a"},
    "journal_launcher_settings": {"model_type": "linear", "objective": "a.py:f", "seed": 0},
    "journal_launcher_baselines": {
        "dummy": {**BASELINE, "confirmed_score": 0.1},
        "linear": BASELINE,
    },
    "journal_launcher_confirmed_0": {**SCORES, "curves": {"every": 1}},
}
TRIAL: dict[str, Any] = {
    "jl_owner": Owner.this_process("l", 0).to_json(),
    **{"jl_worker": 0, "jl_device": "CPU", "jl_device_uuid": None, "jl_threads": 1},
    **{"jl_duration_s": 1.0, "jl_fail_reason": "because", "jl_epochs": 3, "jl_overfit_ratio": 1.0},
    **{"jl_fold_scores": [0.4, 0.6], "jl_train_scores": [0.5, 0.5], "jl_errors": {"training": 1}},
    "mine": 1,
}
SYSTEM: dict[str, Any] = {
    **{"constraints": [-1.0], "constraints:a": -1.0, "retry_history": [0], "failed_trial": 0},
    **{"journal_launcher_copy_of": 1, "fixed_params": {"x": 0.5}, "other": 1},
}
# Where an odd value is put: an attribute, or a part of one.
PLACES = [
    *(("study", key) for key in STUDY),
    *(("study", key, part) for key in STUDY for part in attributes.table(STUDY[key])),
    *(("study", "journal_launcher_baselines", "dummy", part) for part in BASELINE),
    ("study", "journal_launcher", "split", "kind"),
    *(("trial", key) for key in TRIAL),
    *(("trial", "jl_owner", part) for part in TRIAL["jl_owner"]),
    ("trial", "jl_owner", "more"),
    *(("system", key) for key in SYSTEM),
    ("metric", "study:metric_names"),
]
STATES = ["COMPLETE", "COMPLETE", "FAIL", "RUNNING", "WAITING"]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A journal with everything, as stock Optuna writes it."""
    journal = tmp_path_factory.mktemp("whole") / "s.log"
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    for key, value in STUDY.items():
        study.set_user_attr(key, value)
    storage.set_study_system_attr(study._study_id, "study:metric_names", ["r2"])
    for state in STATES:
        study.add_trial(
            optuna.create_trial(
                state=TrialState[state],
                value=0.5 if state == "COMPLETE" else None,
                params={"x": 0.5},
                distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
                user_attrs=TRIAL,
                system_attrs=SYSTEM,
            )
        )
    return [json.loads(line) for line in journal.read_bytes().splitlines()]


def changed(records: list[dict[str, Any]], place: tuple[str, ...], value: Any) -> bytes:
    """The journal with the value at the place; it stands there as any writer could have put it."""
    kind, *path = place
    fields = {"study": "user_attr", "trial": "user_attrs", "system": "system_attrs"}
    field = fields.get(kind, "system_attr")
    lines = []
    for record in records:
        if isinstance(record.get(field), dict) and path[0] in record[field]:
            record = copy.deepcopy(record)
            within = record[field]
            for part in path[:-1]:
                within = within[part]
            within[path[-1]] = value
        lines.append(json.dumps(record).encode() + b"\n")
    return b"".join(lines)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that is this process does not die while it is waited for."""
    monkeypatch.setattr(ledger_module, "_DYING", 0.0)


@contextmanager
def one_line() -> Iterator[None]:
    """Its own errors are fine, if each is one line of bearable length."""
    try:
        yield
    except JournalLauncherError as error:
        assert error.exit_code in (ExitCode.USAGE, ExitCode.JOURNAL)
        assert "\n" not in str(error) and len(str(error)) < 6000


def steps(paths: StudyPaths, said: list[events.Event]) -> Iterator[Callable[[], Any]]:
    """What a resumed launch does with a study, in its order, without the workers."""
    settings = LaunchSettings(studies_dir=str(paths.folder), study_name="s", model_type="linear")
    yield lambda: freshness(paths, settings)
    looked = StudyHandle.find(open_storage(paths.journal, read_only=True), "s")
    assert looked is not None
    yield lambda: recorded_settings(looked, paths.folder)
    study = StudyHandle.find(open_storage(paths.journal), "s")
    assert study is not None
    yield lambda: study.seed
    yield lambda: study.check_identity(IDENTITY)
    yield lambda: study.note_changes({"script": "b", attributes.ARGUMENTS: "000"})
    yield lambda: study.remember("journal_launcher_n_trials", 20)
    ledger = TrialLedger(settings, study, "l", said.append)
    yield ledger.fail_stale_trials
    yield lambda: ledger.fail_trial_of(0, "it died", 1.0, interrupted=False)
    yield lambda: ledger.fail_trial_of(0, "it died", 1.0, interrupted=True)
    yield lambda: (
        ledger.remaining(0),
        ledger.next_queued(set()),
        ledger.reason_to_stop(Path("0.log")),
        study.passed_over(),
    )
    yield lambda: (candidates(study, 3), unconfirmed(study, 3), study.pareto_front())
    yield lambda: study.queue_again(study.trial(2), retry=True)
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, constant_liar=True)

    def ask() -> None:
        trial = optuna.study.Study("s", study.storage, sampler=sampler).ask()
        trial.suggest_float("x", 0, 1)
        trial.should_prune()

    yield ask
    yield lambda: json.dumps((publish._wanted(ledger) or Best()).to_json(), allow_nan=False)
    yield lambda: json.dumps(publish._confirmed(ledger, 0).to_json(), allow_nan=False)
    yield lambda: json.dumps(ledger.baselines and ledger.baselines.to_json(), allow_nan=False)

    def show() -> None:
        finished, failed = study.count()
        scores = publish._confirmed(ledger, 0).to_json()
        sidecar = {"kind": "table", "model_type": "linear", **scores}
        ended = events.LaunchEnded(
            *("s", "complete", 0, 20, paths.journal, finished, failed, study.directions),
            metric=study.metric,
            best_trial=ledger.best_trial(),
            sidecar=Sidecar.from_json(sidecar),
            baselines=ledger.baselines,
            trial_seconds=ledger.trial_seconds(),
        )
        summary(ended)
        json.dumps(result_json(ended), allow_nan=False)

    yield show


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_no_odd_attribute_is_a_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    records: list[dict[str, Any]],
    place: tuple[str, ...],
) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # nobody else has these journals
    monkeypatch.setattr(JournalLock, "acquire", lambda self: True)
    monkeypatch.setattr(JournalLock, "release", lambda self: None)
    monkeypatch.setattr(JournalLock, "still_ours", lambda self: True)
    monkeypatch.setattr(optuna.logging.get_logger("optuna"), "disabled", True)
    for number, value in enumerate(ODD):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = StudyPaths(folder, "s")
        paths.journal.write_bytes(changed(records, place, value))
        with one_line():
            status = Status(paths)
            assert status.damage is None
            told = [status.line(), *status.lines()]
            assert "\n" not in told[0]
            assert "2 complete" in told[5] and all(len(line) < 2000 for line in told)
        try:
            for step in steps(paths, []):
                with one_line():
                    step()
        except Exception as problem:
            raise AssertionError(f"{'.'.join(place)} = {str(value)[:60]!r}") from problem


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:20])
def test_readers_take_their_own_kind_or_nothing(value: Any) -> None:
    assert attributes.number(value) is None or math.isfinite(attributes.number(value) or 0.0)
    assert attributes.whole(value) in (None, 0, 1)
    assert type(attributes.whole(value)) in (type(None), int)
    found = attributes.numbers(value)
    assert found is None or all(type(item) is float for item in found)
    assert len(attributes.text(value) or "") <= 200
    assert type(attributes.table(value)) is dict
    assert attributes.confirmation(value) is None
    assert owner_of({"jl_owner": value}) is None
    for part in TRIAL["jl_owner"]:
        owner = owner_of({"jl_owner": {**TRIAL["jl_owner"], part: value}})
        assert owner is None or type(getattr(owner, part)) is type(TRIAL["jl_owner"][part])
        assert owner is None or owner.is_dead() in (True, False)


def test_what_decides_what_the_study_is_is_refused_in_one_line(
    tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    for place, value in (
        (("study", "journal_launcher"), "x"),
        (("study", "journal_launcher"), [1]),
        (("study", "journal_launcher", "seed"), "x"),
        (("study", "journal_launcher", "seed"), True),
        (("study", "journal_launcher", "seed"), 10**30),
        (("study", "journal_launcher", "seed"), "y" * 100_000),
    ):
        journal = tmp_path / "s.log"
        journal.write_bytes(changed(records, place, value))
        study = StudyHandle.find(open_storage(journal), "s")
        assert study is not None
        with pytest.raises(IdentityError) as caught:
            print(study.seed)
        said = str(caught.value)
        assert "attribute journal_launcher" in said and "--overwrite" in said and len(said) < 700
        with pytest.raises(IdentityError):
            study.check_identity(IDENTITY)


def test_what_is_right_is_read_as_it_is(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    journal = tmp_path / "s.log"
    journal.write_bytes(changed(records, ("trial", "mine"), 1))
    study = StudyHandle.find(open_storage(journal), "s")
    assert study is not None
    assert (study.seed, study.metric, study.budget) == (0, "r2", 20)
    assert study.settings == STUDY["journal_launcher_settings"]
    found = study.trial(0)
    assert found.user_attrs == TRIAL and found.system_attrs == SYSTEM
    baselines = attributes.baselines(STUDY["journal_launcher_baselines"])
    assert baselines is not None
    assert baselines.to_json() == STUDY["journal_launcher_baselines"]
    confirmed = attributes.confirmation(STUDY["journal_launcher_confirmed_0"])
    assert confirmed is not None and confirmed.to_json() == STUDY["journal_launcher_confirmed_0"]
    assert owner_of(TRIAL) == Owner(**TRIAL["jl_owner"])
    assert attributes.retries(SYSTEM) == [0] and attributes.seconds(found) == 1.0
    assert attributes.refittable(found)
