"""Which launches a comparison of model types consists of."""

from dataclasses import replace
from typing import Any

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import (
    MODEL_TYPES,
    SIMPLEST_FIRST,
    check_installed,
    flags_of_others,
)

__all__ = ["compared_types", "part", "parts_of"]

_OF_THE_WHOLE = ("compare_models", "model_types", "save_all_models", "leave_out_failed")


def compared_types(settings: LaunchSettings) -> tuple[str, ...]:
    """In the order in which they run.

    Raises:
        UsageError: unknown types, too few, or one that is not installed; or options that
            contradict a comparison.
    """
    for name in ("model_type", "debug"):
        if getattr(settings, name) != getattr(LaunchSettings(), name):
            raise UsageError(f"--{name.replace('_', '-')} does not go with --compare-models")
    if settings.model_types is None:
        return tuple(name for name in SIMPLEST_FIRST if MODEL_TYPES[name].installed)
    types = tuple(name.strip() for name in settings.model_types.split(","))
    if len(types) < 2 or len(set(types)) < len(types) or set(types) - set(SIMPLEST_FIRST):
        raise UsageError(
            f"--model-types: expected two or more of {', '.join(SIMPLEST_FIRST)}, separated by "
            f"commas, found {settings.model_types!r}"
        )
    for name in types:
        check_installed(name)
    return types


def part(settings: LaunchSettings, model_type: str) -> LaunchSettings:
    """The launch of one model type: the same but for what belongs to others alone."""
    default = LaunchSettings()
    changed: dict[str, Any] = {name: getattr(default, name) for name in _OF_THE_WHOLE}
    changed["study_name"] = f"{settings.name}_{model_type}"
    changed |= {flag: getattr(default, flag) for flag in flags_of_others(model_type)}
    if not MODEL_TYPES[model_type].uses_gpu and settings.gpus != "none":
        changed |= {"gpus": "auto", "workers_per_gpu": 1}  # the GPUs asked for are the others'
    if MODEL_TYPES[model_type].fixed_memory and settings.packs:
        changed["workers_per_gpu"] = 1  # what it takes says nothing
    return replace(settings, model_type=model_type, **changed)


def parts_of(settings: LaunchSettings) -> dict[str, LaunchSettings]:
    """The launches by model type, in the order in which they run; raises as `compared_types`."""
    return {name: part(settings, name) for name in compared_types(settings)}
