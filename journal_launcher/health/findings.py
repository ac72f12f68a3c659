"""Is a trained model healthy? Diagnostics in, findings out; `docs/health.md` says why so."""

import math
from collections.abc import Iterator
from typing import Any

from journal_launcher.base.verdict import CRITICAL, OK, WARNING, Finding
from journal_launcher.settings.limits import HealthLimits, Pair
from journal_launcher.settings.model_types import MODEL_TYPES

__all__ = ["findings_in"]

_NEGLIGIBLE = 0.001
"""A feature whose loss adds no more than this share to the model's error is not used."""
_ENOUGH_SCORED = 10
"""If there was no time to score all features, so many of them stand for the others."""


def findings_in(diagnostics: dict[str, Any], limits: HealthLimits) -> tuple[Finding, ...]:
    """A finding for each thing that was measured; what was not is not judged."""
    return (
        *_results(diagnostics["non_finite"], diagnostics["scores"]),
        *_training(diagnostics, limits),
        *_network(diagnostics.get("network", {}), limits),
        *_features(diagnostics.get("importance", {}), limits),
    )


def _results(names: list[str], scores: dict[str, Any]) -> Iterator[Finding]:
    text = f"not finite: {', '.join(names[:5])}" if names else "every number is finite"
    yield Finding("non_finite", CRITICAL if names else OK, len(names), 0, text)
    ours, dummy = scores["cv"], scores["dummy"]
    if ours is not None and dummy is not None:
        better = ours > dummy if scores["direction"] == "maximize" else ours < dummy
        what = "beats" if better else "does not beat"
        text = f"cross-validated {scores['metric']} {what} a dummy that predicts the average"
        yield Finding("better_than_dummy", OK if better else CRITICAL, ours, dummy, text)


def _training(diagnostics: dict[str, Any], limits: HealthLimits) -> Iterator[Finding]:
    training, errors = diagnostics["training"], diagnostics["training"]["errors"]
    if (spec := MODEL_TYPES.get(diagnostics["model_type"])) and spec.judges_overfit and errors:
        text = "RMSE of validation rows ÷ of training rows"
        ratio = errors["validation"] / max(errors["training"], 1e-300)
        if diagnostics["task"] == "classification":
            # A quotient of log losses near 0 is large whatever the model.
            text = "log loss, validation and training: e to the difference"
            ratio = math.exp(min(errors["validation"] - errors["training"], 100.0))
        yield _compared("overfit_ratio", ratio, limits.overfit_ratio, text)
    if training["unit"] == "epoch" and training["limit"]:
        steps, most = training["steps"], training["limit"]
        text = f"of at most {most} epochs, {steps} were best and none after them was better"
        yield _compared("epochs_used", steps / most, limits.epochs_used, text, low=True)


def _network(network: dict[str, Any], limits: HealthLimits) -> Iterator[Finding]:
    dead, spread = network.get("dead_units"), network.get("gradient_spread")
    if dead is not None:
        text = "share of hidden units that let nothing through on any row"
        yield _compared("dead_units", dead, limits.dead_units, text)
    if spread is not None:
        text = "largest gradient of a layer ÷ the smallest"
        yield _compared("gradient_spread", spread, limits.gradient_spread, text)


def _features(importance: dict[str, Any], limits: HealthLimits) -> Iterator[Finding]:
    error, increase = importance.get("error"), importance.get("increase", {})
    scored = [value for value in increase.values() if value is not None]
    few = bool(importance.get("not_scored")) and len(scored) < _ENOUGH_SCORED
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
