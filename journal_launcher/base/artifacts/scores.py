"""What a study knows beside its trials' values: scores on fresh folds, and those to be beaten."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Self

from journal_launcher.base.artifacts.stored import (
    Part,
    key,
    number,
    numbers,
    numbers_by_name,
    string,
    table,
)
from journal_launcher.base.dataclass import dataclass

__all__ = ["Baseline", "Baselines", "Confirmation"]


def _curves(value: Any) -> dict[str, Any] | None:
    return table(value) or None


@dataclass(frozen=True)
class Confirmation(Part):
    """What a trial's parameters scored on fresh folds; without a score, the reason.

    curves: `every` how many steps the mean score of the "validation" and the "train" rows was
    taken, up to the last step. metrics: every metric, each the mean over the fresh folds.
    """

    score: float | None = field(default=None, metadata=key(number, null=True))
    fold_scores: Sequence[float] | None = field(default=None, metadata=key(numbers))
    train_scores: Sequence[float] | None = field(default=None, metadata=key(numbers))
    overfit_ratio: float | None = field(default=None, metadata=key(number, null=True))
    curves: Mapping[str, Any] | None = field(default=None, metadata=key(_curves))
    reason: str | None = field(default=None, metadata=key(string))
    metrics: Mapping[str, float | None] | None = field(default=None, metadata=key(numbers_by_name))


@dataclass(frozen=True)
class Baseline(Part):
    """A simple model's scores on the folds of the trials, and on the fresh ones if there are any.

    reason: why there is no score.
    """

    score: float | None = field(default=None, metadata=key(number, null=True))
    fold_scores: Sequence[float] | None = field(default=None, metadata=key(numbers))
    reason: str | None = field(default=None, metadata=key(string))
    confirmed_score: float | None = field(default=None, metadata=key(number))
    confirmed_fold_scores: Sequence[float] | None = field(default=None, metadata=key(numbers))


@dataclass(frozen=True)
class Baselines:
    """What a model has to beat, by name."""

    by_name: Mapping[str, Baseline] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        scored = {name: table(found) for name, found in content.items()}
        return cls({name: Baseline.from_json(found) for name, found in scored.items() if found})

    def to_json(self) -> dict[str, Any]:
        return {name: baseline.to_json() for name, baseline in self.by_name.items()}

    def scored(self, *, fresh: bool) -> Iterator[tuple[str, float, Sequence[float]]]:
        """(name, score, scores of the folds) of those with a score, on the fresh folds or not."""
        for name, of in self.by_name.items():
            score = of.confirmed_score if fresh else of.score
            if score is not None:
                yield name, score, (of.confirmed_fold_scores if fresh else of.fold_scores) or ()
