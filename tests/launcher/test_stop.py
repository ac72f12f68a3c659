"""Which of two reasons to stop stands."""

import signal

import pytest

from journal_launcher.base.errors import ExitCode
from journal_launcher.launcher.stop import Stop

TIMEOUT, FAILED = Stop("timeout"), Stop.failed("3 trials failed")
DAMAGED = Stop.failed("no journal record", ExitCode.JOURNAL)
CTRL_C, TERM = Stop.by_signal(signal.SIGINT), Stop.by_signal(signal.SIGTERM)


@pytest.mark.parametrize("stop", [TIMEOUT, FAILED, CTRL_C])
def test_the_first_one_stands(stop: Stop) -> None:
    assert stop.after(None) is stop


@pytest.mark.parametrize(
    ("before", "later"), [(TIMEOUT, TIMEOUT), (FAILED, TIMEOUT), (FAILED, Stop.failed("more")),
    (CTRL_C, FAILED), (CTRL_C, TERM), (TERM, CTRL_C), (DAMAGED, TERM)]
)  # fmt: skip
def test_a_later_one_of_no_more_weight_changes_nothing(before: Stop, later: Stop) -> None:
    assert later.after(before) is before


def test_an_abort_overrules_a_stop_that_waits() -> None:
    assert FAILED.after(TIMEOUT) == FAILED
    assert TERM.after(TIMEOUT) == TERM


def test_a_signal_overrules_a_failure_and_both_are_said() -> None:
    """Or else `watch` would begin another attempt, although it was told to end."""
    stop = TERM.after(FAILED)
    assert (stop.reason, stop.exit_code, stop.abort) == ("signal", ExitCode.RESUMABLE, True)
    assert stop.message == "3 trials failed; stopped by SIGTERM"


def test_what_ends_before_there_is_a_study_is_no_success() -> None:
    error = TIMEOUT.as_error()
    assert error.exit_code == ExitCode.FAILED and "before the timeout" in str(error)
