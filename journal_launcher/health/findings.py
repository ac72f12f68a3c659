"""Is a trained model healthy? Diagnostics in, findings out; `docs/health.md` says why so."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TypeVar

from journal_launcher.base.artifacts.diagnostics import (
    Diagnostics,
    Importance,
    Network,
    Scores,
    Training,
)
from journal_launcher.base.artifacts.scores import Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.verdict import CRITICAL, OK, WARNING, Finding
from journal_launcher.settings.limits import HealthLimits, Pair
from journal_launcher.settings.model_types import MODEL_TYPES

__all__ = ["against_baselines", "findings_in"]

_NEGLIGIBLE = 0.001
"""A feature whose loss adds no more than this share to the model's error is not used."""
_ENOUGH_SCORED = 10
"""If there was no time to score all features, so many of them stand for the others."""


def findings_in(diagnostics: Diagnostics, limits: HealthLimits) -> tuple[Finding, ...]:
    """A finding for each thing that was measured; what was not is not judged.

    Raises:
        ValueError: it lacks what every training has.
    """
    return (
        *_numbers(_there(diagnostics.non_finite, "non_finite")),
        *_scores(_there(diagnostics.scores, "scores")),
        *_training(diagnostics, _there(diagnostics.training, "training"), limits),
        *_network(diagnostics.network or Network(), limits),
        *_features(diagnostics.importance or Importance(), limits),
    )


T = TypeVar("T")


def _there(value: T | None, key: str) -> T:
    if value is None:
        raise ValueError(f"training_diagnostics.json: expected {key}, found none")
    return value


def _numbers(names: Sequence[str]) -> Iterator[Finding]:
    text = f"not finite: {', '.join(names[:5])}" if names else "every number is finite"
    yield Finding("non_finite", CRITICAL if names else OK, len(names), 0, text)


def _scores(scores: Scores) -> Iterator[Finding]:
    ours = scores.cv
    dummy = scores.dummy
    if ours is not None and dummy is not None:
        maximize = _there(scores.direction, "scores.direction") == "maximize"
        better = ours > dummy if maximize else ours < dummy
        what = "beats" if better else "does not beat"
        metric = _there(scores.metric, "scores.metric")
        text = f"cross-validated {metric} {what} a dummy that predicts the average"
        yield Finding("better_than_dummy", OK if better else CRITICAL, ours, dummy, text)


def against_baselines(sidecar: Sidecar) -> Iterator[Finding]:
    """On the folds that the model's own score is of: the fresh ones if it is confirmed."""
    found = Baselines.from_json(sidecar.to_beat.baselines or {})
    fresh = sidecar.confirmed.score is not None
    ours = sidecar.confirmed.score if fresh else sidecar.best.value
    if ours is None:
        return
    maximize = (sidecar.to_beat.directions or ("minimize",))[0] == "maximize"
    folds = "fresh folds" if fresh else "folds"
    names = {"dummy": "a dummy that predicts the average"}
    ours_by_fold = sidecar.confirmed.fold_scores if fresh else sidecar.fold_scores
    for name, score, by_fold in found.scored(fresh=fresh):
        if name == sidecar.model_type:
            continue
        better = ours > score if maximize else ours < score
        lost = CRITICAL if name in names else WARNING
        what = "beats" if better else "does not beat"
        text = f"{sidecar.metric} {what} {names.get(name, f'a {name} model')} on the same {folds}"
        if not better and name not in names and _is_noise(ours_by_fold or (), by_fold):
            lost = OK
            text += ", by no more than chance: that simpler one would do"
        yield Finding(f"better_than_{name}", OK if better else lost, ours, score, text)


def _is_noise(ours: Sequence[float], others: Sequence[float]) -> bool:
    """Is what two models' scores on the same folds differ by less than twice its standard error?

    That of Nadeau and Bengio (2003), for training rows that overlap. Not, where it is unknown.
    """
    k = len(ours)
    if k != len(others) or k < 2:
        return False
    differences = [a - b for a, b in zip(ours, others, strict=True)]
    error = math.sqrt((1 / k + 1 / (k - 1)) * statistics.variance(differences))
    return abs(statistics.fmean(differences)) < 2 * error


def _training(
    diagnostics: Diagnostics, training: Training, limits: HealthLimits
) -> Iterator[Finding]:
    spec = MODEL_TYPES.get(_there(diagnostics.model_type, "model_type"))
    if spec and spec.judges_overfit and (errors := training.errors):
        validation = _there(errors.get("validation"), "training.errors.validation")
        trained = _there(errors.get("training"), "training.errors.training")
        text = "RMSE of validation rows ÷ of training rows"
        ratio = validation / max(trained, 1e-300)
        if _there(diagnostics.task, "task") == "classification":
            # A quotient of log losses near 0 is large whatever the model.
            text = "log loss, validation and training: e to the difference"
            ratio = math.exp(min(validation - trained, 100.0))
        yield _compared("overfit_ratio", ratio, limits.overfit_ratio, text)
    if _there(training.unit, "training.unit") == "epoch" and (most := training.limit):
        steps = _there(training.steps, "training.steps")
        text = f"of at most {most} epochs, {steps} were best and none after them was better"
        yield _compared("epochs_used", steps / most, limits.epochs_used, text, low=True)


def _network(network: Network, limits: HealthLimits) -> Iterator[Finding]:
    if network.dead_units is not None:
        text = "share of hidden units that let nothing through on any row"
        yield _compared("dead_units", network.dead_units, limits.dead_units, text)
    if network.gradient_spread is not None:
        text = "largest gradient of a layer ÷ the smallest"
        yield _compared("gradient_spread", network.gradient_spread, limits.gradient_spread, text)


def _features(importance: Importance, limits: HealthLimits) -> Iterator[Finding]:
    error = importance.error
    increase = importance.increase or {}
    scored = [value for value in increase.values() if value is not None]
    few = bool(importance.not_scored) and len(scored) < _ENOUGH_SCORED
    if error is None or not scored or few:
        return
    unused = sum(value <= _NEGLIGIBLE * error for value in scored)
    text = f"{unused} of {len(scored)} features could be shuffled with nothing lost"
    yield _compared("unused_features", unused / len(scored), limits.unused_features, text)


def _compared(name: str, value: float, pair: Pair, text: str, *, low: bool = False) -> Finding:
    """Compare with (warning, critical): reaching one counts, or, if `low`, being below it."""
    for level, threshold in ((CRITICAL, pair[1]), (WARNING, pair[0])):
        if value < threshold if low else value >= threshold:
            return Finding(name, level, value, threshold, text)
    return Finding(name, OK, value, pair[0], text)
