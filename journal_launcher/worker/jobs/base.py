"""What a job is: all that a worker knows of what it runs trials of.

A job is prepared once (by one worker, before the study exists), opened in every worker, called for
every trial, and asked once at the end to stage the best model.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.messages import Preparation

__all__ = ["Job", "Progress", "SaveFailedError", "TrialFailedError"]


class Progress(Protocol):
    """Told how far a trial is. within: rounds done of the step that follows, and of how many."""

    def __call__(
        self,
        unit: str,
        step: int,
        total: int | None,
        value: float | None,
        within: tuple[int, int] | None = None,
        /,
    ) -> None: ...


class TrialFailedError(JournalLauncherError):
    """A trial has no value, for a reason that one line says; of a script, with its last lines.

    `always`: it would have none with other parameters either.
    """

    def __init__(self, reason: str, *, always: bool = True) -> None:
        super().__init__(reason)
        self.always = always


class SaveFailedError(JournalLauncherError):
    """The user's code raised while it saved the best model; its exception is the cause."""


class Job(ABC):
    """A derived class says what is abstract here; the rest is for those that have it."""

    @abstractmethod
    def prepare(self, seed: int, begun: Identity | None = None) -> Preparation:
        """Look at the input and say what identifies the study; `begun`: what one that exists is.

        Raises:
            UsageError: bad input; no study is made of it.
        """
        ...

    def warm_up(self) -> None:  # noqa: B027, most have nothing to start
        """Import and start what trials need, while another worker may still prepare."""

    @abstractmethod
    def open(self, prepared: Preparation, seed: int, progress: Progress) -> None:
        """Get ready for trials, from what `prepare` returned in whichever worker."""
        ...

    def defaults(self) -> dict[str, Any] | None:
        """Parameters of trial 0, if the job has an opinion."""
        return None

    @abstractmethod
    def __call__(self, trial: optuna.Trial) -> Any:
        """Run one trial and return its value or values.

        Raises:
            optuna.TrialPruned: the pruner gave it up.
            Exception: anything else fails the trial.
        """
        ...

    def attributes(self) -> dict[str, Any]:
        """User attributes of the trial that was called last."""
        return {}

    def work(self) -> float | None:
        """Units of equal effort that the trial took that was called last, also where it was pruned;
        None: the job has none."""
        return None

    def recorded(self, study: optuna.Study) -> None:  # noqa: B027, most keep nothing
        """The trial that was called last is in the journal; drop what nobody needs any more."""

    def baselines(self) -> Baselines | None:
        """What a model has to beat, if the job knows."""
        return None

    def confirm(self, trial: FrozenTrial) -> Confirmation:
        """Score a trial's parameters on fresh folds; only asked where a launch confirms."""
        raise NotImplementedError(f"{type(self).__name__} has no folds")

    @abstractmethod
    def refit(self, study: optuna.Study, best: FrozenTrial | None, staging: Path) -> Sidecar:
        """Write the best model's files into `staging`; return what the sidecar says of them."""
        ...
