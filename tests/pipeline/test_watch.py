"""The watcher: what it decides, what a retry changes, and where it goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pipeline.watched import HEALTHY, SICK, WARNED, WORSE_THAN_DUMMY, Launches

from journal_launcher.base import events
from journal_launcher.base.artifacts.sidecar import Best
from journal_launcher.base.errors import (
    ExitCode,
    IdentityError,
    JournalLauncherError,
    ResumableStop,
    UsageError,
)
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.base.verdict import Verdict
from journal_launcher.launcher import model_store
from journal_launcher.launcher.launch import OnPublished
from journal_launcher.pipeline.watch import watched_launch
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES


def installed() -> list[str]:
    """The model types there are here, in the order in which one follows another."""
    return [name for name, spec in MODEL_TYPES.items() if spec.installed]


# --- decisions


@pytest.mark.parametrize(
    ("outcome", "word", "code"),
    [(HEALTHY, "PROCEED", 0), (WARNED, "PROCEED_WITH_NOTE", 0), (SICK, "SKIP_MODEL", 1)],
)
def test_a_verdict_is_a_decision_with_an_exit_code(
    tmp_path: Path, outcome: Any, word: str, code: int
) -> None:
    launches = Launches(tmp_path, outcome)
    ended = launches.watch(retries=0)
    assert (launches.words(), ended.exit_code) == ([word], code)
    assert not [e for e in launches.seen if isinstance(e, events.LaunchEnded)]  # the caller's
    notes = [event.text for event in launches.seen if isinstance(event, events.Note)]
    assert any(note.startswith(f"{word}: s") for note in notes)
    if code:
        assert ended.message is not None and ended.message.startswith("SKIP_MODEL: s is critical")


def test_absent_diagnostics_are_no_failure(tmp_path: Path) -> None:
    launches = Launches(tmp_path, HEALTHY)

    def forgetful(
        settings: LaunchSettings, emit: events.Listener, on_published: OnPublished
    ) -> events.LaunchEnded:
        def forget() -> Verdict:
            StudiesFolder(tmp_path).study("s").diagnostics.unlink()
            return on_published()

        return launches(settings, emit, forget)

    ended = watched_launch(launches.settings, launches.seen.append, forgetful)
    assert (launches.words(), ended.exit_code) == (["PROCEED_WITH_NOTE"], 0)


def test_a_retry_changes_something_and_its_good_model_gets_the_watched_name(
    tmp_path: Path,
) -> None:
    launches = Launches(tmp_path, SICK, SICK, HEALTHY)
    ended = launches.watch()
    first, second, third = launches.ran
    assert [s.name for s in launches.ran] == ["s", "s_retry1", "s_retry2"]
    assert (first.use_leaky_relu, second.use_leaky_relu, third.use_leaky_relu) == (0, 1, 1)
    assert second.spaces is None and third.spaces is not None
    assert third.spaces["neural_net"]["learning_rate"] == {"low": 0.0002, "high": 0.003}
    assert launches.words() == ["RETRY", "RETRY", "PROCEED"]
    assert launches.decided()[0].then == {"use_leaky_relu": True, "study_name": "s_retry1"}
    assert (ended.exit_code, ended.study) == (0, "s")
    home = StudiesFolder(tmp_path).study("s")
    assert ended.model_path == home.best_model_file("cbm")
    assert home.best_model_file("cbm").read_text() == "s_retry2"
    assert ended.sidecar is not None and model_store.published(home, Best()) == ended.sidecar


def test_three_critical_attempts_skip_the_model_type_and_the_next_night_starts_none(
    tmp_path: Path,
) -> None:
    launches = Launches(tmp_path, SICK)
    assert launches.watch(timeout=9.0).exit_code == 1
    assert [s.timeout for s in launches.ran] == [9.0] * 3, "a limit for each attempt"
    assert launches.words() == ["RETRY", "RETRY", "SKIP_MODEL"] and len(launches.ran) == 3
    ended = watched_launch(launches.settings, launches.seen.append, launches, other_types=False)
    assert (ended.exit_code, ended.exit_reason) == (1, "skipped")
    assert len(launches.ran) == 3 and "skipped until" in launches.decided()[-1].reason
    launches.will = [HEALTHY]
    assert launches.watch().exit_code == 0, "the next model type stands in for it"
    assert launches.ran[-1].model_type == "catboost"


@pytest.mark.parametrize(
    "trouble", [1, JournalLauncherError("worker 0 died while preparing"), WORSE_THAN_DUMMY]
)
def test_where_nothing_else_can_be_changed_the_next_model_type_is_tried(
    tmp_path: Path, trouble: Any
) -> None:
    launches = Launches(tmp_path, trouble, HEALTHY)
    space = {"linear": {"regularization": {"low": 0.1, "high": 100.0}}}  # its remedy, already
    assert launches.watch(model_type="linear", spaces=space).exit_code == 0
    assert [s.model_type for s in launches.ran] == ["linear", "neural_net"]
    assert launches.words() == ["RETRY", "PROCEED"]
    alone = Launches(tmp_path / "alone", trouble)
    alone.folder.mkdir()
    one = replace(alone.settings, model_type="linear", spaces=space)
    assert watched_launch(one, run=alone, other_types=False).exit_code == 1
    assert len(alone.ran) == 1 and alone.words() == ["SKIP_MODEL"]


def test_every_model_type_is_tried_at_most_once(tmp_path: Path) -> None:
    launches = Launches(tmp_path, 1)
    assert launches.watch(retries=9, dropout=0.1).exit_code == 1
    assert [s.model_type for s in launches.ran] == installed()


def test_a_model_type_that_is_not_installed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = replace(MODEL_TYPES["catboost"], package="no_such_library")
    monkeypatch.setitem(MODEL_TYPES, "catboost", missing)
    launches = Launches(tmp_path, 1, HEALTHY)
    assert launches.watch().exit_code == 0
    assert [s.model_type for s in launches.ran] == installed()[:2]


def test_a_model_type_that_is_no_longer_installed_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = Launches(tmp_path, 1, ExitCode.INTERRUPTED)
    assert launches.watch().exit_code == 130
    missing = replace(MODEL_TYPES["catboost"], package="no_such_library")
    monkeypatch.setitem(MODEL_TYPES, "catboost", missing)
    launches.will = [UsageError("catboost: its library no_such_library is not installed")]
    assert launches.watch().exit_code == 1
    assert [s.model_type for s in launches.ran[1:]] == ["catboost", "catboost", installed()[1]]


def test_input_that_is_bad_is_not_tried_again(tmp_path: Path) -> None:
    launches = Launches(tmp_path, UsageError("no column y"))
    with pytest.raises(UsageError, match="no column y"):
        launches.watch()
    assert len(launches.ran) == 1 and launches.words() == []
    with pytest.raises(UsageError, match="judges the models of a table"):
        watched_launch(LaunchSettings(objective="a.py:f"))


# --- going on


@pytest.mark.parametrize("stop", [ExitCode.INTERRUPTED, ResumableStop("no room")])
def test_a_stopped_watcher_goes_on_where_it_was(tmp_path: Path, stop: Any) -> None:
    launches = Launches(tmp_path, SICK, stop, HEALTHY)
    if isinstance(stop, Exception):
        with pytest.raises(ResumableStop):
            launches.watch()
    else:
        assert launches.watch().exit_code == 130
    assert launches.words() == ["RETRY"]
    with open(StudiesFolder(tmp_path).study("s").decisions, "ab") as file:
        file.write(b'{"decision": "RET')  # a power loss tore the line
    assert launches.watch().exit_code == 0
    assert [s.name for s in launches.ran] == ["s", "s_retry1", "s_retry1"]
    assert launches.ran[2].use_leaky_relu
    assert launches.words() == ["RETRY", "PROCEED"]


def test_a_good_end_is_where_the_next_night_begins_and_other_settings_begin_anew(
    tmp_path: Path,
) -> None:
    launches = Launches(tmp_path, SICK, HEALTHY)
    for _ in range(2):
        assert launches.watch().exit_code == 0
    assert [s.name for s in launches.ran] == ["s", "s_retry1", "s_retry1"]
    assert launches.watch(k_folds=3).exit_code == 0
    assert launches.ran[-1].name == "s" and launches.decided()[-1].attempt == 0
    assert launches.watch(overwrite=True).exit_code == 0
    assert launches.ran[-1].name == "s"


def test_what_was_decided_for_options_that_no_longer_fit_is_forgotten(tmp_path: Path) -> None:
    launches = Launches(tmp_path, WARNED | {"cv": -1.0}, ExitCode.INTERRUPTED, HEALTHY)
    fixed = {"weight_decay": {"low": 0.01, "high": 1.0}, "dropout": {"low": 0.2, "high": 0.7}}
    assert launches.watch(spaces={"neural_net": fixed}).exit_code == 130
    assert launches.decided()[0].then is not None  # it has a range for dropout
    assert launches.watch(dropout=0.1).exit_code == 0
    assert launches.ran[-1].name == "s"


def test_a_study_of_other_data_is_moved_aside_by_the_launch_that_replaces_it(
    tmp_path: Path,
) -> None:
    launches = Launches(tmp_path, IdentityError("the data changed"), HEALTHY)
    assert launches.watch().exit_code == 0
    assert [s.overwrite for s in launches.ran] == [False, True]
    notes = [event.text for event in launches.seen if isinstance(event, events.Note)]
    assert "stale, so it is moved aside: the data changed" in notes


def test_an_old_retry_with_other_changes_is_not_continued(tmp_path: Path) -> None:
    launches = Launches(tmp_path, SICK)
    launches.watch()
    launches.will, launches.ran = [WORSE_THAN_DUMMY, HEALTHY], []
    launches.watch(ignore_skip=True)
    retry = launches.ran[1]
    assert retry.name == "s_retry1" and retry.overwrite and not retry.use_leaky_relu
