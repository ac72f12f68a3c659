"""What a retry changes, by what was found to be wrong with a model: one written table."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["REMEDIES", "remedied"]

Ranges = dict[str, dict[str, dict[str, float]]]

_NORMALISE = {"normalize_features": True}
_LEAKY = {"use_leaky_relu": True}
_SLOWER: Ranges = {
    "neural_net": {"learning_rate": {"low": 0.0002, "high": 0.003}},
    "catboost": {"learning_rate": {"low": 0.01, "high": 0.05}},
    "hist_gradient_boosting": {"learning_rate": {"low": 0.01, "high": 0.1}},
}
_REGULARISED: Ranges = {
    "neural_net": {
        "weight_decay": {"low": 0.01, "high": 1.0},
        "dropout": {"low": 0.2, "high": 0.7},
    },
    "catboost": {"l2_leaf_reg": {"low": 10.0, "high": 100.0}},
    "hist_gradient_boosting": {"l2_regularization": {"low": 10.0, "high": 1000.0}},
    "linear": {"regularization": {"low": 0.1, "high": 100.0}},
}
REMEDIES: dict[str, tuple[dict[str, Any], ...]] = {
    "non_finite": (_NORMALISE, _SLOWER),
    "gradient_spread": (_NORMALISE, _SLOWER),
    "dead_units": (_LEAKY, _SLOWER),
    "epochs_used": (_SLOWER, _REGULARISED),
    "overfit_ratio": (_REGULARISED, _SLOWER),
    "better_than_dummy": (_REGULARISED, _SLOWER),
    "unused_features": (_REGULARISED,),
}
"""Finding -> flags of neural_net, or ranges by model type, in the order in which they are tried."""


def remedied(settings: LaunchSettings, findings: Iterable[str]) -> LaunchSettings | None:
    """The settings with the first remedy of the findings that changes anything."""
    for finding in findings:
        for remedy in REMEDIES.get(finding, ()):
            changed = _with(settings, remedy)
            if changed != settings:
                return changed
    return None


def _with(settings: LaunchSettings, remedy: dict[str, Any]) -> LaunchSettings:
    kind = settings.model_type
    if remedy in (_NORMALISE, _LEAKY):
        return replace(settings, **remedy) if kind == "neural_net" else settings
    ranges = dict(remedy.get(kind, {}))
    if settings.dropout is not None:
        ranges.pop("dropout", None)  # it is fixed already
    if not ranges:
        return settings
    spaces = dict(settings.spaces or {})
    return replace(settings, spaces={**spaces, kind: {**spaces.get(kind, {}), **ranges}})
