"""Run one trial: call the job, make an outcome of what came back, and write it to the journal."""

import contextlib
import math
import numbers
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.plain_json import as_json
from journal_launcher.base.visible import visible
from journal_launcher.study.journal.storage import StudyStorage
from journal_launcher.study.optuna_private import trial_id
from journal_launcher.worker.cuda_errors import breaks_process, let_go
from journal_launcher.worker.jobs.base import Job, TrialFailedError
from journal_launcher.worker.user_errors import reason_of, traceback_of

__all__ = ["Outcome", "WorkerStudy", "evaluate", "finish_trial", "forks_end_here", "outcome_of"]


class WorkerStudy(optuna.study.Study):
    """A study whose `stop()` reaches the parent: it ends the whole launch, not one process."""

    ends_launch = False

    def stop(self) -> None:
        self.ends_launch = True

    def set_user_attr(self, key: str, value: Any) -> None:
        super().set_user_attr(key, as_json(value, f"study {self.study_name}, attribute {key!r}"))


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    `incompatible`: the search space contradicts the study, for good. `broken`: this process can
    run no other trial.
    """

    state: TrialState
    values: tuple[float, ...] | None = None
    reason: str | None = None
    raised: bool = False
    incompatible: bool = False
    broken: bool = False


@contextlib.contextmanager
def forks_end_here() -> Iterator[None]:
    """End a child that the user's code forked in this block and that leaves the block.

    `sys.exit()` in such a child is an exception, which would pass through the user's code: there
    would be two workers of one name, on the same pipes and for the same trial.
    """
    process = os.getpid()
    status = 0
    try:
        yield
    except BaseException as error:
        if os.getpid() == process:
            raise
        code = error.code if isinstance(error, SystemExit) else 1
        status = code if isinstance(code, int) else int(code is not None)
        if not isinstance(error, SystemExit):
            traceback.print_exc()
    if os.getpid() != process:
        os._exit(status & 0xFF)


def evaluate(job: Job, trial: optuna.Trial, n_objectives: int) -> Outcome:
    """Call the job; every exception of the objective becomes a failed trial with its reason."""
    try:
        with forks_end_here():  # also around what a value of the user's own class does
            return outcome_of(job(trial), n_objectives)
    except optuna.TrialPruned as pruned:
        return Outcome(TrialState.PRUNED, broken=breaks_process(pruned))
    except TrialFailedError as error:
        print(visible(f"trial {trial.number}: {error}"), file=sys.stderr)
        return Outcome(TrialState.FAIL, None, str(error)[:2000], raised=error.always)
    except (Exception, SystemExit) as error:
        with contextlib.suppress(ValueError):  # the objective may have closed it
            # All of the user's, into this worker's log file; of a replay, onto the terminal.
            print(visible(traceback_of(error)), end="", file=sys.stderr)
        reason = reason_of(error)
        incompatible = _raised_by_distribution_check(error)
        broken = breaks_process(error)
        let_go(error)
        return Outcome(TrialState.FAIL, None, reason[:2000], True, incompatible, broken)


def outcome_of(returned: Any, n_objectives: int) -> Outcome:
    """Values that Optuna would accept but that must not win (inf), or that are none, fail."""
    many = isinstance(returned, Sequence) and not isinstance(returned, str | bytes)
    items = list(returned) if many else [returned]
    if len(items) != n_objectives:
        return Outcome(
            TrialState.FAIL,
            reason=f"expected {n_objectives} value(s), the objective returned {len(items)}",
        )
    values = []
    for item in items:
        value = _as_float(item)
        if value is None or not math.isfinite(value):
            shown = repr(item)[:80]
            return Outcome(
                TrialState.FAIL, reason=f"expected a finite number, the objective returned {shown}"
            )
        values.append(value)
    return Outcome(TrialState.COMPLETE, tuple(values))


def _as_float(item: Any) -> float | None:
    """A real number, NumPy scalar or tensor of one element as float; None for anything else."""
    if isinstance(item, numbers.Real) or hasattr(item, "__float__"):
        with contextlib.suppress(Exception):
            return float(item)
    return None


def _raised_by_distribution_check(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name == "check_distribution_compatibility"


def finish_trial(
    storage: StudyStorage,
    study: optuna.Study,
    trial: optuna.Trial,
    outcome: Outcome,
    attributes: dict[str, Any],
) -> Outcome:
    """Write the attributes in one append, then the state: a finished trial always has both.

    Not both in one: what the user's sampler does at the end reads the study, and may raise.

    Returns the outcome that stands: somebody else, with a dashboard say, may have ended the trial.
    """
    if outcome.reason is not None:
        attributes = {**attributes, **TrialAttributes(fail_reason=outcome.reason).to_json()}
    values = list(outcome.values) if outcome.values is not None else None
    try:
        storage.set_trial_user_attrs(trial_id(trial), attributes)
        study.tell(trial, values, state=outcome.state)
    except (UpdateFinishedTrialError, ValueError) as error:
        own = isinstance(error, ValueError) and not str(error).startswith("Cannot tell a")
        if own and not isinstance(error, UpdateFinishedTrialError):
            raise  # from the user's sampler, constraints_func say
        standing = storage.get_trial(trial_id(trial))
        if not standing.state.is_finished():
            raise
        found = tuple(standing.values) if standing.values else None
        return Outcome(standing.state, found, "ended by another writer")
    return outcome
