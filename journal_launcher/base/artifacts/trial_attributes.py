"""What we say of a trial: its user attributes with our prefix, beside those of the objective."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from journal_launcher.base.artifacts.stored import (
    Part,
    Whole,
    key,
    number,
    numbers,
    numbers_by_name,
    part,
    string,
    table,
    text,
    whole,
)
from journal_launcher.base.dataclass import dataclass

__all__ = ["FoldScores", "Placed", "TrialAttributes", "without_ours"]

_PREFIX = "jl_"


def without_ours(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to the parameters and not to one run of them: a retry inherits it."""
    return {name: value for name, value in attributes.items() if not name.startswith(_PREFIX)}


def _threads(value: Any) -> int | None:
    return whole(value, 1, 4096)


def _seconds(value: Any) -> float | None:
    found = number(value)
    return None if found is None else max(0.0, found)


def _errors(value: Any) -> dict[str, Any] | None:
    return table(value) or None


@dataclass(frozen=True)
class Placed(Part):
    """Where it runs, written as it begins. device_uuid: None is the CPU."""

    worker: int | None = field(default=None, metadata=key(whole, "jl_worker"))
    device: str | None = field(default=None, metadata=key(text, "jl_device"))
    device_uuid: str | None = field(default=None, metadata=key(text, "jl_device_uuid", null=True))
    device_status: str | None = field(default=None, metadata=key(text, "jl_device_status"))
    threads: int | None = field(default=None, metadata=key(_threads, "jl_threads"))


@dataclass(frozen=True)
class FoldScores(Part):
    """What cross-validation found in a table's trial.

    steps: epochs or rounds of the best point; a refit trains as many. errors: of the validation and
    the training rows. metrics: every metric, each the mean over the validation rows of the folds;
    null where one is undefined. Older trials have neither.
    """

    fold_scores: Sequence[float] | None = field(
        default=None, metadata=key(numbers, "jl_fold_scores")
    )
    train_scores: Sequence[float] | None = field(
        default=None, metadata=key(numbers, "jl_train_scores")
    )
    steps: int | None = field(default=None, metadata=key(whole, "jl_steps", "jl_epochs"))
    overfit_ratio: float | None = field(
        default=None, metadata=key(number, "jl_overfit_ratio", null=True)
    )
    errors: Mapping[str, Any] | None = field(
        default=None, metadata=key(_errors, "jl_errors", null=True)
    )
    metrics: Mapping[str, float | None] | None = field(
        default=None, metadata=key(numbers_by_name, "jl_metrics")
    )

    @property
    def refittable(self) -> bool:
        """A refit trains the steps and reports the scores."""
        return None not in (self.steps, self.fold_scores, self.train_scores)


@dataclass(frozen=True)
class TrialAttributes(Whole):
    """All of them. What was not written yet is None, as everything is of a foreign writer's trial.

    duration_s: seconds that it took, as its worker says. repeats: the trial in whose place it was
    queued, which was interrupted or whose worker died.
    """

    placed: Placed = field(default_factory=Placed, metadata=part(Placed))
    scored: FoldScores = field(default_factory=FoldScores, metadata=part(FoldScores))
    duration_s: float | None = field(default=None, metadata=key(_seconds, "jl_duration_s"))
    fail_reason: str | None = field(default=None, metadata=key(string, "jl_fail_reason"))
    repeats: int | None = field(default=None, metadata=key(whole, "jl_repeats"))
