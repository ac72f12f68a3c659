"""How the published model's training went, in `training_diagnostics.json` beside it."""

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
    section,
    string,
    text,
    whole,
)
from journal_launcher.base.dataclass import dataclass

__all__ = ["Diagnostics", "HeldOut", "Importance", "Network", "Scores", "Training"]


def _as_found(value: Any) -> Any:
    """Of what is written for people, and judged by nobody."""
    return value


def _names(value: Any) -> list[str] | None:
    """Of any length, as those of columns are."""
    names = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if names else None


def _measured(value: Any) -> dict[str, float | None] | None:
    """Numbers by name; null where one is not finite."""
    found = numbers_by_name(value)
    odd = found is None or any(found[name] is None and value[name] is not None for name in found)
    return None if odd else found


@dataclass(frozen=True)
class Scores(Part):
    """By the study's metric. cv: the trial's. dummy: of a model that predicts the average."""

    metric: str | None = field(default=None, metadata=key(text))
    direction: str | None = field(default=None, metadata=key(text))
    cv: float | None = field(default=None, metadata=key(number, null=True))
    train: float | None = field(default=None, metadata=key(_as_found))
    dummy: float | None = field(default=None, metadata=key(number, null=True))


@dataclass(frozen=True)
class Training(Part):
    """steps: the best number of epochs or rounds, of at most `limit`.

    errors: of the validation and the training rows; older trials have none.
    """

    unit: str | None = field(default=None, metadata=key(text))
    steps: int | None = field(default=None, metadata=key(whole))
    limit: int | None = field(default=None, metadata=key(whole, null=True))
    errors: Mapping[str, float | None] | None = field(
        default=None, metadata=key(_measured, null=True)
    )
    overfit_ratio: float | None = field(
        default=None, metadata=key(_as_found, null=True, judged=False)
    )


@dataclass(frozen=True)
class Network(Part):
    """See `network_check`; the shares are of all layers together."""

    rows: int | None = field(default=None, metadata=key(_as_found))
    layers: Sequence[Mapping[str, Any]] | None = field(default=None, metadata=key(_as_found))
    gradient_spread: float | None = field(default=None, metadata=key(number))
    dead_units: float | None = field(default=None, metadata=key(number))


@dataclass(frozen=True)
class Importance(Part):
    """error: the model's on the rows. increase: by feature, what shuffling it adds to the error.

    not_scored: features for which there was no time.
    """

    rows: int | None = field(default=None, metadata=key(_as_found))
    repeats: int | None = field(default=None, metadata=key(_as_found))
    error: float | None = field(default=None, metadata=key(number))
    increase: Mapping[str, float | None] | None = field(default=None, metadata=key(_measured))
    not_scored: Sequence[str] | None = field(default=None, metadata=key(_names))


def _bins(value: Any) -> list[list[float]] | None:
    found = [numbers(each) for each in value] if isinstance(value, list) else [None]
    bins = [each for each in found if each is not None and len(each) == 3]
    return bins if len(bins) == len(found) else None


@dataclass(frozen=True)
class HeldOut(Part):
    """What was predicted on the rows that chose nothing, of which there are `rows`.

    actual, predicted: of a regression, for some of them drawn at random. calibration: of a
    classification, (mean probability, share that was so, rows) in each of some bins by probability;
    of: the class whose probability it is, None for the one that was predicted.
    """

    rows: int | None = field(default=None, metadata=key(whole))
    actual: Sequence[float] | None = field(default=None, metadata=key(numbers))
    predicted: Sequence[float] | None = field(default=None, metadata=key(numbers))
    calibration: Sequence[Sequence[float]] | None = field(default=None, metadata=key(_bins))
    of: str | None = field(default=None, metadata=key(string))


@dataclass(frozen=True)
class Diagnostics(Whole):
    """Whose they are, and a section for each thing that was looked at.

    failed: why there is no section. non_finite: the numbers that are null for it.
    """

    schema_version: int | None = field(default=None, metadata=key(whole))
    study: str | None = field(default=None, metadata=key(_as_found))
    trial: int | None = field(default=None, metadata=key(whole))
    model_type: str | None = field(default=None, metadata=key(text))
    model_sha256: str | None = field(default=None, metadata=key(text))
    failed: str | None = field(default=None, metadata=key(string))
    task: str | None = field(default=None, metadata=key(text))
    scores: Scores | None = field(default=None, metadata=section(Scores))
    training: Training | None = field(default=None, metadata=section(Training))
    curves: Mapping[str, Any] | None = field(default=None, metadata=key(_as_found))
    network: Network | None = field(default=None, metadata=section(Network))
    importance: Importance | None = field(default=None, metadata=section(Importance))
    holdout: HeldOut | None = field(default=None, metadata=section(HeldOut))
    non_finite: Sequence[str] | None = field(default=None, metadata=key(_names))
