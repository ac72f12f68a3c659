"""What a retry changes, by what was found to be wrong with a model: one written table."""

from collections.abc import Iterable
from dataclasses import replace

from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES, Cure, Remedy

__all__ = ["CURES", "remedied"]

CURES: dict[str, tuple[Cure, ...]] = {
    "non_finite": ("scaled", "slower"),
    "gradient_spread": ("scaled", "slower"),
    "dead_units": ("leaky", "slower"),
    "epochs_used": ("slower", "regularised"),
    "overfit_ratio": ("regularised", "slower"),
    "better_than_dummy": ("regularised", "slower"),
    "unused_features": ("regularised",),
}
"""Finding -> cures, in the order in which they are tried; a model type says what each changes."""


def remedied(settings: LaunchSettings, findings: Iterable[str]) -> LaunchSettings | None:
    """The settings with the first remedy of the findings that changes anything."""
    remedies = MODEL_TYPES[settings.model_type].remedies
    for finding in findings:
        for cure in CURES.get(finding, ()):
            if cure in remedies and (changed := _with(settings, remedies[cure])) != settings:
                return changed
    return None


def _with(settings: LaunchSettings, remedy: Remedy) -> LaunchSettings:
    kind = settings.model_type
    fixed = [name for name in MODEL_TYPES[kind].flags if getattr(settings, name) is not None]
    ranges = {name: found for name, found in remedy.ranges.items() if name not in fixed}
    if ranges:
        spaces = dict(settings.spaces or {})
        spaces[kind] = {**spaces.get(kind, {}), **ranges}
        settings = replace(settings, spaces=spaces)
    return replace(settings, **remedy.flags)
