"""What a watcher makes of decisions that are there already, and of settings that do not go."""

from pathlib import Path

import pytest
from pipeline.watched import HEALTHY, SICK, Launches

from journal_launcher.base.errors import (
    ExitCode,
    JournalLauncherError,
    UsageError,
)
from journal_launcher.base.paths import StudiesFolder


def test_other_settings_begin_anew_also_where_a_retry_had_changed_the_same(tmp_path: Path) -> None:
    launches = Launches(tmp_path, 1, HEALTHY)
    assert launches.watch().exit_code == 0
    assert [s.model_type for s in launches.ran] == ["neural_net", "catboost"]
    assert launches.watch(model_type="linear").exit_code == 0
    assert (launches.ran[-1].name, launches.ran[-1].model_type) == ("s", "linear")


def test_a_stopped_watcher_goes_on_after_an_attempt_that_left_no_study(tmp_path: Path) -> None:
    died = JournalLauncherError("worker 0 died while preparing")
    launches = Launches(tmp_path, died, ExitCode.INTERRUPTED, HEALTHY)
    assert launches.watch().exit_code == 130
    assert launches.watch().exit_code == 0
    assert [s.name for s in launches.ran] == ["s", "s_retry1", "s_retry1"]
    assert launches.words() == ["RETRY", "PROCEED"]


def test_a_retry_that_does_not_go_with_the_users_options_has_failed(tmp_path: Path) -> None:
    launches = Launches(tmp_path, 1, UsageError("--workers counts CPU workers"), HEALTHY)
    assert launches.watch().exit_code == 0
    assert launches.words() == ["RETRY", "RETRY", "PROCEED"]
    assert "--workers counts CPU workers" in launches.decided()[1].reason


def test_fewer_retries_than_the_last_watcher_had_are_not_exceeded(tmp_path: Path) -> None:
    launches = Launches(tmp_path, SICK, ExitCode.INTERRUPTED, SICK)
    assert launches.watch().exit_code == 130
    assert launches.watch(retries=0).exit_code == 1
    assert [s.name for s in launches.ran] == ["s", "s_retry1", "s"]
    assert launches.words() == ["RETRY", "SKIP_MODEL"]


def test_bad_input_and_a_name_without_room_for_a_retry_are_refused_at_once(tmp_path: Path) -> None:
    launches = Launches(tmp_path, SICK)
    with pytest.raises(UsageError, match="watch adds _retry2"):
        launches.watch(study_name="s" * 96)
    with pytest.raises(UsageError, match=r"none\.csv"):
        launches.watch(data=str(tmp_path / "none.csv"))
    StudiesFolder(tmp_path).study("s").decisions.mkdir(parents=True)
    with pytest.raises(
        UsageError, match=r"decisions\.jsonl: expected a plain file, found a folder"
    ):
        launches.watch()
    assert launches.ran == []
