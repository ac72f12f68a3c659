"""What is recorded with a published model, in `best_model.meta.json` beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from journal_launcher.base.artifacts.stored import (
    Part,
    Whole,
    key,
    mapping,
    number,
    numbers,
    numbers_by_name,
    part,
    string,
    table,
    text,
    texts,
    whole,
)
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.job_kinds import JobKind, kind_of
from journal_launcher.base.paths import is_published_name

__all__ = ["Best", "Confirmed", "Counts", "Holdout", "Provenance", "Sidecar", "ToBeat", "TrainedOn"]


def _interval(value: Any) -> list[float | None] | None:
    """Low and high; null where one is not finite."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    return [number(bound) for bound in value]


def _points(value: Any) -> list[dict[str, Any]] | None:
    return value if isinstance(value, list) and all(isinstance(p, dict) for p in value) else None


def _left_out(value: Any) -> bool | None:
    return True if value is True else None


@dataclass(frozen=True)
class Holdout(Part):
    """Every metric on the rows that nothing was chosen by, and an interval of the study's own."""

    metrics: Mapping[str, float | None] | None = field(
        default=None, metadata=key(numbers_by_name, "holdout_metrics", null=True)
    )
    interval: Sequence[float | None] | None = field(
        default=None, metadata=key(_interval, "holdout_interval", null=True)
    )


@dataclass(frozen=True)
class TrainedOn(Part):
    """The device of the refit."""

    device: str | None = field(default=None, metadata=key(text))
    device_uuid: str | None = field(default=None, metadata=key(text, null=True))


@dataclass(frozen=True)
class Provenance(Part):
    """The launch that published. part_of: the comparison it belongs to."""

    versions: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))
    command_line: str | None = field(default=None, metadata=key(string))
    launch: str | None = field(default=None, metadata=key(text))
    started: str | None = field(default=None, metadata=key(text))
    published: str | None = field(default=None, metadata=key(text))
    part_of: str | None = field(default=None, metadata=key(text, null=True))
    busy: Sequence[float] | None = field(default=None, metadata=key(numbers, null=True))


@dataclass(frozen=True)
class Counts(Part):
    """Of the study, when the model was last found to be its best."""

    n_finished: int | None = field(default=None, metadata=key(whole))
    n_failed: int | None = field(default=None, metadata=key(whole))


@dataclass(frozen=True)
class Confirmed(Part):
    """What fresh folds said. trials: the score of each candidate that was confirmed. metrics: every
    one, each the mean over the fresh folds."""

    score: float | None = field(default=None, metadata=key(number, "confirmed_score", null=True))
    fold_scores: Sequence[float] | None = field(
        default=None, metadata=key(numbers, "confirmed_fold_scores", null=True)
    )
    trials: Mapping[str, float | None] | None = field(
        default=None, metadata=key(numbers_by_name, "confirmed_trials")
    )
    metrics: Mapping[str, float | None] | None = field(
        default=None, metadata=key(numbers_by_name, "confirmed_metrics")
    )


@dataclass(frozen=True)
class ToBeat(Part):
    """What had to be beaten, and in which direction."""

    directions: Sequence[str] | None = field(default=None, metadata=key(texts))
    baselines: Mapping[str, Any] | None = field(default=None, metadata=key(mapping, null=True))


@dataclass(frozen=True)
class Best(Part):
    """Which trial of which study the model is of; a launch compares it with what it would publish.

    value: the trial's, which chose it (older files have it two times more, under other names).
    pareto_front: number, values and params of each of several, instead of one trial.
    """

    study: str | None = field(default=None, metadata=key(text))
    identity_sha256: str | None = field(default=None, metadata=key(text))
    refit: str | None = field(default=None, metadata=key(text))
    trial: int | None = field(default=None, metadata=key(whole))
    params: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))
    value: float | None = field(
        default=None, metadata=key(number, "value", "selection_score", "cv_score")
    )
    pareto_front: Sequence[Mapping[str, Any]] | None = field(default=None, metadata=key(_points))

    @property
    def numbers(self) -> set[int]:
        """The trials it is of."""
        points = (whole(point.get("number")) for point in self.pareto_front or ())
        return {number for number in (*points, self.trial) if number is not None}


@dataclass(frozen=True)
class Sidecar(Whole):
    """Flat JSON, in which the parts are what different rooms know.

    kind to holdout are of a table's model, from the worker that trained it: it says more, which
    loading the model needs and nobody else reads. cv_metrics: every metric, each the mean over the
    folds that chose the trial. members: trainings whose mean the model is. files: the hash of each.
    left_out: by a comparison, which kept the winner only.
    """

    kind: str | None = field(default=None, metadata=key(text))
    model_type: str | None = field(default=None, metadata=key(text))
    metric: str | None = field(default=None, metadata=key(text))
    model_file: str | None = field(default=None, metadata=key(text))
    members: int | None = field(default=None, metadata=key(whole))
    fold_scores: Sequence[float] | None = field(default=None, metadata=key(numbers))
    cv_metrics: Mapping[str, float | None] | None = field(
        default=None, metadata=key(numbers_by_name)
    )
    seeds: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))
    data_sha256: str | None = field(default=None, metadata=key(text))
    holdout: Holdout = field(default_factory=Holdout, metadata=part(Holdout))
    trained_on: TrainedOn = field(default_factory=TrainedOn, metadata=part(TrainedOn))
    provenance: Provenance = field(default_factory=Provenance, metadata=part(Provenance))
    counts: Counts = field(default_factory=Counts, metadata=part(Counts))
    confirmed: Confirmed = field(default_factory=Confirmed, metadata=part(Confirmed))
    to_beat: ToBeat = field(default_factory=ToBeat, metadata=part(ToBeat))
    best: Best = field(default_factory=Best, metadata=part(Best))
    schema_version: int | None = field(default=None, metadata=key(whole))
    files: Mapping[str, str] | None = field(default=None, metadata=key(mapping))
    left_out: bool | None = field(default=None, metadata=key(_left_out))
    comparison: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))

    @property
    def job_kind(self) -> JobKind:
        return kind_of({"kind": self.kind})

    @property
    def names_our_files(self) -> bool:
        """Nothing but what a save makes: a foreign file could name any other."""
        return self.files is not None and all(map(is_published_name, self.files))

    @property
    def rows(self) -> tuple[Any, str | None]:
        """What decides which rows are in which fold."""
        return table(self.seeds).get("study"), self.data_sha256

    @property
    def won(self) -> tuple[str | None, str | None]:
        """(name, reason) of the comparison that chose the model, if one did."""
        told = table(self.comparison)
        return text(told.get("name")), text(told.get("reason"))

    @property
    def lost(self) -> list[str]:
        """Of the comparison that chose the model: each type that failed, and why."""
        found = table(self.comparison).get("models")
        models = map(table, found if isinstance(found, list) else ())
        failed = (m for m in models if m.get("score") is None and m.get("skipped") is not True)
        return [f"{m.get('model_type')}: {m['message']}" for m in failed if text(m.get("message"))]

    def is_of(self, wanted: Best) -> bool:
        """Does it agree with all that `wanted` says?"""
        return all(self.stored.get(name) == value for name, value in wanted.to_json().items())
